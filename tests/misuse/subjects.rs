//! The heaps: the whole heap, its early blocks, a flat heap, and the firmware heap.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt::Debug;
use core::ptr::NonNull;

use archipelago::{
    AllocFlags, CpuId, EarlyRegion, Heap, Kernel, Machine, Purpose, ReallocError, Report, VirtAddr,
};
use archipelago_firmware::FirmwareHeap;
use archipelago_flat::{FlatHeap, Small};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::lone_window;

/// A heap to be misused. Its objects are never used, so that any of them may be freed.
pub(crate) trait Subject: Sized {
    type Heap: GlobalAlloc;

    /// Bytes of an object that has pages of its own, an odd number of them.
    const LARGE: usize;

    /// Whether the CPU that frees owns the spans.
    const FREES_OWN: bool = false;

    fn new() -> Self;
    fn get(&self, layout: Layout) -> Option<NonNull<u8>>;
    fn free(&self, pointer: NonNull<u8>, layout: Layout);
    fn try_free(&self, pointer: NonNull<u8>, layout: Layout) -> Result<(), Report>;
    fn resize(&self, pointer: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>>;
    fn try_resize(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<Option<NonNull<u8>>, Report>;
    fn heap(&self) -> &Self::Heap;

    fn realloc(&self, pointer: NonNull<u8>, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: nobody uses an object of this heap.
        unsafe { self.heap().realloc(pointer.as_ptr(), layout, new_size) }
    }

    /// The first address in memory and the bytes of every live object, as the heap lists them.
    fn objects(&self) -> Vec<(usize, usize)>;

    /// A pointer into the heap's metadata.
    fn metadata(&self) -> NonNull<u8>;
    /// Checks the heap, and returns its account, which a refused call must not change.
    fn account(&self) -> impl Debug + PartialEq;
}

/// Implements the frees and changes of size of a heap that takes flags. `$go` is called before
/// each, with whether it is a free or a change of size.
macro_rules! with_flags {
    ($heap:ident $(, $go:ident)?) => {
        fn get(&self, layout: Layout) -> Option<NonNull<u8>> {
            $(self.$go(false);)?
            let memory = self.$heap.allocate(layout, AllocFlags::empty());
            memory.ok().map(NonNull::cast)
        }

        fn free(&self, pointer: NonNull<u8>, layout: Layout) {
            $(self.$go(true);)?
            // SAFETY: nobody uses an object of this heap.
            unsafe { self.$heap.deallocate(pointer, layout) };
        }

        fn try_free(&self, pointer: NonNull<u8>, layout: Layout) -> Result<(), Report> {
            $(self.$go(true);)?
            // SAFETY: nobody uses an object of this heap.
            unsafe { self.$heap.try_deallocate(pointer, layout) }
        }

        fn resize(&self, pointer: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
            $(self.$go(true);)?
            let flags = AllocFlags::empty();
            // SAFETY: nobody uses an object of this heap.
            let memory = unsafe { self.$heap.reallocate(pointer, old, new, flags) };
            memory.ok().map(NonNull::cast)
        }

        fn try_resize(
            &self,
            pointer: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<Option<NonNull<u8>>, Report> {
            $(self.$go(true);)?
            let flags = AllocFlags::empty();
            // SAFETY: nobody uses an object of this heap.
            match unsafe { self.$heap.try_reallocate(pointer, old, new, flags) } {
                Ok(memory) => Ok(Some(memory.cast())),
                Err(ReallocError::Misuse(report)) => Err(report),
                Err(_) => Ok(None),
            }
        }

        fn heap(&self) -> &Self::Heap {
            &self.$heap
        }
    };
}

/// Implements the list of objects of a heap that names them by their addresses in memory.
macro_rules! lists_memory {
    ($heap:ident) => {
        fn objects(&self) -> Vec<(usize, usize)> {
            let mut all = Vec::new();
            self.$heap
                .for_each_object(|address, bytes| all.push((address.value(), bytes)));
            all
        }
    };
}

/// Implements the account of a heap that can be verified.
macro_rules! accounts {
    ($heap:ident) => {
        fn account(&self) -> impl Debug + PartialEq {
            self.$heap.verify().expect("sound");
            self.$heap.stats()
        }
    };
}

/// The whole heap, with few frames.
pub(crate) struct Whole<G: SimGeometry> {
    heap: Box<Heap<Sim<G>, Hosted>>,
    machine: Sim<G>,
}

/// Bytes of the window of an [`Owned`]: enough for the blocks of its CPUs.
const OWNED_WINDOW: usize = 64 << 20;

/// A heap whose spans are those of CPU 0, which allocates. CPU `FREER` frees.
pub(crate) struct Owned<G: SimGeometry, K: Kernel, const FREER: u16> {
    heap: Box<Heap<Sim<G>, K>>,
    machine: Sim<G>,
}

impl<G: SimGeometry, K: Kernel, const FREER: u16> Owned<G, K, FREER> {
    #[expect(clippy::unused_self, reason = "other subjects need themselves")]
    fn go(&self, frees: bool) {
        Hosted::set_cpu(CpuId(if frees { FREER } else { 0 }));
    }
}

impl<G: SimGeometry, K: Kernel, const FREER: u16> Subject for Owned<G, K, FREER> {
    type Heap = Heap<Sim<G>, K>;

    const LARGE: usize = 41 * G::GEOMETRY.page_bytes();

    const FREES_OWN: bool = FREER == 0;

    fn new() -> Self {
        let machine = Sim::<G>::default();
        let heap: Box<Heap<Sim<G>, K>> = Box::default();
        heap.init(&[lone_window::<G>(OWNED_WINDOW)], machine.clone())
            .expect("a good window");
        let subject = Self { heap, machine };
        // The first request makes the block of the CPU.
        let layout = Layout::new::<[u64; 5]>();
        let first = subject.get(layout).expect("memory");
        subject.free(first, layout);
        let spans = subject.heap.stats().of(Purpose::Spans);
        assert!(spans > 4096, "no block");
        subject
    }

    with_flags!(heap, go);

    fn objects(&self) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        self.heap.for_each_object(|address, bytes| {
            let pointer = self.machine.pointer(address);
            all.push((pointer.addr().get(), bytes));
        });
        all
    }

    fn metadata(&self) -> NonNull<u8> {
        let last = lone_window::<G>(OWNED_WINDOW).base + OWNED_WINDOW - 64;
        self.machine.pointer(VirtAddr::new(last))
    }

    accounts!(heap);
}

/// Bytes of the window of a [`Whole`].
const fn window_bytes<G: SimGeometry>() -> usize {
    4 * G::GEOMETRY.arena_bytes()
}

impl<G: SimGeometry> Subject for Whole<G> {
    type Heap = Heap<Sim<G>, Hosted>;

    const LARGE: usize = 41 * G::GEOMETRY.page_bytes();

    fn new() -> Self {
        let bytes = 3 * Self::LARGE + (256 << 10);
        let frames = bytes / G::GEOMETRY.granule_bytes();
        let machine = Sim::builder().frames(frames).build();
        let heap: Box<Heap<Sim<G>, Hosted>> = Box::default();
        heap.set_limit(bytes);
        heap.init(&[lone_window::<G>(window_bytes::<G>())], machine.clone())
            .expect("a good window");
        Self { heap, machine }
    }

    with_flags!(heap);

    fn objects(&self) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        self.heap.for_each_object(|address, bytes| {
            let pointer = self.machine.pointer(address);
            all.push((pointer.addr().get(), bytes));
        });
        all
    }

    fn metadata(&self) -> NonNull<u8> {
        let bytes = window_bytes::<G>();
        let last = lone_window::<G>(bytes).base + bytes - 64;
        self.machine.pointer(VirtAddr::new(last))
    }

    accounts!(heap);
}

/// Blocks of an early heap. Nothing says how many there are.
pub(crate) struct Early<G: SimGeometry> {
    heap: Box<Heap<Sim<G>, Hosted>>,
    region: NonNull<u8>,
}

impl<G: SimGeometry> Subject for Early<G> {
    type Heap = Heap<Sim<G>, Hosted>;

