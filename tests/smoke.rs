//! First steps of a heap on a simulated machine.

use core::alloc::Layout;

use archipelago::{AllocFlags, Heap, Window};
use archipelago_sim::{Hosted, Plain32, Sim, X86_64};

#[test]
fn a_heap_allocates_and_frees_on_x86_64() {
    let machine = Sim::<X86_64>::builder().build();
    let heap: Box<Heap<Sim<X86_64>, Hosted>> = Box::new(Heap::new());
    heap.init(
        &[Window::new(0xffff_9000_0000_0000, 1 << 30)],
        machine.clone(),
    )
    .expect("init");
    println!("{} taken {}", heap.stats(), machine.frames_taken());
    let mut live = Vec::new();
    for i in 1..2000usize {
        let layout = Layout::from_size_align(i, 8).expect("layout");
        let memory = heap.allocate(layout, AllocFlags::empty()).expect("memory");
        // SAFETY: just allocated.
        unsafe { memory.cast::<u8>().write_bytes(0x5a, i) };
        live.push((memory, layout));
        if i == 1 {
            println!(
                "{} taken {} size {}",
                heap.stats(),
                machine.frames_taken(),
                size_of::<Heap<Sim<X86_64>, Hosted>>()
            );
        }
    }
    println!("{} taken {}", heap.stats(), machine.frames_taken());
    let check = || {
        let s = heap.stats();
        assert_eq!(s.sum(), s.mapped_ready);
        heap.verify().expect("sound");
        assert_eq!(
            machine.frames_taken() - machine.frames_returned(),
            s.mapped_ready / 4096 + s.footprint.table_frames + s.footprint.held_frames
        );
    };
    check();
    for (memory, layout) in live {
        // SAFETY: live.
        unsafe { heap.deallocate(memory.cast(), layout) };
    }
    check();
    println!("{} taken {}", heap.stats(), machine.frames_taken());
}

#[test]
fn a_heap_fills_a_32_bit_window() {
    let machine = Sim::<Plain32>::builder().build();
    let heap: Box<Heap<Sim<Plain32>, Hosted>> = Box::new(Heap::new());
    heap.init(&[Window::new(0xff00_0000, 1 << 24)], machine.clone())
        .expect("init");
    let mut live = Vec::new();
    let layout = Layout::from_size_align(100_000, 8).expect("layout");
    let error = loop {
        match heap.allocate(layout, AllocFlags::empty()) {
            Ok(m) => live.push(m),
            Err(e) => break e,
        }
    };
    println!("{} after {}\n{}", error, live.len(), heap.stats());
}
