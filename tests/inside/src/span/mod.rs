//! The span layer, with slots whose bits are in a flat bitmap.

#[path = "../../../../src/span/central.rs"]
mod central;
#[path = "../../../../src/span/class/mod.rs"]
mod class;
#[path = "../../../../src/span/class_table.rs"]
mod class_table;
#[path = "flat_place.rs"]
mod place;
#[path = "../../../../src/span/record.rs"]
mod record;
#[path = "../../../../src/span/records.rs"]
mod records;
#[path = "../../../../src/span/slots.rs"]
mod slots;

pub(crate) use central::{Central, Lists, NewSlot, RetiredRun};
pub(crate) use class::{CLASSES, ClassTable, SPAN_CLASSES, Scan, SizeClass, SpanClass};
pub(crate) use class_table::table;
pub(crate) use place::BitsPlace;
pub(crate) use record::{Kind, NARROW_SLOTS, Record};
pub(crate) use records::{RecordKind, Records, reach};
pub(crate) use slots::{LiveSlot, SpanRef};
