//! Layer 5: runs of pages cut into slots.
//!
//! The layer owns size classes, span records with their alloc bits, and the central lists with
//! their lock. It hands up slots; it takes memory for records from the region layer. All state is
//! beside the objects, never in them.

mod central;
mod checks;
mod class;
mod class_table;
mod counts;
#[cfg(test)]
mod damage;
mod distance;
mod exchange;
mod list;
#[cfg(feature = "heap-bits")]
mod near;
mod owned;
mod pages;
mod pool;
mod record;
mod records;
mod slots;
mod tokens;

pub(crate) use central::{Central, Lists};
pub(crate) use class::{CLASSES, ClassTable, SPAN_CLASSES, Scan, SizeClass, SpanClass};
pub(crate) use class_table::table;
#[cfg(feature = "heap-bits")]
pub(crate) use near::BitsPlace;
pub(crate) use owned::{
    ARE_THERE, BlockPlace, CpuBlock, Emptied, Entered, MapEntry, MappedSpan, Marked, OwnFree,
    Owner, Place, Places, RemoteFree, SpanMap, Tag, full_is_counted, has_hidden_slots,
};
pub(crate) use record::{Kind, NARROW_SLOTS, Record};
pub(crate) use records::{RecordKind, Records};
pub(crate) use slots::{LiveSlot, SpanRef};
pub(crate) use tokens::{NewSlot, RetiredRun};
