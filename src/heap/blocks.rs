//! The blocks of CPUs as the heap sees them: entered, and made to give spans up.

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::{CpuSlot, Kernel, Machine};

use super::object_heap::Heap;
use crate::arena::SpanHandle;
use crate::pageheap::Online;
use crate::region::LINE_BYTES;
use crate::span::{BlockPlace, CpuBlock, Emptied, Entered, Kind, Lists, SpanMap, Tag};

/// The CPUs of a heap that own spans.
pub(crate) struct Cpus<'a, M: Machine, K: Kernel> {
    pub(super) heap: &'a Heap<M, K>,
}

impl<M: Machine, K: Kernel> Clone for Cpus<'_, M, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Machine, K: Kernel> Copy for Cpus<'_, M, K> {}

impl<M: Machine, K: Kernel> fmt::Debug for Cpus<'_, M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cpus")
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// The CPUs that own spans.
    #[inline(always)]
    pub(crate) const fn cpus(&self) -> Cpus<'_, M, K> {
        Cpus { heap: self }
    }
}

impl<'a, M: Machine, K: Kernel> Cpus<'a, M, K> {
    /// Whether the heap enters the blocks of CPUs that are offline in a way of its own. Where
    /// threads may come between it enters those of all CPUs, and where nothing may, nobody marks a
    /// block.
    pub(super) const VISITS: bool = K::CPUS > 1 && K::REENTRY.is_by_handlers();

