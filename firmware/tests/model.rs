//! Random requests, compared with a list of the live objects.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use archipelago_firmware::FirmwareHeap;
use archipelago_sim::Hosted;

/// Memory for a heap, at an odd address.
struct Ram(Vec<u8>);

impl Ram {
    fn new(bytes: usize) -> Self {
        Self(vec![0xa5; bytes + 1])
    }

    fn give<const PAGE: usize>(&mut self, heap: &FirmwareHeap<Hosted, PAGE>) {
        let bytes = self.0.len() - 1;
        let start = self.0.as_mut_ptr().wrapping_add(1);
        // SAFETY: the memory outlives the heap, which one thread uses.
        unsafe { heap.init(start, bytes) }.expect("a block that is large enough");
    }
}

/// A live object, filled with a byte.
struct Live {
    pointer: NonNull<u8>,
    layout: Layout,
    fill: u8,
}

impl Live {
    fn new(pointer: *mut u8, layout: Layout, fill: u8) -> Self {
        let pointer = NonNull::new(pointer).expect("checked by the caller");
        assert_eq!(pointer.addr().get() % layout.align(), 0, "{layout:?}");
        // SAFETY: the heap has just handed out that many bytes.
        unsafe { pointer.write_bytes(fill, layout.size()) };
        Self {
            pointer,
            layout,
            fill,
        }
    }

    fn check(&self, bytes: usize) {
        // SAFETY: the object is live, and all of it was written.
        let contents = unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), bytes) };
        assert!(
            contents.iter().all(|byte| *byte == self.fill),
            "{:?}",
            self.layout
        );
    }
}

fn random_layout(random: &mut fastrand::Rng) -> Layout {
    let size = match random.u8(..10) {
        0 => random.usize(1..6000),
        1 | 2 => random.usize(1..1200),
        _ => random.usize(1..150),
    };
    let align = 1
        << if random.u8(..8) == 0 {
            random.u32(..13)
        } else {
            random.u32(..5)
        };
    Layout::from_size_align(size, align).expect("a layout")
}

fn requests() -> usize {
    if cfg!(miri) { 300 } else { 30_000 }
}

fn the_heap_agrees_with_a_shadow<const PAGE: usize>() {
    let mut ram = Ram::new(100 << 10);
    let heap = FirmwareHeap::<Hosted, PAGE>::empty();
    ram.give(&heap);
    let fresh = heap.stats();
    let mut random = fastrand::Rng::with_seed(PAGE as u64);
    let mut live: Vec<Live> = Vec::new();
    let mut refused = 0;
    for turn in 0..requests() {
        let fill = random.u8(..);
        match random.u8(..20) {
            0..=9 => {
                let layout = random_layout(&mut random);
                // SAFETY: the layout is not empty.
                let pointer = unsafe { heap.alloc(layout) };
                if pointer.is_null() {
                    refused += 1;
                } else {
                    live.push(Live::new(pointer, layout, fill));
                }
            }
            10..=11 => {
                let layout = random_layout(&mut random);
                // SAFETY: the layout is not empty.
                let pointer = unsafe { heap.alloc_zeroed(layout) };
                if pointer.is_null() {
                    refused += 1;
                } else {
                    // SAFETY: the object is live, and zeroed.
                    let bytes = unsafe { core::slice::from_raw_parts(pointer, layout.size()) };
                    assert!(bytes.iter().all(|byte| *byte == 0), "{layout:?}");
                    live.push(Live::new(pointer, layout, fill));
                }
            }
            12..=14 if !live.is_empty() => {
                let object = live.swap_remove(random.usize(..live.len()));
                let size = random_layout(&mut random).size();
                let old = object.layout;
                // SAFETY: the object is live, with that layout; the size is not 0.
                let pointer = unsafe { heap.realloc(object.pointer.as_ptr(), old, size) };
                if pointer.is_null() {
                    object.check(old.size());
                    live.push(object);
                    continue;
                }
                let moved = Live {
                    pointer: NonNull::new(pointer).expect("checked"),
                    ..object
                };
                moved.check(old.size().min(size));
                let layout = Layout::from_size_align(size, old.align()).expect("a layout");
                live.push(Live::new(pointer, layout, fill));
            }
            _ if !live.is_empty() => {
                let object = live.swap_remove(random.usize(..live.len()));
                object.check(object.layout.size());
                // SAFETY: the object is live, with that layout.
                unsafe { heap.dealloc(object.pointer.as_ptr(), object.layout) };
            }
            _ => {}
        }
        if turn % 64 == 0 {
            assert_eq!(heap.verify(), Ok(()), "turn {turn}");
            let stats = heap.stats();
            assert!(stats.used + stats.free <= fresh.free && stats.largest <= stats.free);
        }
    }
    assert!(cfg!(miri) || refused > 100, "it was full now and then");
    assert!(no_two_overlap(&live));
    for object in live {
        object.check(object.layout.size());
        // SAFETY: the object is live, with that layout.
        unsafe { heap.dealloc(object.pointer.as_ptr(), object.layout) };
    }
    assert_eq!(heap.verify(), Ok(()));
    assert_eq!(heap.stats(), fresh, "all is free, in one piece");
}

fn no_two_overlap(live: &[Live]) -> bool {
    let mut blocks: Vec<_> = live
        .iter()
        .map(|live| (live.pointer.addr().get(), live.layout.size()))
        .collect();
    blocks.sort_unstable();
    blocks
        .windows(2)
        .all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
}

#[test]
fn with_pages_of_256_bytes() {
    the_heap_agrees_with_a_shadow::<256>();
}

#[test]
fn with_pages_of_512_bytes() {
    the_heap_agrees_with_a_shadow::<512>();
}

#[test]
fn with_pages_of_1024_bytes() {
    the_heap_agrees_with_a_shadow::<1024>();
}
