//! Mistakes in freeing memory: the heap reports each and stops the machine.

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;

use archipelago_qemu::protocol;

use crate::{Case, Run};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "double_free",
        shows: "a double free is reported",
        run: Run::WithHeap(free_twice),
    },
    Case {
        name: "foreign_free",
        shows: "a foreign pointer is reported",
        run: Run::WithHeap(free_the_stack),
    },
    Case {
        name: "interior_free",
        shows: "a pointer into an object is reported",
        run: Run::WithHeap(free_the_middle),
    },
    Case {
        name: "wrong_layout",
        shows: "a wrong layout is reported",
        run: Run::WithHeap(free_as_another),
    },
];

fn free_twice() {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: the layout is not empty.
    let neighbour = unsafe { alloc(layout) };
    // SAFETY: the layout is not empty.
    let block = unsafe { alloc(layout) };
    // SAFETY:
    // - `alloc` returned the block, and nothing has freed it.
    // - It was allocated with this layout.
    unsafe { dealloc(block, layout) };
    let address = block.addr();
    protocol::must_say(format_args!(
        "{address:#x}: freed twice; layout: 64 bytes aligned to 8; span at "
    ));
    // SAFETY: broken on purpose: the block is freed already. The heap stops the machine.
    unsafe { dealloc(block, layout) };
    // SAFETY:
    // - `alloc` returned the block, and nothing has freed it.
    // - It was allocated with this layout.
    unsafe { dealloc(neighbour, layout) };
}

fn free_the_stack() {
    let mut number = 7_u64;
    let foreign = (&raw mut number).cast::<u8>();
    protocol::must_say(format_args!(
        "{foreign:p}: not an address of this heap; layout: 8 bytes aligned to 8"
    ));
    // SAFETY: broken on purpose: the number lies on the stack. The heap stops the machine.
    unsafe { dealloc(foreign, Layout::new::<u64>()) };
}

fn free_the_middle() {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: the layout is not empty.
    let block = unsafe { alloc(layout) };
    // SAFETY: the block is 64 bytes long, so the sum stays within it.
    let middle = unsafe { block.add(16) };
    protocol::must_say(format_args!(
        "{middle:p}: not the start of an object; layout: 64 bytes aligned to 8; span at "
    ));
    // SAFETY: broken on purpose: no object starts there. The heap stops the machine.
    unsafe { dealloc(middle, layout) };
}

fn free_as_another() {
    // SAFETY: the layout is not empty.
    let block = unsafe { alloc(Layout::new::<[u64; 8]>()) };
    protocol::must_say(format_args!(
        "{block:p}: not the layout it was allocated with; layout: 800 bytes aligned to 8; span at "
    ));
    // SAFETY: broken on purpose: the object is smaller than the layout. The heap stops the machine.
    unsafe { dealloc(block, Layout::new::<[u64; 100]>()) };
}
