//! Machines with memory that can be touched, and a whole heap on one.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use archipelago::{AllocFlags, Heap, Window};
use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PhysAddr, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use archipelago_conformance::{Contend, Exhaust};
use archipelago_sim::Hosted;

use crate::{Board, PAGE, Walked};

/// A function that runs while the locks of a kernel are held.
type Act<'a> = &'a mut dyn FnMut();

/// A machine, with the host mapping pages that become Ready. The host unmaps pages when they are
/// flushed; without a flush they stay reachable.
pub struct Following<M, P: Walked> {
    machine: M,
    board: Board<P>,
    while_held: Box<dyn Fn(Act<'_>) + Send + Sync>,
}

impl<M: Machine, P: Walked> Following<M, P> {
    /// `machine` works on the board's frames and flushes through the board; `while_held` runs its
    /// argument with the kernel's locks held.
    #[must_use]
    pub fn new(
        machine: M,
        board: Board<P>,
        while_held: impl Fn(Act<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            machine,
            board,
            while_held: Box::new(while_held),
        }
    }
}

impl<M: fmt::Debug, P: Walked> fmt::Debug for Following<M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following")
            .field("machine", &self.machine)
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

// SAFETY: the inner machine keeps the contract, and the host maps pages that become Ready.
unsafe impl<M: Machine, P: Walked> Machine for Following<M, P> {
    const GEOMETRY: Geometry = M::GEOMETRY;

    type IndexRoot = M::IndexRoot;

    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.machine.reserve(range, patience) }
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        // SAFETY: the caller promises the machine's obligations.
        unsafe { self.machine.prepare(range, patience) }
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        // SAFETY: the caller promises the machine's obligations.
        let contents = unsafe { self.machine.commit(range, patience) }?;
        self.board.follow(range);
        Ok(contents)
    }

    unsafe fn commit_adjacent(
        &self,
        range: VirtRange,
        align: usize,
        patience: Patience,
    ) -> Result<PhysAddr, CommitError> {
        // SAFETY: the caller promises the machine's obligations.
        let first = unsafe { self.machine.commit_adjacent(range, align, patience) }?;
        self.board.follow(range);
        Ok(first)
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller promises the machine's obligations.
        unsafe { self.machine.decommit(range, patience) }
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller promises the machine's obligations.
        unsafe { self.machine.fault(range, patience) }
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller promises the machine's obligations.
        unsafe { self.machine.release(range, patience) }
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        self.machine.pointer(addr)
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.machine.address(pointer)
    }

    fn footprint(&self) -> Footprint {
        self.machine.footprint()
    }
}

impl<M: Machine, P: Walked> Exhaust for Following<M, P> {
    fn set_available_frames(&self, frames: usize) {
        match frames {
            usize::MAX => self.board.source.heal(),
            frames => self.board.source.fail(frames, true),
        }
    }

    fn frames_in_use(&self) -> usize {
        self.board.source.out()
    }
}

impl<M: Machine, P: Walked> Contend for Following<M, P> {
    fn while_held(&self, act: &mut dyn FnMut()) {
        (self.while_held)(act);
    }
}

/// Allocates blocks of many sizes, frees every other, and allocates again, each filled with its
/// number; checks the account along the way.
pub fn exercise<M: Machine, P: Walked>(machine: Following<M, P>, window: VirtRange) {
    let source = machine.board.source;
    let heap: Box<Heap<Following<M, P>, Hosted>> = Box::new(Heap::new());
    heap.init(
        &[Window::new(window.base().value(), window.bytes())],
        machine,
    )
    .expect("it is ours");
    let balanced = || {
        heap.verify().expect("it is sound");
        let stats = heap.stats();
        let Footprint {
            table_frames,
            held_frames,
        } = stats.footprint;
        assert_eq!(
            source.out(),
            stats.mapped_ready / PAGE + table_frames + held_frames
        );
    };
    let block = |number: usize| {
        let layout = Layout::from_size_align(1 + number * number % 30_000, 16).expect("small");
        let memory = heap
            .allocate(layout, AllocFlags::empty())
            .expect("there are frames");
        let fill = u8::try_from(number % 251).expect("below 251");
        // SAFETY: the block was just allocated.
        unsafe { memory.cast::<u8>().write_bytes(fill, layout.size()) };
        (memory.cast::<u8>(), layout, fill)
    };
    let free = |(memory, layout, fill): (NonNull<u8>, Layout, u8)| {
        // SAFETY: `block` wrote all of the memory, which is still allocated.
        let bytes = unsafe { core::slice::from_raw_parts(memory.as_ptr(), layout.size()) };
        assert!(bytes.iter().all(|&byte| byte == fill));
        // SAFETY:
        // - the block was allocated with this layout;
        // - nothing uses it any more.
        unsafe { heap.deallocate(memory, layout) };
    };
    let mut live: Vec<_> = (0..300).map(block).collect();
    balanced();
    for round in 0..4 {
        let (kept, dropped): (Vec<_>, Vec<_>) = live
            .into_iter()
            .enumerate()
            .partition(|(i, _)| i % 2 == round % 2);
        dropped.into_iter().for_each(|(_, block)| free(block));
        heap.scavenge(usize::MAX).expect("no lock is held");
        balanced();
        live = kept.into_iter().map(|(_, block)| block).collect();
        live.extend((0..150).map(|i| block(i + 300 * round)));
        balanced();
    }
    live.into_iter().for_each(free);
    heap.scavenge(usize::MAX).expect("no lock is held");
    balanced();
}