    const LARGE: usize = 9 << 10;

    fn new() -> Self {
        let region: &'static EarlyRegion<{ 128 << 10 }> = Box::leak(Box::new(EarlyRegion::new()));
        let heap = Box::new(Heap::with_early(region));
        Self {
            heap,
            region: NonNull::from(region).cast(),
        }
    }

    with_flags!(heap);

    lists_memory!(heap);

    fn metadata(&self) -> NonNull<u8> {
        self.region
    }

    accounts!(heap);
}

/// The early blocks of a heap that has been initialised since.
pub(crate) struct EarlyAfterwards<G: SimGeometry>(Early<G>);

impl<G: SimGeometry> EarlyAfterwards<G> {
    /// Initialises the heap, which has next to no memory.
    pub(crate) fn init(early: Early<G>) -> Self {
        let machine = Sim::builder().build();
        let window = lone_window::<G>(window_bytes::<G>());
        early.heap.init(&[window], machine).expect("a good window");
        early.heap.set_limit(0);
        Self(early)
    }

    pub(crate) const fn early(&self) -> &Early<G> {
        &self.0
    }
}

/// Memory that is never freed, at a multiple of 4 KiB.
fn ram(bytes: usize) -> &'static mut [u8] {
    let memory = vec![0xa5_u8; bytes + 4096].leak();
    let skip = memory.as_ptr().align_offset(4096);
    &mut memory[skip..skip + bytes]
}

