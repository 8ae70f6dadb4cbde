//! Frees, and what can be seen of misuse.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Fault, Kernel, Machine, Report, SpanReport, VirtAddr};

use super::object::Served;
use super::{Heap, Opened};
use crate::arena::SpanHandle;
use crate::base::PageIdx;
use crate::span::{Central, Given, Kind, Record, SizeClass};

/// A live object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Small {
        handle: SpanHandle,
        class: SizeClass,
        slot: usize,
    },
    Large {
        handle: SpanHandle,
    },
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Frees an object. Memory of size zero needs no free and has no effect.
    ///
    /// Its span is found by address, and the free is checked against it: the address is the start of a slot, the slot is
    /// live, its class is the layout's. Anything else stops the machine with a report.
    ///
    /// # Safety
    /// `pointer` was allocated by this heap with `layout`, or reallocated to it, and nobody uses it any more.
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
        let mut central = self.central.lock();
        let freed = self
            .object(opened, pointer, layout)
            .and_then(|object| self.give(opened, &mut central, object));
        // The report is made with no lock held, so that whoever prints it may free.
        drop(central);
        if let Err((fault, span)) = freed {
            stop::<K>(fault, address_of(&opened.machine, pointer), layout, span);
        }
    }

    /// The object at `pointer`, checked against `layout`. The caller holds the central lock.
    pub(super) fn object(
        &self,
        opened: &Opened<M>,
        pointer: NonNull<u8>,
        layout: Layout,
    ) -> Result<Object, Misuse> {
        let address = opened
            .machine
            .address(pointer)
            .ok_or((Fault::ForeignPointer, None))?;
        let Some(handle) = self.index.span_of(address) else {
            return Err((self.fault_outside(address), None));
        };
        let record = opened.records().get(handle).record;
        let span = Some(Self::describe(record));
        let first = record.run().first.address::<M>();
        let offset = address
            .bytes_above(first)
            .ok_or((Fault::Corruption("page map"), span))?;
        let object = match record.kind() {
            Kind::Unused => return Err((Fault::Corruption("span of a page in use"), span)),
            Kind::Large if offset == 0 => Object::Large { handle },
            Kind::Large => return Err((Fault::InteriorPointer, span)),
            Kind::Small(class) => {
                let class = Self::TABLE.class(class);
                let class = class.ok_or((Fault::Corruption("class of a span"), span))?;
                let slot = Self::TABLE.slot_at(class, offset);
                if slot * Self::TABLE.size(class) != offset || slot >= Self::TABLE.slots(class) {
                    return Err((Fault::InteriorPointer, span));
                }
                if !opened.records().get(handle).is_taken(slot) {
                    return Err((Fault::DoubleFree, span));
                }
                Object::Small {
                    handle,
                    class,
                    slot,
                }
            }
        };
        if Self::fits(record, object, layout) {
            Ok(object)
        } else {
            Err((Fault::WrongLayout, span))
        }
    }

    /// Whether an object of `layout` would be served as `object` is.
    fn fits(record: &Record, object: Object, layout: Layout) -> bool {
        match (Self::served(layout), object) {
            (Ok(Served::Small(wanted)), Object::Small { class, .. }) => wanted == class,
            (Ok(Served::Large(want)), Object::Large { .. }) => {
                want.pages == record.run().count && want.starts_at(record.run().first)
            }
            _ => false,
        }
    }

    fn give(
        &self,
        opened: &Opened<M>,
        central: &mut Central,
        object: Object,
    ) -> Result<(), Misuse> {
        let records = opened.records();
        match object {
            // Pages are freed under the central lock: until their entries are gone, a lookup finds a record that is in the pool.
            Object::Large { handle } => self.free_run(central.retire(records, handle)),
            Object::Small {
                handle,
                class,
                slot,
            } => {
                let slots = Self::TABLE.slots(class);
                match central.give(records, handle, class.number(), slot, slots) {
                    Given::Kept => {}
                    Given::Empty(run) => self.free_run(run),
                    Given::WasFree => {
                        let span = Self::describe(records.get(handle).record);
                        return Err((Fault::DoubleFree, Some(span)));
                    }
                }
            }
        }
        Ok(())
    }

    /// What is wrong with an address that no span holds: its page may be the heap's and free.
    fn fault_outside(&self, address: VirtAddr) -> Fault {
        let page = PageIdx::of::<M>(address);
        let owned = page.is_some_and(|page| self.page.lock().pages.owned().contains(page));
        if owned {
            Fault::DoubleFree
        } else {
            Fault::ForeignPointer
        }
    }

    fn describe(record: &Record) -> SpanReport {
        let run = record.run();
        let (class, slot_bytes) = match record.kind() {
            Kind::Small(class) => (
                Some(class),
                Self::TABLE
                    .class(class)
                    .map_or(0, |class| Self::TABLE.size(class)),
            ),
            Kind::Large | Kind::Unused => (None, run.bytes::<M>()),
        };
        SpanReport {
            base: run.first.address::<M>(),
            bytes: run.bytes::<M>(),
            class,
            slot_bytes,
        }
    }
}

/// What was wrong, and the span that it was about.
pub(super) type Misuse = (Fault, Option<SpanReport>);

/// Stops the machine over `address`.
pub(super) fn stop<K: Kernel>(
    fault: Fault,
    address: VirtAddr,
    layout: Layout,
    span: Option<SpanReport>,
) -> ! {
    K::stop(&Report {
        fault,
        address,
        layout: Some(layout),
        span,
    })
}

/// The address of a pointer, for reports.
pub(super) fn address_of<M: Machine>(machine: &M, pointer: NonNull<u8>) -> VirtAddr {
    machine
        .address(pointer)
        .unwrap_or_else(|| number_of(pointer))
}

/// The number of a pointer that no window can hold, for reports.
fn number_of(pointer: NonNull<u8>) -> VirtAddr {
    VirtAddr::new(pointer.addr().get())
}
