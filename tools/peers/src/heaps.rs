//! The heaps that are compared, each as a `GlobalAlloc` in a static.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use std::sync::Once;

use archipelago_host::HostHeap;
use archipelago_workloads::{Nothing, Row, Scale};
use rlsf::Tlsf;
use spin::Mutex;
use talc::TalcLock;
use talc::source::Manual;

use crate::kernels::{OneThread, Shared};

/// A heap that is compared.
#[derive(Clone, Copy)]
pub(crate) struct Heap {
    /// The name in tables.
    pub(crate) name: &'static str,
    /// The package that it is from, as the lock file has it.
    pub(crate) package: &'static str,
    heap: &'static (dyn GlobalAlloc + Sync),
    /// Gives the heap its memory, if it has to be given.
    give: Option<fn()>,
    /// Whether several threads may use the heap.
    pub(crate) is_shared: bool,
}

/// The name of the heap that one thread uses.
const NAME_OF_ONE: &str = if cfg!(feature = "trusting") {
    "archipelago-trusting"
} else {
    "archipelago-one"
};

/// Bytes of address space of a heap that has to be given its memory.
const GIVEN_BYTES: usize = 1 << 30;

/// Bytes of it that have frames from the beginning.
const MAPPED_BYTES: usize = 64 << 20;

/// The harness's own memory, so that no heap that is measured serves anything else.
#[global_allocator]
static HARNESS: HostHeap<Shared> = HostHeap::with_kernel(1 << 36);

/// The heap that several threads may use. A program has the crate with the feature `trusting` or
/// without it; one that has it leaves this heap out.
#[cfg(not(feature = "trusting"))]
static ARCHIPELAGO: HostHeap = HostHeap::new();
static ARCHIPELAGO_ONE: HostHeap<OneThread> = HostHeap::with_kernel(GIVEN_BYTES);
static TALC: TalcLock<Mutex<()>, Manual> = TalcLock::new(Manual);
static RLSF: Fits = Fits(Mutex::new(Tlsf::new()));
static LINKED_LIST: linked_list_allocator::LockedHeap = linked_list_allocator::LockedHeap::empty();
static BUDDY: buddy_system_allocator::LockedHeap<32> = buddy_system_allocator::LockedHeap::empty();

/// The heaps, in the order of columns. The first one costs what the harness costs.
const HEAPS: &[Heap] = &[
    Heap::new("null", "archipelago-workloads", &Nothing),
    #[cfg(not(feature = "trusting"))]
    Heap::new("archipelago", "archipelago-host", &ARCHIPELAGO),
    Heap::new(NAME_OF_ONE, "archipelago-host", &ARCHIPELAGO_ONE).for_one_thread(),
    Heap::new(
        "rusty_alloc",
        "rusty_alloc-api",
        &rusty_alloc_api::RustyAlloc,
    ),
    #[cfg(feature = "native")]
    Heap::new("mimalloc", "mimalloc", &mimalloc::MiMalloc),
    #[cfg(feature = "native")]
    Heap::new("snmalloc", "snmalloc-rs", &snmalloc_rs::SnMalloc),
    #[cfg(feature = "native")]
    Heap::new(
        "jemalloc",
        "tikv-jemallocator",
        &tikv_jemallocator::Jemalloc,
    ),
    Heap::new("talc", "talc", &TALC).given(|| {
        // SAFETY: the memory is the heap's alone.
        let claimed = unsafe { TALC.lock().claim(memory().cast(), GIVEN_BYTES) };
        assert!(claimed.is_some(), "a block large enough for its bins");
    }),
    Heap::new("rlsf", "rlsf", &RLSF).given(|| {
        let block = NonNull::new(ptr::slice_from_raw_parts_mut(memory().cast(), GIVEN_BYTES));
        // SAFETY: the memory is the heap's alone.
        let given = block.and_then(|block| unsafe { RLSF.0.lock().insert_free_block_ptr(block) });
        assert!(given.is_some(), "a block large enough for its header");
    }),
    Heap::new("linked_list", "linked_list_allocator", &LINKED_LIST).given(|| {
        // SAFETY: the memory is the heap's alone, and given once.
        unsafe { LINKED_LIST.lock().init(memory().cast(), GIVEN_BYTES) };
    }),
    Heap::new("buddy", "buddy_system_allocator", &BUDDY).given(|| {
        // SAFETY: the memory is the heap's alone, and given once.
        unsafe { BUDDY.lock().init(memory().addr(), GIVEN_BYTES) };
    }),
    Heap::new("dlmalloc", "dlmalloc", &dlmalloc::GlobalDlmalloc),
    Heap::new("system", "libc", &std::alloc::System),
];