    /// The block of this CPU, if there is one.
    #[inline(always)]
    pub(super) fn block(self) -> Option<&'a CpuBlock> {
        if !Heap::<M, K>::HAS_CPUS {
            return None;
        }
        self.block_of(Self::this_cpu())
    }

    /// The number of the CPU that this runs on.
    #[inline(always)]
    pub(super) fn this_cpu() -> usize {
        if K::CPUS == 1 {
            0
        } else {
            usize::from(K::current_cpu().0)
        }
    }

    /// The block of CPU `number`, if there is one.
    #[inline(always)]
    pub(super) fn block_of(self, number: usize) -> Option<&'a CpuBlock> {
        let block = self.block_or_nobodys(number)?;
        (K::CPUS != 1 || !core::ptr::eq(block, CpuBlock::nobodys().as_ptr())).then_some(block)
    }

    /// The block of CPU `number`, if there is one; of a kernel's one CPU, nobody's before it is
    /// made.
    #[inline(always)]
    fn block_or_nobodys(self, number: usize) -> Option<&'a CpuBlock> {
        let first = self.heap.central.blocks.first.load(Ordering::Acquire);
        let block = if K::CPUS == 1 {
            // SAFETY: the pointer is never null where there is one CPU.
            unsafe { NonNull::new_unchecked(first.cast()) }
        } else {
            Self::place_in(NonNull::new(first)?, number)?.block()?
        };
        // SAFETY: blocks were set up before they were published, stay, and are shared.
        Some(unsafe { block.as_ref() })
    }

    /// The block of the CPU that has given a span this tag.
    ///
    /// # Safety
    /// A block of this heap has given a span the tag, and the caller sees all that was done before.
    #[inline(always)]
    pub(super) unsafe fn block_of_owner(self, tag: Tag) -> &'a CpuBlock {
        let first = self.heap.central.blocks.first.load(Ordering::Acquire);
        // SAFETY: the span is a CPU's, which has a block.
        let first = unsafe { NonNull::new_unchecked(first) };
        if K::CPUS == 1 {
            // SAFETY: blocks were set up before they were published, stay, and are shared.
            return unsafe { first.cast::<CpuBlock>().as_ref() };
        }
        // SAFETY: as above.
        let owner = unsafe { tag.owner().unwrap_unchecked() };
        // SAFETY: there is a place for every CPU that may have a block.
        let place = unsafe { first.cast::<BlockPlace>().add(owner.number()) };
        // SAFETY: places stay, and are shared.
        let block = unsafe { place.as_ref() }.block();
        // SAFETY: the span is that CPU's, which has a block.
        let block = unsafe { block.unwrap_unchecked() };
        // SAFETY: blocks were set up before they were published, stay, and are shared.
        unsafe { block.as_ref() }
    }

    /// The place of the block of CPU `number` in the table that begins with `first`.
    #[inline(always)]
    pub(super) fn place_in(first: NonNull<u8>, number: usize) -> Option<&'a BlockPlace> {
        if number >= usize::from(K::CPUS) {
            return None;
        }
        // SAFETY: there are as many places side by side.
        let place = unsafe { first.cast::<BlockPlace>().add(number) };
        // SAFETY: places stay, and are shared.
        Some(unsafe { place.as_ref() })
    }

    /// The blocks that were made.
    pub(super) fn all(self) -> impl Iterator<Item = &'a CpuBlock> {
        (0..usize::from(K::CPUS)).filter_map(move |number| self.block_of(number))
    }

    /// Enters the block of this CPU, if that is known at once, unless somebody is inside.
    #[inline(always)]
    pub(super) fn enter_at_once(self) -> Option<Entered<'a>> {
        if !Heap::<M, K>::HAS_CPUS {
            return None;
        }
        let block = if K::CPUS == 1 {
            self.block_or_nobodys(0)?
        } else {
            self.block_at_hand()?
        };
        // SAFETY: as for `enter`.
        unsafe { block.enter(K::REENTRY) }
    }

    /// The block that the slot of this CPU leads to; without slots, the CPU's.
    #[inline(always)]
    fn block_at_hand(self) -> Option<&'a CpuBlock> {
        K::with_cpu_slot(|slot| {
            let Some(slot) = slot else {
                return self.block();
            };
            let block = slot.get(self.heap.central.blocks.key())?.cast();
            // SAFETY: this heap has put a block there. Blocks were set up before, stay, and are
            // shared.
            Some(unsafe { block.as_ref() })
        })
    }

    /// Enters the block of this CPU, unless somebody is inside.
    #[inline(always)]
    pub(super) fn enter(self) -> Option<Entered<'a>> {
        let block = self.block()?;
        if K::CPUS != 1 && K::with_cpu_slot(|slot| slot.is_some_and(CpuSlot::is_free)) {
            self.claim_slot();
        }
        if Self::VISITS {
            block.come_back();
        }
        // SAFETY: the block is this CPU's, as far as the kernel's `REENTRY` says that CPUs are told
        // apart.
        unsafe { block.enter(K::REENTRY) }
    }

    /// Puts the block of this CPU into its slot.
    #[cold]
    #[inline(never)]
    fn claim_slot(self) {
        // Masked: the slot and the number are those of one CPU.
        let state = K::disable_interrupts();
        if let Some(block) = self.block() {
            K::with_cpu_slot(|slot| {
                // SAFETY: the block is this CPU's.
                let claim = |slot: &CpuSlot| unsafe {
                    slot.claim(self.heap.central.blocks.key(), NonNull::from(block).cast());
                };
                slot.map(claim)
            });
        }
        // SAFETY: the state is of the call above.
        unsafe { K::restore_interrupts(state) };
    }

    /// Retires a span that a CPU has given up because it is empty.
    #[cold]
    #[inline(never)]
    pub(super) fn retire_emptied(self, online: &Online<M>, Emptied(handle): Emptied) {
        let mut lists = self.heap.central.lock();
        self.take_in(online, &mut lists, handle);
    }

    /// Takes in a span that a CPU has given up: retires it if it is empty.
    pub(super) fn take_in(self, online: &Online<M>, lists: &mut Lists, handle: SpanHandle) {
        let span = online.records().get(handle);
        let Kind::Small(number) = span.kind() else {
            return;
        };
        let Some(class) = Heap::<M, K>::TABLE.class(number) else {
            return;
        };
        let slots = Heap::<M, K>::TABLE.slots(class);
        let retired = lists.return_span(online.records(), handle, class, slots);
        if let Some(retired) = retired {
            self.heap.free_retired(span.scan(), retired);
        }
    }

    /// Whether the block of the one CPU was made, or the table of blocks.
    pub(super) fn has_blocks(self) -> bool {
        let first = self.heap.central.blocks.first.load(Ordering::Relaxed);
        let is_nobodys = K::CPUS == 1 && first == CpuBlock::nobodys().as_ptr().cast();
        Heap::<M, K>::HAS_CPUS && !first.is_null() && !is_nobodys
    }

    /// Bytes of the blocks of CPUs, and of what leads to them and to their spans.
    pub(crate) fn bytes(self) -> usize {
        if !self.has_blocks() {
            return 0;
        }
        let table = if K::CPUS == 1 { 0 } else { Self::TABLE_BYTES };
        let map = self
            .map()
            .map_or(0, |map| size_of::<SpanMap>() + map.bytes());
        self.all().count() * size_of::<CpuBlock>() + table + map
    }

    /// Bytes of the places of blocks.
    const TABLE_BYTES: usize =
        (K::CPUS as usize * size_of::<BlockPlace>()).next_multiple_of(LINE_BYTES);

    /// The map of the spans that CPUs own, if there is one.
    pub(super) fn map(self) -> Option<&'static SpanMap> {
        self.all().next()?.map()
    }
}
