//! Shrinks, of which none fails when there is no memory left.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::Fault;
use archipelago_sim::{Plain32, SmallFixed, Top30};
use archipelago_testing::layout;

use crate::subjects::{Early, EarlyAfterwards, Firmware, Flat, Subject, Whole};

/// An object, filled with a byte.
struct Filled {
    pointer: NonNull<u8>,
    layout: Layout,
}

impl Filled {
    fn new<S: Subject>(subject: &S, layout: Layout) -> Option<Self> {
        let pointer = subject.get(layout)?;
        // SAFETY: the heap has just handed out that many bytes.
        unsafe { pointer.write_bytes(0x5a, layout.size()) };
        Some(Self { pointer, layout })
    }

    fn check(&self) {
        let (pointer, bytes) = (self.pointer.as_ptr(), self.layout.size());
        // SAFETY: the object is live, and all of it was written.
        let contents = unsafe { core::slice::from_raw_parts(pointer, bytes) };
        assert!(contents.iter().all(|byte| *byte == 0x5a));
    }
}

/// Takes all memory there is, in objects of every size down to the smallest.
fn fill<S: Subject>(subject: &S) {
    let sizes = (0..18)
        .rev()
        .flat_map(|shift| [3 << shift >> 1, 1 << shift]);
    for size in sizes.chain([3000, 700, 100, 40, 24]) {
        while subject.get(layout(size, 8)).is_some() {}
    }
    assert_eq!(subject.get(layout(1, 1)), None);
}

/// The sizes from the largest to the smallest that every object goes through.
fn steps<S: Subject>() -> Vec<Vec<usize>> {
    vec![
        vec![S::LARGE, S::LARGE - 1, S::LARGE / 2, 3000, 700, 40, 1],
        vec![S::LARGE, 40],
        vec![4096, 3000, 3000, 24],
        vec![512, 100, 8],
        vec![64, 63],
    ]
}

fn shrink<S: Subject>(subject: &S, object: &mut Filled, size: usize, how: usize) {
    let new = layout(size, object.layout.align());
    let (pointer, old) = (object.pointer, object.layout);
    let shrunk = match how % 3 {
        0 => subject.resize(pointer, old, new),
        1 => subject.try_resize(pointer, old, new).expect("it is live"),
        _ => NonNull::new(subject.realloc(pointer, old, size)),
    };
    object.pointer = shrunk.expect("a shrink never fails");
    object.layout = new;
    object.check();
    subject.account();
}

/// Mistakes with an object that has shrunk are found.
fn find_mistakes<S: Subject>(subject: &S, object: &Filled) {
    let before = subject.account();
    let inside = NonNull::new(object.pointer.as_ptr().wrapping_add(1)).expect("not null");
    let shift = object.pointer.addr().get().trailing_zeros();
    for (pointer, layout, fault) in [
        (inside, object.layout, Fault::InteriorPointer),
        (object.pointer, layout(4 * S::LARGE, 8), Fault::WrongLayout),
        (
            object.pointer,
            layout(object.layout.size(), 2 << shift),
            Fault::WrongLayout,
        ),
    ] {
        let report = subject.try_free(pointer, layout).expect_err("a mistake");
        assert_eq!((report.fault, report.layout), (fault, Some(layout)));
    }
    assert_eq!(subject.account(), before);
}

