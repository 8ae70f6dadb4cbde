//! Lookup: from a pointer and a layout to a live object, and the kinds of misuse it shows.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Fault, Kernel, Machine, Report, SpanReport, VirtAddr};

use super::object_heap::Heap;
use super::request::Served;
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
    /// [`object`](Self::object) out of line, one for all callers that need not be quick.
    ///
    /// # Safety
    /// As for [`object`](Self::object).
    #[inline(never)]
    pub(super) unsafe fn object_shared<'a>(
        &self,
        online: &'a Online<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<Object<'a>, Fault> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.object(online, pointer, layout) }
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
    ) -> Result<Object<'a>, Fault> {
        let address = online
            .machine
            .address(pointer)
            .ok_or(Fault::ForeignPointer)?;
        let Some(handle) = self.pages.index().span_of(address) else {
            return Err(self.fault_outside(address));
        };
        let span = online.records().get(handle);
        let first = span.record.first().address::<M>();
        let offset = address
            .bytes_above(first)
            .ok_or(Fault::Corruption("page map"))?;
        let location = match span.kind() {
            Kind::Small(class) => {
                // SAFETY: the caller's promise is the same.
                unsafe { Self::slot_of(span, class, offset, layout) }?
            }
            Kind::Large => Self::whole(span.record, offset, layout)?,
            Kind::Unused => return Err(Fault::Corruption("span of a page in use")),
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
        layout: Layout,
    ) -> Result<Location<'a>, Fault> {
        let class = Self::TABLE
            .class(class)
            .ok_or(Fault::Corruption("class of a span"))?;
        let slot = if Self::SAVES_CODE {
            Self::TABLE.slot_by_division(class, offset)
        } else {
            Self::TABLE.slot_at(class, offset)
        };
        if slot * Self::TABLE.size(class) != offset || slot >= Self::TABLE.slots(class) {
            return Err(Fault::InteriorPointer);
        }
        // SAFETY: the caller holds the central lock until the object is gone, as it promises.
        let slot = unsafe { span.taken_slot(slot) }.ok_or(Fault::DoubleFree)?;
        if Self::TABLE.class_for(layout.size(), layout.align()) != Some(class) {
            return Err(Fault::WrongLayout);
        }
        Ok(Location::Slot { class, slot })
    }

    // Out of line, so that the way to a slot needs no more registers than it uses.
    #[inline(never)]
    fn whole(record: &Record, offset: usize, layout: Layout) -> Result<Location<'static>, Fault> {
        if offset != 0 {
            return Err(Fault::InteriorPointer);
        }
        let run = record.run();
        match Self::served(layout) {
            Ok(Served::Large(want)) if want.pages == run.count && want.starts_at(run.first) => {
                Ok(Location::Whole)
            }
            _ => Err(Fault::WrongLayout),
        }
    }

    /// The fault of an address in no span: its page may be the heap's and free. A page of a run
    /// that the kernel owns is taken for free, for no record says of which it is one.
    #[cold]
    fn fault_outside(&self, address: VirtAddr) -> Fault {
        let page = PageIdx::of::<M>(address);
        let owned = page.is_some_and(|page| self.pages.pool().hold().owned().contains(page));
        if owned {
            Fault::DoubleFree
        } else {
            Fault::ForeignPointer
        }
    }

    /// Stops the machine over a pointer, with a report of its span. The caller holds no lock.
    #[cold]
    pub(super) fn stop_misused(
        &self,
        online: &Online<M>,
        pointer: NonNull<u8>,
        layout: Layout,
        fault: Fault,
    ) -> ! {
        let address = online.machine.address(pointer);
        let handle = address.and_then(|address| self.pages.index().span_of(address));
        #[expect(
            clippy::manual_map,
            reason = "a closure would be the one caller that passes the machine through memory"
        )]
        let span = match handle {
            Some(handle) => Some(describe::<M, K>(online.records().get(handle).record)),
            None => None,
        };
        stop::<K>(fault, address.unwrap_or(number_of(pointer)), layout, span)
    }

    /// Stops the machine over a pointer that cannot be a heap's, because no heap is online.
    #[cold]
    pub(super) fn stop_foreign(pointer: NonNull<u8>, layout: Layout) -> ! {
        stop::<K>(Fault::ForeignPointer, number_of(pointer), layout, None)
    }
}

/// Stops the machine over `address`.
fn stop<K: Kernel>(fault: Fault, address: VirtAddr, layout: Layout, span: Option<SpanReport>) -> ! {
    K::stop(&Report {
        fault,
        address: Some(address),
        layout: Some(layout),
        span,
    })
}

/// The number of a pointer that no window can hold, for reports.
fn number_of(pointer: NonNull<u8>) -> VirtAddr {
    VirtAddr::new(pointer.addr().get())
}

/// The span of a record, for reports.
fn describe<M: Machine, K: Kernel>(record: &Record) -> SpanReport {
    let run = record.run();
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
