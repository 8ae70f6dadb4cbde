//! Machines with memory that can be touched: the host's mappings follow page tables that lie in
//! ordinary memory, as an MMU would, so that the addresses are addresses of this process. Shared by
//! the tests of every machine with page tables.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use alloc::boxed::Box;
use archipelago::{AllocFlags, Heap, Window};
use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use archipelago_conformance::{Contend, Exhaust};
use archipelago_paging::Tlb;
use archipelago_sim::Hosted;

const PAGE: usize = 4096;

/// Frames, and the page walk of a CPU over tables in them.
pub(crate) trait Frames: Clone + Send + Sync + 'static {
    /// A source of `frames` frames at `base`.
    ///
    /// # Safety
    /// - `frames` pages from `base` belong to the caller and are never freed.
    /// - `base` is aligned to a page.
    unsafe fn over(base: *mut u8, frames: usize) -> Self;
    /// The number of the frame that the page translates to, if it does.
    fn ready(&self, page: VirtAddr) -> Option<usize>;
    /// Fails requests for frames after `frames` of them, or no more.
    fn limit(&self, frames: Option<usize>);
    /// Frames that were taken and not given back.
    fn out(&self) -> usize;
}

/// Physical memory in a file, of which frames can be mapped anywhere in the process.
#[derive(Clone, Debug)]
pub(crate) struct Board<F> {
    file: libc::c_int,
    pub(crate) frames: F,
}

impl<F: Frames> Board<F> {
    pub(crate) fn new(frames: usize) -> Self {
        let bytes = frames * PAGE;
        // SAFETY: the name is a C string.
        let file = unsafe { libc::memfd_create(c"frames".as_ptr(), 0) };
        let length = libc::off_t::try_from(bytes).expect("a few megabytes");
        // SAFETY: it takes no pointers.
        assert_eq!(unsafe { libc::ftruncate(file, length) }, 0);
        let base = shared(ptr::null_mut(), bytes, 0, file, 0);
        // SAFETY: the memory was just mapped, by page, and is never unmapped.
        let frames = unsafe { F::over(base, frames) };
        Self { file, frames }
    }

    /// Has the host translate `range` as the page tables do.
    fn follow(&self, range: VirtRange) {
        let at = |page: usize| ptr::with_exposed_provenance_mut(page);
        let base = range.base().value();
        // In one go, since most flushed pages are absent.
        nothing(at(base), range.bytes(), libc::MAP_FIXED);
        for page in (base..base + range.bytes()).step_by(PAGE) {
            if let Some(frame) = self.frames.ready(VirtAddr::new(page)) {
                let offset = libc::off_t::try_from(frame).expect("a frame number") * 4096;
                shared(at(page), PAGE, libc::MAP_FIXED, self.file, offset);
            }
        }
    }
}

/// Address space backed by a piece of the file.
fn shared(
    at: *mut u8,
    bytes: usize,
    flags: libc::c_int,
    file: libc::c_int,
    offset: libc::off_t,
) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    map(
        at,
        bytes,
        protection,
        flags | libc::MAP_SHARED,
        file,
        offset,
    )
}

/// Address space that nothing backs.
fn nothing(at: *mut u8, bytes: usize, flags: libc::c_int) -> *mut u8 {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    map(at, bytes, libc::PROT_NONE, flags, -1, 0)
}

/// `bytes` of this process's address space, a multiple of the 4 MiB that tables may serve and
/// aligned to that; with `low`, in the lower 32 bits.
pub(crate) fn space(bytes: usize, low: bool) -> VirtRange {
    const SERVED: usize = 4 << 20;
    assert_eq!(bytes % SERVED, 0);
    let flags = if low { libc::MAP_32BIT } else { 0 };
    let base = nothing(ptr::null_mut(), bytes + SERVED, flags).expose_provenance();
    VirtRange::new(VirtAddr::new(base.next_multiple_of(SERVED)), bytes).expect("does not wrap")
}

fn map(
    at: *mut u8,
    bytes: usize,
    protection: libc::c_int,
    flags: libc::c_int,
    file: libc::c_int,
    offset: libc::off_t,
) -> *mut u8 {
    // SAFETY: a fixed address is always that of a page in a window that `nothing` mapped, and the
    // window is the machine's alone.
    let mapped = unsafe { libc::mmap(at.cast(), bytes, protection, flags, file, offset) };
    assert_ne!(
        mapped,
        libc::MAP_FAILED,
        "{}",
        std::io::Error::last_os_error()
    );
    mapped.cast()
}

// SAFETY: after a flush the process can only reach pages that the page tables still map.
unsafe impl<F: Frames> Tlb for Board<F> {
    fn flush(&self, range: VirtRange) {
        self.follow(range);
    }
}

/// A function that runs while the locks of a kernel are held.
type Act<'a> = &'a mut dyn FnMut();

/// A machine, with the host mapping pages that become Ready. The host unmaps pages when they are
/// flushed; without a flush they stay reachable.
pub(crate) struct Following<M, F> {
    machine: M,
    pub(crate) board: Board<F>,
    while_held: Box<dyn Fn(Act<'_>) + Send + Sync>,
}

impl<M: Machine, F: Frames> Following<M, F> {
    /// `machine` works on the board's frames and flushes through the board; `while_held` runs its
    /// argument with the kernel's locks held.
    pub(crate) fn new(
        machine: M,
        board: Board<F>,
        while_held: impl Fn(Act<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            machine,
            board,
            while_held: Box::new(while_held),
        }
    }
}

// SAFETY: the inner machine keeps the contract, and the host maps pages that become Ready.
unsafe impl<M: Machine, F: Frames> Machine for Following<M, F> {
    const GEOMETRY: Geometry = M::GEOMETRY;

    type IndexRoot = M::IndexRoot;

    fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        self.machine.reserve(range, patience)
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

impl<M: Machine, F: Frames> Exhaust for Following<M, F> {
    fn set_available_frames(&self, frames: usize) {
        self.board
            .frames
            .limit(Some(frames).filter(|&frames| frames != usize::MAX));
    }

    fn frames_in_use(&self) -> usize {
        self.board.frames.out()
    }
}

impl<M: Machine, F: Frames> Contend for Following<M, F> {
    fn while_held(&self, act: &mut dyn FnMut()) {
        (self.while_held)(act);
    }
}

/// A window of 21 pages over the end of a last-level table of `bytes`.
pub(crate) fn over_the_end_of_a_table(bytes: usize, low: bool) -> VirtRange {
    let space = space(8 << 20, low);
    let end = space.base().value() + bytes;
    VirtRange::new(VirtAddr::new(end - 9 * PAGE), 21 * PAGE).expect("does not wrap")
}

/// Allocates blocks of many sizes, frees every other, and allocates again, each filled with its
/// number; checks the account along the way.
pub(crate) fn exercise<M: Machine, F: Frames>(machine: Following<M, F>, window: VirtRange) {
    let frames = machine.board.frames.clone();
    let heap: Box<Heap<Following<M, F>, Hosted>> = Box::new(Heap::new());
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
            frames.out(),
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
