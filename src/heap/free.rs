//! Frees, and what can be seen of misuse.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Fault, Kernel, Machine, Report, SpanReport, VirtAddr};

use super::object::Served;
use super::{Heap, Opened};
use crate::arena::SpanHandle;
use crate::base::PageIdx;
use crate::span::{Central, Kind, LiveSlot, Record, SizeClass, SpanRef};

/// A live object, found by its address and checked against its layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    pub(super) handle: SpanHandle,
    pub(super) span: SpanRef<'a>,
    pub(super) place: Place<'a>,
}

/// Where in its span an object is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Slot {
        class: SizeClass,
        slot: LiveSlot<'a>,
    },
    Whole,
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Frees an object. Memory of size zero needs no free and has no effect.
    ///
    /// Its span is found by address, and the free is checked against it: the address is the start
    /// of a slot, the slot is live, its class is the layout's. Anything else stops the machine with
    /// a report.
    ///
    /// # Safety
    /// `pointer` was allocated by this heap with `layout`, or reallocated to it, and nobody uses it
    /// any more.
    /// # Locks
    /// Takes central and page. Callable from an interrupt handler and from the machine.
    /// # Cost
    /// Constant, but for a large object or the last slot of a span: linear in the pages given back.
    pub unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        if layout.size() == 0 || unsafe { self.deallocate_early(pointer, layout) } {
            return;
        }
        let Some(opened) = self.opened.get() else {
            stop::<K>(Fault::ForeignPointer, number_of(pointer), layout, None);
        };
        #[cfg(feature = "heap-bits")]
        self.clear_large(opened, pointer, layout);
        let mut central = self.central.lock();
        let object = if Self::SAVES_CODE {
            self.object_shared(opened, pointer, layout)
        } else {
            self.object(opened, pointer, layout)
        };
        let freed = object.map(|object| self.give(opened, &mut central, object));
        // The report is made with no lock held, so that whoever prints it may free.
        drop(central);
        if let Err(fault) = freed {
            self.misused(opened, pointer, layout, fault);
        }
    }

    /// [`object`](Self::object), one for all who need not be quick.
    #[inline(never)]
    pub(super) fn object_shared<'a>(
        &self,
        opened: &'a Opened<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<Object<'a>, Fault> {
        self.object(opened, pointer, layout)
    }

    /// The object at `pointer`, checked against `layout`. The caller holds the central lock.
    ///
    /// # Errors
    /// What is wrong with the pointer or the layout.
    // Its answer is large; in line it stays in registers.
    #[inline(always)]
    pub(super) fn object<'a>(
        &self,
        opened: &'a Opened<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<Object<'a>, Fault> {
        let address = opened
            .machine
            .address(pointer)
            .ok_or(Fault::ForeignPointer)?;
        let Some(handle) = self.index.span_of(address) else {
            return Err(self.fault_outside(address));
        };
        let span = opened.records().get(handle);
        let first = span.record.first().address::<M>();
        let offset = address
            .bytes_above(first)
            .ok_or(Fault::Corruption("page map"))?;
        let place = match span.kind() {
            Kind::Small(class) => Self::slot_of(span, class, offset, layout)?,
            Kind::Large => Self::whole(span.record, offset, layout)?,
            Kind::Unused => return Err(Fault::Corruption("span of a page in use")),
        };
        Ok(Object {
            handle,
            span,
            place,
        })
    }

    #[inline(always)]
    fn slot_of<'a>(
        span: SpanRef<'a>,
        class: u8,
        offset: usize,
        layout: Layout,
    ) -> Result<Place<'a>, Fault> {
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
        let slot = span.taken_slot(slot).ok_or(Fault::DoubleFree)?;
        if Self::TABLE.class_for(layout.size(), layout.align()) != Some(class) {
            return Err(Fault::WrongLayout);
        }
        Ok(Place::Slot { class, slot })
    }

    // Out of line, so that the way to a slot needs no more registers than it uses.
    #[inline(never)]
    fn whole(record: &Record, offset: usize, layout: Layout) -> Result<Place<'static>, Fault> {
        if offset != 0 {
            return Err(Fault::InteriorPointer);
        }
        let run = record.run();
        match Self::served(layout) {
            Ok(Served::Large(want)) if want.pages == run.count && want.starts_at(run.first) => {
                Ok(Place::Whole)
            }
            _ => Err(Fault::WrongLayout),
        }
    }

    #[inline]
    fn give(&self, opened: &Opened<M>, central: &mut Central, object: Object<'_>) {
        #[cfg(feature = "heap-bits")]
        self.clear_slot(opened, &object);
        let (records, handle) = (opened.records(), object.handle);
        let emptied = match object.place {
            Place::Whole => Some(central.retire(records, handle)),
            Place::Slot { class, slot } => {
                let slots = Self::TABLE.slots(class);
                let class = object.span.span_class(class).number();
                central.give(records, handle, object.span, class, slot, slots)
            }
        };
        // Under the central lock: until the entries are gone, a lookup finds a record that is in
        // the pool.
        if let Some(run) = emptied {
            #[cfg(feature = "heap-bits")]
            self.release_bits(central, run);
            self.free_run(run);
        }
    }

    /// What is wrong with an address that no span holds: its page may be the heap's and free.
    #[cold]
    fn fault_outside(&self, address: VirtAddr) -> Fault {
        let page = PageIdx::of::<M>(address);
        let owned = page.is_some_and(|page| self.page.lock().pages.owned().contains(page));
        if owned {
            Fault::DoubleFree
        } else {
            Fault::ForeignPointer
        }
    }

    /// Stops the machine over a pointer, with all that is known of it. The caller holds no lock.
    #[cold]
    pub(super) fn misused(
        &self,
        opened: &Opened<M>,
        pointer: NonNull<u8>,
        layout: Layout,
        fault: Fault,
    ) -> ! {
        let address = opened.machine.address(pointer);
        let handle = address.and_then(|address| self.index.span_of(address));
        let span = handle.map(|handle| Self::describe(opened.records().get(handle).record));
        stop::<K>(fault, address.unwrap_or(number_of(pointer)), layout, span)
    }

    fn describe(record: &Record) -> SpanReport {
        let run = record.run();
        let number = match record.kind() {
            Kind::Small(number) => Some(number),
            Kind::Large | Kind::Unused => None,
        };
        let class = number.and_then(|number| Self::TABLE.class(number));
        SpanReport {
            base: run.first.address::<M>(),
            bytes: run.bytes::<M>(),
            class: number,
            slot_bytes: class.map_or(run.bytes::<M>(), |class| Self::TABLE.size(class)),
        }
    }
}

/// Stops the machine over `address`.
fn stop<K: Kernel>(fault: Fault, address: VirtAddr, layout: Layout, span: Option<SpanReport>) -> ! {
    K::stop(&Report {
        fault,
        address,
        layout: Some(layout),
        span,
    })
}

/// The number of a pointer that no window can hold, for reports.
fn number_of(pointer: NonNull<u8>) -> VirtAddr {
    VirtAddr::new(pointer.addr().get())
}
