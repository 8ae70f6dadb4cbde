//! A graph of objects whose pointers the heap bitmap knows, and a walk from one of them to all that
//! can be reached: no word is followed that only looks like a pointer.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::bits::{Description, Scannable};
use archipelago::{AllocFlags, Machine, ObjectView};
use archipelago_derive::Scannable;
use archipelago_qemu::{
    Boot, HEAP_WINDOW, KernelHeap, Verdict, entry, exit, println, protocol, start_heap,
};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// A town, and the roads that lead out of it.
#[derive(Scannable)]
struct Town {
    inhabitants: usize,
    roads: [Option<NonNull<Road>>; 2],
}

/// A road, which leads one way.
#[derive(Scannable)]
struct Road {
    miles: u32,
    to: Option<NonNull<Town>>,
}

fn main(boot: Boot) -> ! {
    let running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    protocol::plan(1);
    protocol::test(1, "what can be reached is found, and nothing else", || {
        let mill = town(30, [None, None]);
        let market = town(2000, [None, None]);
        let way = road(3, market);
        // A number that could be a pointer: to the mill, where no road leads.
        let harbour = town(mill.addr().get(), [Some(way), None]);
        let back = road(3, harbour);
        // SAFETY: the town is live, and nothing else uses it.
        unsafe { (*market.as_ptr()).roads[1] = Some(back) };

        let found = reachable(harbour.cast());
        let addresses: Vec<usize> = found.iter().map(|object| object.base.value()).collect();
        let expected = [harbour.addr(), way.addr(), market.addr(), back.addr()];
        assert_eq!(addresses, expected.map(usize::from));
    });
    running.check();
    exit(Verdict::Pass)
}

fn town(inhabitants: usize, roads: [Option<NonNull<Road>>; 2]) -> NonNull<Town> {
    make(Town { inhabitants, roads })
}

fn road(miles: u32, to: NonNull<Town>) -> NonNull<Road> {
    make(Road {
        miles,
        to: Some(to),
    })
}

/// Allocates a value, and has the bitmap describe it.
fn make<T: Scannable>(value: T) -> NonNull<T> {
    let object = Description::of::<T>();
    let memory = HEAP.allocate_scannable(Layout::new::<T>(), &object, AllocFlags::empty());
    let place = memory.expect("memory").cast();
    // SAFETY: the memory was allocated for such a value just now.
    unsafe { place.write(value) };
    place
}

/// The objects that can be reached from `root`, in the order in which they are found.
fn reachable(root: NonNull<u8>) -> Vec<ObjectView> {
    let machine = HEAP.machine().expect("the heap is initialised");
    let bits = HEAP.bits();
    let mut found: Vec<_> = HEAP.object_of(root).into_iter().collect();
    let mut next = 0;
    while let Some(object) = found.get(next).copied() {
        println!("# {} bytes at {}", object.bytes, object.base);
        for offset in bits.pointer_words(object).into_iter().flatten() {
            let base = machine.pointer(object.base);
            // SAFETY: the word lies in the object.
            let word = unsafe { base.byte_add(offset) };
            // SAFETY: its type says that it holds a pointer or null, and it was written.
            let pointer = unsafe { word.cast::<*mut u8>().read() };
            println!("#   pointer at byte {offset}: {pointer:p}");
            let to = NonNull::new(pointer).and_then(|to| HEAP.object_of(to));
            let new = to.filter(|to| !found.contains(to));
            found.extend(new);
        }
        next += 1;
    }
    found
}
