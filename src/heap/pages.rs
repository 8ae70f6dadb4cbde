//! Runs of pages for the kernel: stacks, DMA buffers, and everything else that needs whole pages.

use core::alloc::Layout;
use core::fmt;
use core::mem;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine, VirtAddr};

use super::memory::run_memory;
use super::object_heap::Heap;
use super::request::{AllocError, refusal};
use crate::base::{PageIdx, PageRun};
use crate::pageheap::{Online, ReadyRun, Want};
use crate::region::{Cause, Purpose};

/// The pages of a heap, for a kernel that wants runs of them.
///
/// ```
/// use archipelago::{AllocFlags, Heap, Window};
/// use archipelago_sim::{Hosted, Plain32, Sim};
///
/// # let heap: Box<Heap<Sim<Plain32>, Hosted>> = Box::default();
/// # heap.init(&[Window::new(0x4000_0000, 64 << 20)], Sim::builder().build())?;
/// // A stack of four pages, aligned to 16 KiB.
/// let stack = heap.pages().allocate(4, 16 << 10, AllocFlags::ZEROED)?;
/// assert_eq!(stack.bytes(), 4 * 4096);
/// // It is freed when it is dropped.
/// drop(stack);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pages<'h, M: Machine, K: Kernel> {
    pub(crate) heap: &'h Heap<M, K>,
}

/// A run of Ready pages that belongs to its holder. Dropping it takes the page lock, and frees the
/// pages.
///
/// The run is no object of the heap: [`Heap::deallocate`] and [`Heap::owns`] do not know it.
#[must_use = "the pages are freed when the run is dropped"]
pub struct OwnedRun<'h, M: Machine, K: Kernel> {
    heap: &'h Heap<M, K>,
    /// Invariant: the pages are taken, Ready and charged to [`Purpose::Runs`], and this value alone
    /// names them.
    run: PageRun,
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// The pages of this heap.
    #[must_use]
    pub const fn pages(&self) -> Pages<'_, M, K> {
        Pages { heap: self }
    }
}

impl<'h, M: Machine, K: Kernel> Pages<'h, M, K> {
    /// Allocates `count` pages of the heap, at least one, whose first address is a multiple of
    /// `align` bytes, a power of two. An alignment below a page is that of a page.
    ///
    /// A request that would be refused is made again after CPUs have given up free memory that they
    /// keep: with [`AllocFlags::NO_GROW`], the empty spans of this CPU; else all that can be had
    /// (see [`Kernel::on_other_cpus`]).
    ///
    /// # Errors
    /// [`AllocError`] with the step that refused; [`Cause::NoSuchRun`] for no pages, and for an
    /// `align` that is not a power of two. The heap is as it was.
    /// # Locks
    /// Takes page, and unless [`AllocFlags::NO_GROW`] is set the growth gate, central, and the
    /// bitmap's (with the feature `heap-bits`).
    /// # Cost
    /// A search for free pages, and calls of the machine for pages that are not Ready.
    pub fn allocate(
        &self,
        count: usize,
        align: usize,
        flags: AllocFlags,
    ) -> Result<OwnedRun<'h, M, K>, AllocError> {
        let run = allocate_run(self, count, align, flags);
        run.map_err(|error| refusal(self.heap, error.layout, error.cause))
    }

    pub(super) fn own(
        &self,
        online: &Online<M>,
        ready: ReadyRun,
        flags: AllocFlags,
    ) -> OwnedRun<'h, M, K> {
        run_memory(online, &ready, flags);
        let run = ready.record();
        let ledger = self.heap.pages.ledger();
        ledger.transfer(Purpose::Objects, Purpose::Runs, run.bytes::<M>());
        OwnedRun {
            heap: self.heap,
            run,
        }
    }

    /// The run that [`OwnedRun::leak`] gave up, or `None` if its address is not in the space of the
    /// heap.
    ///
    /// # Safety
    /// - `memory` was returned by [`OwnedRun::leak`] of a run of this heap.
    /// - This function is called at most once for each such call, and nothing but its caller uses
    ///   the memory any more.
    #[must_use]
    pub unsafe fn recover(&self, memory: NonNull<[u8]>) -> Option<OwnedRun<'h, M, K>> {
        let machine = self.heap.machine()?;
        let first = PageIdx::of::<M>(machine.address(memory.cast())?)?;
        Some(OwnedRun {
            heap: self.heap,
            run: PageRun::new(first, memory.len() >> M::GEOMETRY.page_shift),
        })
    }

    /// Keeps `pages` Ready pages for atomic requests: [`Heap::set_reserve`].
    ///
    /// # Errors
    /// The step that refused; the reserve holds what could be had.
    pub fn set_reserve(&self, pages: usize) -> Result<(), Cause> {
        self.heap.set_reserve(pages)
    }

    /// Sets the most bytes that may be Ready: [`Heap::set_limit`].
    pub fn set_limit(&self, bytes: usize) {
        self.heap.set_limit(bytes);
    }

    /// Decommits up to `pages` free pages, and returns how many: [`Heap::scavenge`].
    ///
    /// # Errors
    /// [`Cause::Busy`] if the machine is in use and interrupts are masked.
    pub fn scavenge(&self, pages: usize) -> Result<usize, Cause> {
        self.heap.scavenge(pages)
    }

    /// Bytes of a page.
    #[must_use]
    pub const fn page_bytes(&self) -> usize {
        M::GEOMETRY.page_bytes()
    }
}