fn shrinks_without_memory<S: Subject>() {
    let subject = S::new();
    let mut objects = Vec::new();
    for how in 0..3 {
        for sizes in steps::<S>() {
            let first = layout(sizes[0], 8);
            let object = Filled::new(&subject, first).expect("memory");
            // So that no span is empty when the object goes.
            let neighbour = Filled::new(&subject, first).filter(|_| sizes[0] < S::LARGE);
            objects.push((object, neighbour, sizes, how));
        }
        if S::LARGE > 32 << 10 {
            // Large objects shall not fill all memory before the others are there.
            break;
        }
    }
    fill(&subject);
    for (object, _, sizes, how) in &mut objects {
        for size in &sizes[1..] {
            fill(&subject);
            shrink(&subject, object, *size, *how);
            find_mistakes(&subject, object);
            *how += 1;
        }
    }
    for (object, neighbour, ..) in objects {
        for object in [Some(object), neighbour].into_iter().flatten() {
            let grown = layout(object.layout.size() + 1, 8);
            let moved = subject.try_resize(object.pointer, object.layout, grown);
            let moved = moved.expect("it is live");
            let (pointer, layout) = match moved {
                Some(pointer) => (pointer, grown),
                None => (object.pointer, object.layout),
            };
            assert_eq!(subject.try_free(pointer, layout), Ok(()));
            let report = subject.try_free(pointer, layout).expect_err("it is free");
            assert_eq!(report.fault, Fault::DoubleFree);
        }
    }
    subject.account();
}

#[test]
fn the_whole_heap_shrinks_objects_without_memory() {
    shrinks_without_memory::<Whole<Plain32>>();
    shrinks_without_memory::<Whole<Top30>>();
    shrinks_without_memory::<Whole<SmallFixed>>();
}

#[test]
fn the_flat_heap_shrinks_objects_without_memory() {
    shrinks_without_memory::<Flat>();
}

#[test]
fn the_firmware_heap_shrinks_objects_without_memory() {
    shrinks_without_memory::<Firmware<256>>();
    shrinks_without_memory::<Firmware<1024>>();
}

#[test]
fn the_early_heap_shrinks_blocks_without_memory() {
    shrinks_without_memory::<Early<Plain32>>();
    let early = Early::<Plain32>::new();
    let mut block = Filled::new(&early, layout(4096, 8)).expect("memory");
    let afterwards = EarlyAfterwards::init(early);
    shrink(afterwards.early(), &mut block, 3000, 0);
    shrink(afterwards.early(), &mut block, 24, 2);
    let report = afterwards.early().try_free(block.pointer, layout(3000, 8));
    assert_eq!(report.expect_err("it has shrunk").fault, Fault::WrongLayout);
    assert_eq!(
        afterwards.early().try_free(block.pointer, block.layout),
        Ok(())
    );
}

/// Where there is memory, an object that shrinks takes no more of it than others of its size, and
/// its layout is checked as theirs.
#[test]
fn with_memory_an_object_moves_to_a_smaller_slot() {
    fn check<S: Subject>() {
        let subject = S::new();
        let mut object = Filled::new(&subject, layout(4096, 8)).expect("memory");
        shrink(&subject, &mut object, 100, 0);
        let report = subject.try_free(object.pointer, layout(64, 8));
        assert_eq!(report.expect_err("it is longer").fault, Fault::WrongLayout);
        assert_eq!(subject.try_free(object.pointer, object.layout), Ok(()));
    }
    check::<Whole<Plain32>>();
    check::<Flat>();
    check::<Firmware<256>>();
    check::<Early<Plain32>>();
}

/// An alignment that the address has is no reason to move; one that it has not is.
#[test]
fn a_shrink_to_a_greater_alignment_stays_if_the_address_has_it() {
    let subject = Whole::<Plain32>::new();
    let object = Filled::new(&subject, layout(4096, 8)).expect("memory");
    let mut odd = vec![subject.get(layout(48, 8)).expect("memory")];
    odd.push(subject.get(layout(48, 8)).expect("memory"));
    fill(&subject);
    let wanted = layout(3000, 1024);
    let pointer = subject.resize(object.pointer, object.layout, wanted);
    assert_eq!(
        pointer,
        Some(object.pointer),
        "slots of a page are aligned to it"
    );
    assert_eq!(subject.try_free(object.pointer, wanted), Ok(()));
    let odd = odd
        .into_iter()
        .find(|pointer| pointer.addr().get() % 32 != 0);
    let odd = odd.expect("48 is no multiple of 32");
    fill(&subject);
    assert_eq!(subject.resize(odd, layout(48, 8), layout(40, 32)), None);
    assert_eq!(subject.try_free(odd, layout(48, 8)), Ok(()));
}
