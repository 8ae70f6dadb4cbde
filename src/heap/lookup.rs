//! Lookup: from a pointer and a layout to a live object, and the kinds of misuse it shows.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine, Report, SpanReport, VirtAddr};

use super::early::Fate;
use super::misuse::Misuse;
use super::object_heap::Heap;
use crate::arena::SpanHandle;
use crate::base::PageIdx;
use crate::pageheap::Online;
use crate::span::{Kind, LiveSlot, Record, SizeClass, SpanRef};

/// A live object, found by its address and checked against its layout.
#[derive(Debug)]
pub(super) struct Object<'a> {
    /// The handle of the span's record.
    pub(super) handle: SpanHandle,
    /// The span.
    pub(super) span: SpanRef<'a>,
    /// The object's location in the span.
    pub(super) location: Location<'a>,
}

/// The location of an object in its span.
#[derive(Debug)]
pub(super) enum Location<'a> {
    /// A slot.
    Slot {
        /// The slot's class.
        class: SizeClass,
        /// The slot.
        slot: LiveSlot<'a>,
    },
    /// The whole span: a large object.
    Whole,
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// The object at `pointer`, checked against `layout`; `None` if it is an early block, of which
    /// becomes what `fate` says. Out of line, one for all callers that need not be quick.
    ///
    /// # Errors
    /// The fault of the pointer or of the layout.
    /// # Safety
    /// - The caller holds the central lock until the object is gone.
    /// - If an early block with this layout begins at `pointer`, it is the caller's, and nothing
    ///   uses the bytes that it loses.
    #[inline(never)]
    pub(super) unsafe fn object_or_block(
        &self,
        pointer: NonNull<u8>,
        layout: Layout,
        fate: Fate,
    ) -> Result<Option<Object<'_>>, Misuse> {
        if Self::MAY_BE_EARLY {
            // SAFETY: the caller's promise is the same.
            if let Some(decided) = unsafe { self.early.decide::<false>(pointer, layout, fate) } {
                return decided.map(|()| None);
            }
        }
        let online = self.pages.online().ok_or(Misuse::ForeignPointer)?;
        // SAFETY: the caller's promise is the same.
        unsafe { self.object(online, pointer, layout) }.map(Some)
    }

    /// The object at `pointer`, checked against `layout`.
    ///
    /// # Errors
    /// The fault of the pointer or of the layout.
    /// # Safety
    /// The caller holds the central lock until the object is gone.
    // The result is large; in line it stays in registers.
    #[inline(always)]
    pub(super) unsafe fn object<'a>(
        &self,
        online: &'a Online<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<Object<'a>, Misuse> {
        let address = online
            .machine
            .address(pointer)
            .ok_or(Misuse::ForeignPointer)?;
        let Some(handle) = self.pages.index().span_of(address) else {
            return Err(self.fault_outside(address));
        };
        let span = online.records().get(handle);
        let first = span.record.base::<M>();
        let offset = address.bytes_above(first).ok_or(Misuse::Damaged)?;
        let location = match span.kind() {
            Kind::Small(class) => {
                // SAFETY: the caller's promise is the same.
                unsafe { Self::slot_of(span, class, offset, (pointer, layout)) }?
            }
            Kind::Large => {
                Self::check_whole(span, offset, pointer, layout)?;
                Location::Whole
            }
            Kind::Unused => return Err(Misuse::Damaged),
        };
        Ok(Object {
            handle,
            span,
            location,
        })
    }

    /// # Safety
    /// As for [`object`](Self::object).
    #[inline(always)]
    unsafe fn slot_of<'a>(
        span: SpanRef<'a>,
        class: u8,
        offset: usize,
        (pointer, layout): (NonNull<u8>, Layout),
    ) -> Result<Location<'a>, Misuse> {
        let class = Self::TABLE.class(class).ok_or(Misuse::Damaged)?;
        let slot = if Self::SAVES_CODE {
            Self::TABLE.slot_by_division(class, offset)
        } else {
            Self::TABLE.slot_at(class, offset)
        };
        if slot * Self::TABLE.size(class) != offset || slot >= Self::TABLE.slots(class) {
            return Err(Misuse::InteriorPointer);
        }
        // The bit of a slot that another CPU has freed is set until the owner takes it back.
        if Self::HAS_CPUS && !span.is_live(slot, Self::TABLE.slots(class)) {
            return Err(Misuse::DoubleFree);
        }
        // SAFETY: the caller holds the central lock until the object is gone, as it promises.
        let slot = unsafe { span.taken_slot(slot) }.ok_or(Misuse::DoubleFree)?;
        if Self::class_of(layout) != Some(class)
            && !(span.is_loose() && fits(pointer, layout, Self::TABLE.size(class)))
        {
            return Err(Misuse::WrongLayout);
        }
        Ok(Location::Slot { class, slot })
    }

    // Out of line, so that the way to a slot needs no more registers than it uses.
    #[inline(never)]
    fn check_whole(
        span: SpanRef<'_>,
        offset: usize,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<(), Misuse> {
        if offset != 0 {
            return Err(Misuse::InteriorPointer);
        }
        if span.is_claimed() {
            return Err(Misuse::DoubleFree);
        }
        let pages = layout.size().div_ceil(M::GEOMETRY.page_bytes());
        // Short layouts are those of slots, unless the object kept its pages when it shrank.
        let is_large = !Self::TABLE.serves(layout.size(), layout.align()) || span.is_loose();
        if is_large && pages == span.record.run::<M>().count && is_aligned(pointer, layout) {
            Ok(())
        } else {
            Err(Misuse::WrongLayout)
        }
    }

    /// The fault of an address in no span: its page may be the heap's and free. A page of a run
    /// that the kernel owns is taken for free, for no record says of which it is one.
    #[cold]
    fn fault_outside(&self, address: VirtAddr) -> Misuse {
        let page = PageIdx::of::<M>(address);
        let owned = page.is_some_and(|page| self.pages.pool().hold().owned().contains(page));
        if owned {
            Misuse::DoubleFree
        } else {
            Misuse::ForeignPointer
        }
    }

    /// Stops the machine over a pointer, with a report of its span. The caller holds no lock.
    #[cold]
    pub(super) fn stop_misused(&self, pointer: NonNull<u8>, layout: Layout, misuse: Misuse) -> ! {
        K::stop(&self.report(pointer, layout, misuse))
    }

    /// The report of a pointer, with its span if there is one. The caller holds no lock.
    // In line, a kernel that looks at none of it makes none of it.
    #[inline(always)]
    pub(super) fn report(&self, pointer: NonNull<u8>, layout: Layout, misuse: Misuse) -> Report {
        let mut report = Report {
            fault: misuse.fault(),
            // The number of a pointer that no window can hold.
            address: Some(VirtAddr::new(pointer.addr().get())),
            layout: Some(layout),
            span: None,
        };
        if let Some(online) = self.pages.online() {
            if let Some(address) = online.machine.address(pointer) {
                report.address = Some(address);
                // A span that goes may take the memory of its record with it.
                let _lists = self.central.lock();
                if let Some(handle) = self.pages.index().span_of(address) {
                    report.span = Some(describe::<M, K>(online.records().get(handle).record));
                }
            }
        }
        report
    }
}

/// Whether `layout` fits the slot of `bytes` bytes at `pointer`, whatever its class.
#[cold]
fn fits(pointer: NonNull<u8>, layout: Layout, bytes: usize) -> bool {
    layout.size() <= bytes && is_aligned(pointer, layout)
}

/// Whether `pointer` is aligned to `layout`.
pub(super) fn is_aligned(pointer: NonNull<u8>, layout: Layout) -> bool {
    pointer.addr().get() & (layout.align() - 1) == 0
}

/// The span of a record, for reports.
fn describe<M: Machine, K: Kernel>(record: &Record) -> SpanReport {
    let run = record.run::<M>();
    let number = match record.kind() {
        Kind::Small(number) => Some(number),
        Kind::Large | Kind::Unused => None,
    };
    let class = number.and_then(|number| Heap::<M, K>::TABLE.class(number));
    SpanReport {
        base: run.first.address::<M>(),
        bytes: run.bytes::<M>(),
        class: number,
        slot_bytes: class.map_or(run.bytes::<M>(), |class| Heap::<M, K>::TABLE.size(class)),
    }
}
