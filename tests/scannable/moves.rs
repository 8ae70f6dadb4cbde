//! Reallocation with a description: the contents move along, wherever the object was.

use core::ptr::NonNull;

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocFlags, EarlyRegion, Heap};
use archipelago_api::Machine;
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window, on_every_geometry};

use crate::subject::{POINTER, Subject};

/// Contents stay, whether the object stays or moves; with `ZEROED` the bytes after them are zero.
fn contents_stay_and_the_rest_is_zero<G: SimGeometry>() {
    let (page, word) = (Rig::<G>::PAGE, Subject::<G>::WORD);
    let sizes = [
        40,
        56,
        64,
        600,
        9 * page,
        9 * page + word,
        30 * page,
        100,
        96,
    ];
    let mut subject = Subject::<G>::new();
    subject.array(&POINTER, 40 / word);
    for pair in sizes.windows(2) {
        let [old, new] = [pair[0], pair[1]].map(|bytes| layout(bytes / word * word, 8));
        let block = subject.live[0].block;
        dirty(block);
        block.fill(3);
        assert_eq!(block.layout, old);
        let object = Description::array(&POINTER, new.size() / word);
        // SAFETY: the object is live, and the new one is used from now on.
        let memory = unsafe {
            let heap = &subject.rig.heap;
            heap.reallocate_scannable(block.pointer, old, new, &object, AllocFlags::ZEROED)
        };
        let moved = subject.rig.vouch(memory.expect("memory"), new);
        let kept = old.size().min(new.size());
        assert_eq!(
            moved.find_damage(3, kept / 8 * 8),
            None,
            "{old:?} to {new:?}"
        );
        assert_eq!(moved.find_dirt(old.size()), None, "{old:?} to {new:?}");
        subject.live[0].block = moved;
        subject.live[0].words = (0..new.size() / word).collect();
        subject.check();
    }
}

/// Writes every byte that may be used.
fn dirty(block: Block) {
    // SAFETY: the bytes are the block's, all of them may be used, and no one else uses them.
    unsafe { block.pointer.write_bytes(0xa5, block.bytes) };
}

/// An object without bytes has no slot to stay in, neither before the reallocation nor after it.
fn without_bytes_nothing_stays<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    let (none, some) = (layout(0, 8), layout(64, 8));
    let heap = &subject.rig.heap;
    let nothing = heap.allocate(none, AllocFlags::empty()).expect("nothing");
    let object = Description::array(&POINTER, 64 / Subject::<G>::WORD);
    // SAFETY: it was allocated with this layout, and the new one is used from now on.
    let memory = unsafe {
        heap.reallocate_scannable(nothing.cast(), none, some, &object, AllocFlags::empty())
    };
    let block = subject.rig.vouch(memory.expect("memory"), some);
    let words = (0..64 / Subject::<G>::WORD).collect();
    subject.live.push(crate::subject::Live { block, words });
    subject.check();
    let block = subject.live.remove(0).block;
    let (heap, flags) = (&subject.rig.heap, AllocFlags::empty());
    // SAFETY: as above.
    let memory = unsafe {
        heap.reallocate_scannable(block.pointer, some, none, &Description::none(), flags)
    };
    assert_eq!(memory.expect("nothing").len(), 0);
    assert_eq!(heap.stats().small_objects, 0);
    subject.check();
}

on_every_geometry!(
    contents_stay_and_the_rest_is_zero,
    without_bytes_nothing_stays
);

/// An object of the early region moves to the heap, scannable or not.
#[test]
fn early_objects_move_over() {
    static EARLY: EarlyRegion<4096> = EarlyRegion::new();
    static HEAP: Heap<Sim<Plain32>, Hosted> = Heap::with_early(&EARLY);
    const NUMBERS: PointerMap<'_> = PointerMap::from_mask(1, 0);
    let old = layout(100, 8);
    let early = [(); 2].map(|()| {
        let memory = HEAP
            .allocate(old, AllocFlags::empty())
            .expect("early memory");
        let block = Block {
            pointer: memory.cast(),
            layout: old,
            bytes: old.size(),
        };
        block.fill(9);
        block
    });
    HEAP.init(&[lone_window::<Plain32>(1 << 24)], Sim::default())
        .expect("init");
    for (block, map) in early.iter().zip([&NUMBERS, &POINTER]) {
        let object = Description::array(map, 100 / Sim::<Plain32>::WORD_BYTES);
        // SAFETY: the block is live, and the new one is used from now on.
        let memory = unsafe {
            HEAP.reallocate_scannable(block.pointer, old, old, &object, AllocFlags::empty())
        };
        let pointer: NonNull<u8> = memory.expect("memory").cast();
        assert_ne!(pointer, block.pointer);
        let moved = Block { pointer, ..*block };
        assert_eq!(moved.find_damage(9, 100), None);
        // SAFETY: it was allocated with this layout, and is not used any more.
        unsafe { HEAP.deallocate(pointer, old) };
    }
    assert_eq!(HEAP.verify(), Ok(()));
}