/// Memory for a heap that has to be given some, as a kernel gives it that maps it beforehand: its
/// first pages have frames, more than most workloads take; the others have some when they are
/// touched.
fn memory() -> *mut MaybeUninit<u8> {
    let mut memory = Vec::<MaybeUninit<u8>>::with_capacity(GIVEN_BYTES);
    for page in memory.spare_capacity_mut()[..MAPPED_BYTES].chunks_mut(4096) {
        page[0] = MaybeUninit::new(MaybeUninit::new(0));
    }
    let memory = memory.leak().as_mut_ptr();
    // The heaps that take a number find the memory by it.
    memory.expose_provenance();
    memory
}

impl Heap {
    const fn new(
        name: &'static str,
        package: &'static str,
        heap: &'static (dyn GlobalAlloc + Sync),
    ) -> Self {
        Self {
            name,
            package,
            heap,
            give: None,
            is_shared: true,
        }
    }

    const fn for_one_thread(self) -> Self {
        Self {
            is_shared: false,
            ..self
        }
    }

    const fn given(self, give: fn()) -> Self {
        Self {
            give: Some(give),
            ..self
        }
    }

    /// All heaps.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        HEAPS.iter().copied()
    }

    /// The heap of that name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::all().find(|heap| heap.name == name)
    }

    /// The heap, with its memory. One thread opens heaps.
    pub(crate) fn open(&self) -> &'static (dyn GlobalAlloc + Sync) {
        static OPENED: [Once; HEAPS.len()] = [const { Once::new() }; HEAPS.len()];
        let index = HEAPS.iter().position(|heap| heap.name == self.name);
        if let (Some(index), Some(give)) = (index, self.give) {
            OPENED[index].call_once(give);
        }
        self.heap
    }

    /// Whether objects of the heap have memory, as all have but those of the harness.
    pub(crate) fn has_memory(&self) -> bool {
        self.name != "null"
    }

    /// How many requests of a row the heap can be asked to make under a profiler: `None` if it
    /// takes minutes, or does not run there.
    pub(crate) fn scale(&self, row: Row) -> Option<Scale> {
        if self.name == "snmalloc" {
            // Its map of pages takes 256 GiB of address space, of which valgrind has 128.
            return None;
        }
        let searches = self.name == "linked_list";
        let is_slow = searches || self.name == "buddy";
        match row {
            Row::Remote if !self.is_shared => None,
            Row::Fragments if is_slow => Some(Scale::Reduced),
            Row::Remote | Row::Churn10k | Row::Trace("git" | "rustc" | "jq") if searches => None,
            _ => Some(Scale::Full),
        }
    }
}

/// `rlsf`, with the lists that its documentation proposes, under a lock as the others have: the
/// crate brings none for memory that it is given.
struct Fits(Mutex<Tlsf<'static, u32, u32, 28, 32>>);

// SAFETY: the heap keeps the contract, and the lock serialises its calls.
unsafe impl GlobalAlloc for Fits {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.0.lock().allocate(layout);
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller passes a block of this heap with its layout.
            unsafe { self.0.lock().deallocate(pointer, layout.align()) };
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller passes a size that makes a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let Some(pointer) = NonNull::new(pointer) else {
            return ptr::null_mut();
        };
        // SAFETY: the caller passes a block of this heap with its layout.
        let block = unsafe { self.0.lock().reallocate(pointer, new) };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}