/// A flat heap.
pub(crate) struct Flat {
    heap: Box<FlatHeap<Hosted, Small<21, 10>>>,
    end: NonNull<u8>,
}

impl Subject for Flat {
    type Heap = FlatHeap<Hosted, Small<21, 10>>;

    const LARGE: usize = 41 << 10;

    fn new() -> Self {
        let ram = ram(256 << 10);
        let heap = Box::new(FlatHeap::empty());
        let (start, bytes) = (ram.as_mut_ptr(), ram.len());
        // SAFETY: the memory is never used otherwise, and never freed.
        unsafe { heap.init(start, bytes) }.expect("enough memory");
        let end = NonNull::new(start.wrapping_add(bytes - 2048)).expect("not null");
        Self { heap, end }
    }

    with_flags!(heap);

    lists_memory!(heap);

    fn metadata(&self) -> NonNull<u8> {
        self.end
    }

    accounts!(heap);
}

/// The firmware heap.
pub(crate) struct Firmware<const PAGE: usize> {
    heap: FirmwareHeap<Hosted, PAGE>,
    start: NonNull<u8>,
}

impl<const PAGE: usize> Subject for Firmware<PAGE> {
    type Heap = FirmwareHeap<Hosted, PAGE>;

    const LARGE: usize = 41 * PAGE;

    fn new() -> Self {
        let ram = ram(200 << 10);
        let heap = FirmwareHeap::empty();
        let start = NonNull::from(&mut *ram).cast();
        // SAFETY: the memory is never used otherwise, and one thread uses the heap.
        unsafe { heap.init(ram.as_mut_ptr(), ram.len()) }.expect("enough memory");
        Self { heap, start }
    }

    fn get(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.heap.allocate(layout)
    }

    fn free(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: nobody uses an object of this heap.
        unsafe { self.heap.deallocate(pointer, layout) };
    }

    fn try_free(&self, pointer: NonNull<u8>, layout: Layout) -> Result<(), Report> {
        // SAFETY: nobody uses an object of this heap.
        unsafe { self.heap.try_deallocate(pointer, layout) }
    }

    fn resize(&self, pointer: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        // SAFETY: nobody uses an object of this heap.
        unsafe { self.heap.reallocate(pointer, old, new) }
    }

    fn try_resize(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<Option<NonNull<u8>>, Report> {
        // SAFETY: nobody uses an object of this heap.
        unsafe { self.heap.try_reallocate(pointer, old, new) }
    }

    fn heap(&self) -> &Self::Heap {
        &self.heap
    }

    lists_memory!(heap);

    fn metadata(&self) -> NonNull<u8> {
        self.start
    }

    accounts!(heap);
}
