//! A heap on a simulated machine, and the checks that can be made from outside.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocError, AllocFlags, Heap, InitFailure, Purpose, Window};
use archipelago_api::{Machine, VirtAddr};
use archipelago_sim::{Hosted, Sim, SimGeometry, State};

use crate::block::Block;
use crate::placements::lone_window;

/// A heap, and a handle of the machine that it runs on.
///
/// ```
/// use archipelago::AllocFlags;
/// use archipelago_sim::Small;
/// use archipelago_testing::{Rig, layout};
///
/// let rig = Rig::<Small>::new();
/// let block = rig.allocate(layout(100, 8), AllocFlags::ZEROED).expect("memory");
/// assert_eq!(block.find_dirt(0), None);
/// rig.free(block);
/// rig.check();
/// ```
#[derive(Debug)]
pub struct Rig<G: SimGeometry> {
    /// The heap's machine.
    pub machine: Sim<G>,
    /// The heap, which does not move in memory.
    pub heap: Box<Heap<Sim<G>, Hosted>>,
}

impl<G: SimGeometry> Default for Rig<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: SimGeometry> Rig<G> {
    /// Bytes of a page.
    pub const PAGE: usize = G::GEOMETRY.page_bytes();

    /// A heap in one window of 4 arenas on a machine without a limit of frames.
    #[must_use]
    pub fn new() -> Self {
        let window = lone_window::<G>(4 * G::GEOMETRY.arena_bytes());
        Self::on(Sim::builder().build(), &[window])
    }

    /// A heap in `windows` on `machine`.
    #[must_use]
    pub fn on(machine: Sim<G>, windows: &[Window]) -> Self {
        let rig = Self::uninitialised(machine);
        rig.init(windows).expect("good windows and enough memory");
        rig
    }

    /// A heap that is not initialised, to be given `machine`.
    #[must_use]
    pub fn uninitialised(machine: Sim<G>) -> Self {
        Self {
            machine,
            heap: Box::new(Heap::new()),
        }
    }

    /// Initialises the heap.
    ///
    /// # Errors
    /// As [`Heap::init`].
    pub fn init(&self, windows: &[Window]) -> Result<(), InitFailure<Sim<G>>> {
        self.heap.init(windows, self.machine.clone())
    }

    /// Allocates, and checks the promises of the result: at least as large as asked for, aligned,
    /// in memory that the heap owns and that is Ready from end to end.
    ///
    /// # Errors
    /// As [`Heap::allocate`].
    pub fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<Block, AllocError> {
        let memory = self.heap.allocate(layout, flags)?;
        Ok(self.vouch(memory, layout))
    }

    /// Allocates as an ordinary request, for which there has to be memory.
    #[must_use]
    pub fn get(&self, size: usize, align: usize) -> Block {
        let layout = crate::layout(size, align);
        self.allocate(layout, AllocFlags::empty()).expect("memory")
    }

    /// Reallocates `block` to `size` bytes of the same alignment, and checks the promises of the
    /// result.
    ///
    /// # Errors
    /// As [`Heap::reallocate`]; the block is as it was.
    pub fn resize(
        &self,
        block: Block,
        size: usize,
        flags: AllocFlags,
    ) -> Result<Block, AllocError> {
        let new = crate::layout(size, block.layout.align());
        // SAFETY: the block is live, and the test uses the new one from now on.
        let memory = unsafe {
            self.heap
                .reallocate(block.pointer, block.layout, new, flags)
        }?;
        Ok(self.vouch(memory, new))
    }

    /// Frees a live block.
    pub fn free(&self, block: Block) {
        // SAFETY: the test allocated the block with its layout and uses it no more.
        unsafe { self.heap.deallocate(block.pointer, block.layout) };
    }

    /// Checks the promises of memory that the heap returned for `layout`.
    ///
    /// # Panics
    /// If it is too short, misaligned, not the heap's, or not Ready from end to end.
    #[must_use]
    pub fn vouch(&self, memory: NonNull<[u8]>, layout: Layout) -> Block {
        let pointer = memory.cast::<u8>();
        assert!(
            memory.len() >= layout.size(),
            "{layout:?} got {} bytes",
            memory.len()
        );
        assert_eq!(
            pointer.addr().get() % layout.align(),
            0,
            "{layout:?} got {pointer:?}"
        );
        if layout.size() > 0 {
            let address = self
                .machine
                .address(pointer)
                .expect("an address in a window");
            let last = VirtAddr::new(address.value() + (memory.len() - 1));
            assert!(
                address.is_aligned(layout.align()),
                "{layout:?} got {address}"
            );
            assert!(
                self.heap.owns(address) && self.heap.owns(last),
                "{address} is not owned"
            );
            self.machine.check_access(address, memory.len());
        }
        Block {
            pointer,
            layout,
            bytes: memory.len(),
        }
    }

    /// The address of a block in the machine's space.
    #[must_use]
    pub fn address(&self, block: Block) -> VirtAddr {
        self.machine
            .address(block.pointer)
            .expect("an address in a window")
    }

    /// Has the heap check its invariants.
    ///
    /// # Panics
    /// If one is broken.
    pub fn verify(&self) {
        let verified = self.heap.verify();
        assert_eq!(verified, Ok(()), "{}", self.heap.stats());
    }

    /// Checks everything that is visible from outside in a quiet moment: the identity of frames,
    /// the sum by purpose, the agreement of account and machine on each state, and the count of
    /// pages.
    ///
    /// # Panics
    /// If the account does not add up; the message says where.
    pub fn check(&self) {
        let stats = self.heap.stats();
        let granule = G::GEOMETRY.granule_bytes();
        let frames = self.machine.frames_taken() - self.machine.frames_returned();
        let accounted = stats.mapped_ready / granule
            + stats.footprint.table_frames
            + stats.footprint.held_frames;
        assert_eq!(frames, accounted, "frames taken and not returned\n{stats}");
        assert_eq!(stats.sum(), stats.mapped_ready, "sum by purpose\n{stats}");
        let bytes_in = |state| self.machine.count(state) * granule;
        assert_eq!(bytes_in(State::Ready), stats.mapped_ready, "Ready\n{stats}");
        assert_eq!(
            bytes_in(State::Prepared),
            stats.prepared,
            "Prepared\n{stats}"
        );
        assert_eq!(
            bytes_in(State::Reserved),
            stats.reserved,
            "Reserved\n{stats}"
        );
        let free_ready = (stats.free_pages - stats.scavenged_pages) * Self::PAGE;
        assert_eq!(stats.of(Purpose::Free), free_ready, "free pages\n{stats}");
        let in_use = [Purpose::Objects, Purpose::Reserve, Purpose::Runs];
        let in_use: usize = in_use.iter().map(|purpose| stats.of(*purpose)).sum();
        let in_use = in_use + (stats.record_pages + stats.bitmap_pages) * Self::PAGE;
        let taken = (stats.owned_pages - stats.free_pages) * Self::PAGE;
        assert_eq!(in_use, taken, "pages in use\n{stats}");
    }
}
