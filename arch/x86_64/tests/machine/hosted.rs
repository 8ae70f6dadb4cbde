//! The machine with memory that can be touched: the host's mappings follow its page tables, as an
//! MMU would, so that its addresses are addresses of this process. The contract's own suite and a
//! whole heap run on it.

use core::alloc::Layout;
use core::ptr;

use alloc::boxed::Box;
use archipelago::{AllocFlags, Heap, Window};
use archipelago_api::conformance::{Contend, Exhaust};
use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use archipelago_sim::Hosted;
use archipelago_x86_64::{Paging, Tlb};
use core::ptr::NonNull;
use spin::Mutex;

use crate::physical::{Mapped, Over, PAGE, Physical, Source, each_page};

/// Physical memory in a file, of which frames can be mapped anywhere in the process.
#[derive(Clone, Debug)]
struct Board {
    file: libc::c_int,
    source: Source,
}

impl Board {
    fn new(frames: usize) -> Self {
        let bytes = frames * PAGE;
        // SAFETY: the name is a C string.
        let file = unsafe { libc::memfd_create(c"frames".as_ptr(), 0) };
        let length = libc::off_t::try_from(bytes).expect("a few megabytes");
        // SAFETY: it takes no pointers.
        assert_eq!(unsafe { libc::ftruncate(file, length) }, 0);
        let base = shared(ptr::null_mut(), bytes, 0, file, 0);
        // SAFETY: the memory was just mapped, by page, and is never unmapped.
        let physical = unsafe { Physical::at(base, frames) };
        Self {
            file,
            source: Source::over(physical),
        }
    }

    /// Has the host translate `range` as the page tables do.
    fn follow(&self, range: VirtRange) {
        for page in each_page(range) {
            let at = ptr::with_exposed_provenance_mut(page.value());
            match self.source.physical.ready(page) {
                Some(frame) => {
                    let offset = libc::off_t::try_from(frame).expect("a frame number") * 4096;
                    shared(at, PAGE, libc::MAP_FIXED, self.file, offset)
                }
                None => nothing(at, PAGE, libc::MAP_FIXED),
            };
        }
    }
}

/// Address space with a piece of the file behind it.
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

/// Address space with nothing behind it.
fn nothing(at: *mut u8, bytes: usize, flags: libc::c_int) -> *mut u8 {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    map(at, bytes, libc::PROT_NONE, flags, -1, 0)
}

fn map(
    at: *mut u8,
    bytes: usize,
    protection: libc::c_int,
    flags: libc::c_int,
    file: libc::c_int,
    offset: libc::off_t,
) -> *mut u8 {
    // SAFETY: a fixed place is always a page of a window that was mapped as nothing, and that is
    // the machine's alone.
    let mapped = unsafe { libc::mmap(at.cast(), bytes, protection, flags, file, offset) };
    assert_ne!(
        mapped,
        libc::MAP_FAILED,
        "{}",
        std::io::Error::last_os_error()
    );
    mapped.cast()
}

// SAFETY: what the page tables no longer hold, the process can no longer reach.
unsafe impl Tlb for Board {
    fn flush(&self, range: VirtRange) {
        self.follow(range);
    }
}

/// The machine, with the host following what becomes Ready. What ceases to be is followed when it
/// is flushed, and if it is not flushed, it stays reachable.
#[derive(Debug)]
struct Following {
    paging: Paging<Mapped, Source, &'static Mutex<(Mapped, Source)>, Board>,
    pair: &'static Mutex<(Mapped, Source)>,
    board: Board,
}

impl Following {
    fn new(frames: usize, returning: bool) -> Self {
        let board = Board::new(frames);
        let pair = (Mapped::over(board.source.physical), board.source.clone());
        let pair: &'static Mutex<(Mapped, Source)> = Box::leak(Box::new(Mutex::new(pair)));
        // SAFETY: the pair stays the same, and the host follows its tables.
        let paging = unsafe { Paging::shared(pair) };
        let paging = if returning {
            paging.returning()
        } else {
            paging
        };
        Self {
            paging: paging.with_tlb(board.clone()),
            pair,
            board,
        }
    }

