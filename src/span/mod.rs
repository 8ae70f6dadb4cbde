//! Layer 4: runs of pages cut into slots.
//!
//! It owns size classes, span records with their alloc bits, and the partial and full lists of each
//! span class. It hands up slots; it takes memory for records from the region layer. All state is
//! beside the objects, never in them. The lists and records are guarded by the central lock.

mod central;
mod class;
mod class_table;
#[cfg(test)]
mod damage;
#[cfg(feature = "heap-bits")]
mod place;
mod record;
mod records;
mod slots;

pub(crate) use central::{Central, Taken};
pub(crate) use class::{CLASSES, ClassTable, SPAN_CLASSES, Scan, SizeClass, SpanClass};
pub(crate) use class_table::table;
#[cfg(feature = "heap-bits")]
pub(crate) use place::BitsPlace;
pub(crate) use record::{Kind, NARROW_SLOTS, Record};
pub(crate) use records::{RecordKind, Records, reach};
pub(crate) use slots::{LiveSlot, SpanRef};
