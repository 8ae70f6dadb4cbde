//! The heap of a kernel, on page tables and frames that the kernel uses as well.

use core::fmt;

use archipelago::{Heap, Stats, Window};
use archipelago_api::context::{Context, Ordinary};
use spin::MutexGuard;

use crate::account::{Account, Imbalance};
use crate::boot::Boot;
use crate::info::BootInfo;
#[cfg(not(mmu))]
use crate::machine::machine;
use crate::machine::{Frames, HeapMachine, Mapper, SingleCpu, physmap};
#[cfg(mmu)]
use crate::mmu::machine;
use crate::shared::{Memory, share_memory};

/// The heap. `C` gives the flags of requests that come through `GlobalAlloc`.
pub type KernelHeap<C = Ordinary> = Heap<HeapMachine, SingleCpu<C>>;

/// A kernel whose heap is initialised.
pub struct Running<C: Context = Ordinary> {
    /// The boot loader's information.
    pub info: BootInfo,
    /// The heap.
    pub heap: &'static KernelHeap<C>,
    memory: &'static Memory,
    account: Account,
}

impl<C: Context> fmt::Debug for Running<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// Initialises `heap` with `windows`, on the boot code's page tables and frames. Frames go back to
/// the pool as soon as the heap does not need them.
///
/// # Panics
/// On a second call, and if the heap refuses; the reason is the message.
pub fn start_heap<C: Context>(
    boot: Boot,
    heap: &'static KernelHeap<C>,
    windows: &[Window],
) -> Running<C> {
    let account = Account::open(&boot.frames);
    let info = boot.info;
    let memory = share_memory(boot);
    initialise(heap, windows, memory);
    Running {
        info,
        heap,
        memory,
        account,
    }
}

fn initialise<C: Context>(
    heap: &'static KernelHeap<C>,
    windows: &[Window],
    memory: &'static Memory,
) {
    if let Err(failure) = heap.init(windows, machine(memory)) {
        panic!("the heap is not initialised: {failure}");
    }
}

impl<C: Context> Running<C> {
    /// The account, checked by [`check`](Self::check) first.
    ///
    /// # Panics
    /// As [`check`](Self::check).
    #[must_use]
    #[track_caller]
    pub fn checked_stats(&self) -> Stats {
        self.check();
        self.heap.stats()
    }

    /// The page tables and the frames. While the guard lives, the heap cannot grow.
    #[must_use]
    pub fn memory(&self) -> MutexGuard<'static, (Mapper, Frames)> {
        self.memory.lock()
    }

    /// The lock around them.
    #[must_use]
    pub fn shared_memory(&self) -> &'static Memory {
        self.memory
    }

    /// Another heap on the same memory, with an account of its own. The frames of this heap count
    /// as the rest of the kernel's there, so their number must not change while the other's account
    /// is checked. The windows of the two heaps share no page table.
    ///
    /// # Panics
    /// If the other heap refuses; the reason is the message.
    #[must_use]
    pub fn beside(&self, heap: &'static KernelHeap<C>, windows: &[Window]) -> Self {
        let account = Account::open(&self.memory.lock().1);
        initialise(heap, windows, self.memory);
        Self {
            info: self.info,
            heap,
            memory: self.memory,
            account,
        }
    }

    /// Takes memory for `count` values of `value` out of the frame pool, for good.
    #[must_use]
    pub fn carve<T: Copy>(&self, count: usize, value: T) -> Option<&'static mut [T]> {
        let bytes = count.checked_mul(size_of::<T>())?;
        let range = self.memory.lock().1.carve(bytes)?;
        let first: *mut T = physmap(range.start).cast();
        for index in 0..count {
            // SAFETY: the range is that large.
            let place = unsafe { first.add(index) };
            // SAFETY: the physmap maps the range, which nothing else uses, and frames are aligned
            // for everything up to their size.
            unsafe { place.write(value) };
        }
        // SAFETY: all values were written just now, and only this slice uses the range.
        Some(unsafe { core::slice::from_raw_parts_mut(first, count) })
    }

    /// Frames that the heap has.
    #[must_use]
    pub fn heap_frames(&self) -> u64 {
        self.account.frames(&self.memory.lock().1)
    }

    /// Checks the heap's account against the frame pool's.
    ///
    /// # Errors
    /// The identity that does not hold.
    pub fn balance(&self) -> Result<(), Imbalance> {
        let stats = self.heap.stats();
        self.account.check(&self.memory.lock().1, &stats)
    }

    /// Checks the account and every invariant of the heap.
    ///
    /// # Panics
    /// If one does not hold; the message says which.
    #[track_caller]
    pub fn check(&self) {
        if let Err(violation) = self.heap.verify() {
            panic!("the heap is not sound: {violation}");
        }
        if let Err(imbalance) = self.balance() {
            panic!("the account is wrong: {imbalance}");
        }
    }
}
