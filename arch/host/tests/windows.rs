//! Heaps beside each other, in windows that the system chooses and in given ones.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

use core::alloc::Layout;

use archipelago_host::{AllocFlags, Heap, Host, HostHeap, HostKernel, Window};

/// Free addresses, each of which one test uses.
#[cfg(target_pointer_width = "64")]
const GIVEN: [usize; 2] = [0x4444_4444_0000, 0x6666_0000_0000];
#[cfg(not(target_pointer_width = "64"))]
const GIVEN: [usize; 2] = [0x4444_0000, 0x6666_0000];

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a layout")
}

#[test]
fn a_kernels_own_window_serves_and_is_free_again_when_the_heap_is_dropped() {
    let window = Window::new(GIVEN[0], 16 << 20);
    for _ in 0..3 {
        let heap: Heap<Host, HostKernel> = Heap::new();
        heap.init(&[window], Host::new().expect("a machine"))
            .expect("init");
        let object = heap
            .allocate(layout(100), AllocFlags::ZEROED)
            .expect("memory");
        assert_eq!(object.addr().get() >> 24, GIVEN[0] >> 24);

        let second: Heap<Host, HostKernel> = Heap::new();
        let refused = second.init(&[window], Host::new().expect("a machine"));
        let refused = refused.expect_err("the window is taken").to_string();
        assert!(refused.contains("occupied already"), "{refused}");
        heap.verify().expect("sound");
    }
}

#[test]
fn very_many_heaps_come_and_go() {
    // Together they would need more than there is.
    let heaps = if usize::BITS == 64 { 300 } else { 30 };
    for _ in 0..heaps {
        let heap = HostHeap::new();
        let mut run = heap
            .pages()
            .allocate(3, 4096, AllocFlags::ZEROED)
            .expect("pages");
        // SAFETY: the run is Ready, and nothing else uses it.
        unsafe { run.as_ptr().as_mut() }.fill(7);
        run.extend(2, AllocFlags::empty()).expect("pages");
        run.shrink(1);
        drop(run);
        heap.verify().expect("sound");
    }
}

#[test]
fn windows_far_apart_are_one_heap() {
    let heap = HostHeap::with_window(8 << 20);
    let all = |heap: &HostHeap| {
        let request = || heap.allocate(layout(1 << 20), AllocFlags::empty());
        core::iter::from_fn(|| request().ok()).count()
    };
    let first = all(&heap);
    heap.add_window(Window::new(GIVEN[1], 8 << 20))
        .expect("free address space");
    let second = all(&heap);
    assert!(first >= 6 && second >= 6, "{first} and {second}");
    heap.verify().expect("sound");
}

#[test]
fn memory_that_was_scavenged_is_zero_when_it_comes_back() {
    let heap = HostHeap::with_window(64 << 20);
    let all = layout(8 << 20);
    for _ in 0..3 {
        let memory = heap.allocate(all, AllocFlags::ZEROED).expect("memory");
        // SAFETY: the object is as long, and this test's alone.
        let bytes = unsafe { core::slice::from_raw_parts_mut(memory.cast().as_ptr(), all.size()) };
        assert!(bytes.iter().all(|byte: &u8| *byte == 0));
        bytes.fill(0xA5);
        // SAFETY: the object was allocated with this layout, and is used no more.
        unsafe { heap.deallocate(memory.cast(), all) };
        assert!(heap.scavenge(usize::MAX).expect("the machine is free") >= 2048);
        assert!(heap.stats().mapped_ready < 1 << 20, "{}", heap.stats());
    }
}

#[test]
fn a_limit_makes_requests_fail_as_a_small_machine_does() {
    let heap = HostHeap::with_window(64 << 20);
    heap.set_limit(1 << 20);
    let refused = heap.allocate(layout(2 << 20), AllocFlags::empty());
    assert!(
        refused
            .expect_err("beyond the limit")
            .to_string()
            .contains("limit")
    );
    heap.allocate(layout(100 << 10), AllocFlags::empty())
        .expect("memory");
    assert_eq!(heap.stats().refusals, 1);
    heap.verify().expect("sound");
}

#[test]
fn a_request_for_more_than_the_window_is_refused_and_the_heap_goes_on() {
    let heap = HostHeap::new();
    let most = layout(usize::MAX / 4);
    assert!(heap.allocate(most, AllocFlags::empty()).is_err());
    heap.allocate(layout(1), AllocFlags::empty())
        .expect("memory");
}