impl<M: Machine, K: Kernel> OwnedRun<'_, M, K> {
    /// The first address.
    #[must_use]
    pub fn base(&self) -> VirtAddr {
        self.run.first.address::<M>()
    }

    /// How many pages there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.run.count
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.run.bytes::<M>()
    }

    /// The memory: Ready and the holder's alone until the run is dropped.
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<[u8]> {
        let start = match self.heap.machine() {
            Some(machine) => machine.pointer(self.base()),
            // There are no runs of a heap without a machine.
            None => NonNull::dangling(),
        };
        NonNull::slice_from_raw_parts(start, self.bytes())
    }

    /// Adds the `more` pages that follow, in place.
    ///
    /// # Errors
    /// [`AllocError`] with [`Cause::NotFree`] if they are not free pages of the heap, or with the
    /// step that refused. The run is as it was.
    /// # Locks
    /// As [`Pages::allocate`].
    pub fn extend(&mut self, more: usize, flags: AllocFlags) -> Result<(), AllocError> {
        let added = extend_run(self, more, flags);
        added.map_err(|error| refusal(self.heap, error.layout, error.cause))
    }

    /// Frees the pages after the first `count`; nothing happens if there are no more.
    ///
    /// # Locks
    /// Takes page.
    pub fn shrink(&mut self, count: usize) {
        let kept = count.min(self.run.count);
        let gone = PageRun::between(self.run.first.plus(kept), self.run.end());
        self.run.count = kept;
        drop(OwnedRun {
            heap: self.heap,
            run: gone,
        });
    }

    /// Gives the pages up: they stay allocated until [`Pages::recover`].
    #[must_use = "the pages are lost without their address"]
    pub fn leak(self) -> NonNull<[u8]> {
        let memory = self.as_ptr();
        mem::forget(self);
        memory
    }
}

/// [`Pages::allocate`], without a count of refusals.
fn allocate_run<'h, M: Machine, K: Kernel>(
    pages: &Pages<'h, M, K>,
    count: usize,
    align: usize,
    flags: AllocFlags,
) -> Result<OwnedRun<'h, M, K>, AllocError> {
    let layout = layout_of::<M>(count, align)?;
    let refused = |cause| AllocError { layout, cause };
    let online = pages.heap.ready_to_allocate(flags).map_err(refused)?;
    let want = Heap::<M, K>::wanted(layout).map_err(refused)?;
    let heap = pages.heap;
    let mut ready = heap.pages.alloc(online, want, flags, heap);
    if Heap::<M, K>::HAS_CPUS && ready.is_err() && heap.cpus().make_way(online, flags) {
        ready = heap.pages.alloc(online, want, flags, heap);
    }
    let run = pages.own(online, ready.map_err(refused)?, flags);
    pages.heap.refill_if_low(online, flags);
    Ok(run)
}

/// [`OwnedRun::extend`], without a count of refusals.
fn extend_run<M: Machine, K: Kernel>(
    owned: &mut OwnedRun<'_, M, K>,
    more: usize,
    flags: AllocFlags,
) -> Result<(), AllocError> {
    if more == 0 {
        return Ok(());
    }
    let whole = layout_of::<M>(owned.run.count.saturating_add(more), 1)?;
    Heap::<M, K>::wanted(whole).map_err(|cause| AllocError {
        layout: whole,
        cause,
    })?;
    let layout = layout_of::<M>(more, 1)?;
    let refused = |cause| AllocError { layout, cause };
    let online = owned.heap.ready_to_allocate(flags).map_err(refused)?;
    let want = Want::pages(more);
    // The reserve is not refilled here: it could take the very pages that are to be added.
    let heap = owned.heap;
    let mut added = heap.pages.extend(online, owned.run, want, flags, heap);
    // Pages that are in use are not worth the spans of all CPUs.
    let is_short = matches!(added, Err(cause) if !matches!(cause, Cause::NotFree { .. }));
    if Heap::<M, K>::HAS_CPUS && is_short && heap.cpus().make_way(online, flags) {
        added = heap.pages.extend(online, owned.run, want, flags, heap);
    }
    let added = owned
        .heap
        .pages()
        .own(online, added.map_err(refused)?, flags);
    owned.run.count += added.run.count;
    mem::forget(added);
    Ok(())
}

/// The layout of `count` pages, aligned to `align` bytes and at least to a page.
///
/// # Errors
/// [`Cause::NoSuchRun`] for no pages, and for an `align` that is not a power of two;
/// [`Cause::TooLarge`] for more pages than a run can have.
pub(super) fn layout_of<M: Machine>(pages: usize, align: usize) -> Result<Layout, AllocError> {
    let refused = |cause| AllocError {
        layout: Layout::new::<()>(),
        cause,
    };
    if pages == 0 || !align.is_power_of_two() {
        return Err(refused(Cause::NoSuchRun { pages, align }));
    }
    let page_bytes = M::GEOMETRY.page_bytes();
    let bytes = pages.saturating_mul(page_bytes);
    Layout::from_size_align(bytes, align.max(page_bytes)).map_err(|_| {
        refused(Cause::TooLarge {
            bytes: bytes.max(align),
            most: isize::MAX.unsigned_abs() & !(page_bytes - 1),
        })
    })
}

impl<M: Machine, K: Kernel> Drop for OwnedRun<'_, M, K> {
    fn drop(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let pages = &self.heap.pages;
        pages
            .ledger()
            .transfer(Purpose::Runs, Purpose::Objects, self.bytes());
        // SAFETY: 1. the pages are taken and Ready, by the invariant of this value, and are charged
        // to objects now;
        // 2. this value alone names them, and goes; whoever got their address from it uses them no
        // more, as `as_ptr` and `leak` say.
        pages.free(unsafe { ReadyRun::assume(self.run) });
    }
}

impl<M: Machine, K: Kernel> fmt::Debug for Pages<'_, M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

impl<M: Machine, K: Kernel> fmt::Debug for OwnedRun<'_, M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedRun({} pages at {})", self.run.count, self.base())
    }
}