    /// `bytes` of this process's address space, for a window.
    fn window(bytes: usize) -> VirtRange {
        let base = nothing(ptr::null_mut(), bytes, 0).expose_provenance();
        VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap")
    }
}

// SAFETY: as `Paging`, which it asks; the host follows what becomes Ready.
unsafe impl Machine for Following {
    const GEOMETRY: Geometry = Geometry::X86_64;

    type IndexRoot = <Paging<Mapped, Source> as Machine>::IndexRoot;

    fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        self.paging.reserve(range, patience)
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        // SAFETY: the caller promises what is asked for.
        unsafe { self.paging.prepare(range, patience) }
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        // SAFETY: the caller promises what is asked for.
        let contents = unsafe { self.paging.commit(range, patience) }?;
        self.board.follow(range);
        Ok(contents)
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller promises what is asked for.
        unsafe { self.paging.decommit(range, patience) }
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller promises what is asked for.
        unsafe { self.paging.fault(range, patience) }
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller promises what is asked for.
        unsafe { self.paging.release(range, patience) }
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        self.paging.pointer(addr)
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.paging.address(pointer)
    }

    fn footprint(&self) -> Footprint {
        self.paging.footprint()
    }
}

impl Exhaust for Following {
    fn set_available_frames(&self, frames: usize) {
        if frames == usize::MAX {
            self.board.source.heal();
        } else {
            self.board.source.fail(frames, true);
        }
    }

    fn frames_in_use(&self) -> usize {
        self.board.source.out()
    }
}

impl Contend for Following {
    fn while_held(&self, act: &mut dyn FnMut()) {
        let _held = self.pair.lock();
        act();
    }
}

/// A machine and a window of 21 pages over the end of a last-level table.
fn made(returning: bool) -> (Following, VirtRange) {
    const TABLE: usize = 2 << 20;
    let space = Following::window(2 * TABLE);
    let (low, _) = space.split_at(TABLE).expect("twice as long");
    let end = low.last().expect("not empty").align_down(TABLE);
    let base = end
        .checked_sub(9 * PAGE)
        .filter(|&base| space.contains(base));
    // A mapping that starts with a table has its first end one table further up.
    let base = base.unwrap_or(VirtAddr::new(end.value() + TABLE - 9 * PAGE));
    let window = VirtRange::new(base, 21 * PAGE).expect("does not wrap");
    assert!(space.contains_range(window));
    (Following::new(64, returning), window)
}

archipelago_api::conformance!(returning, made(true), exhaust, contend);
archipelago_api::conformance!(holding, made(false), exhaust, contend);

/// Allocates blocks of many sizes, frees every other, and allocates again, each filled with its
/// number; checks the account along the way.
fn exercise(returning: bool) {
    let machine = Following::new(4096, returning);
    let source = machine.board.source.clone();
    let heap: Box<Heap<Following, Hosted>> = Box::new(Heap::new());
    let window = Following::window(64 << 20);
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
        // SAFETY: `block` wrote all of it, and nobody has freed it.
        let bytes = unsafe { core::slice::from_raw_parts(memory.as_ptr(), layout.size()) };
        assert!(bytes.iter().all(|&byte| byte == fill));
        // SAFETY: it was allocated with this layout, and is freed once.
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
        heap.scavenge(usize::MAX).expect("nobody holds a lock");
        balanced();
        live = kept.into_iter().map(|(_, block)| block).collect();
        live.extend((0..150).map(|i| block(i + 300 * round)));
        balanced();
    }
    live.into_iter().for_each(free);
    heap.scavenge(usize::MAX).expect("nobody holds a lock");
    balanced();
}

#[test]
fn a_heap_on_it_keeps_what_is_written_and_accounts_for_every_frame() {
    exercise(true);
    exercise(false);
}
