//! The span layer, with slots whose bits are in a flat bitmap.

#[path = "../../../../src/span/central.rs"]
mod central;
#[path = "../../../../src/span/checks.rs"]
mod checks;
#[path = "../../../../src/span/class/mod.rs"]
mod class;
#[path = "../../../../src/span/class_table.rs"]
mod class_table;
#[path = "../../../../src/span/counts.rs"]
mod counts;
#[path = "flat_distance.rs"]
mod distance;
#[path = "../../../../src/span/exchange.rs"]
mod exchange;
#[path = "../../../../src/span/list.rs"]
mod list;
#[path = "flat_place.rs"]
mod near;
#[path = "../../../../src/span/owned/mod.rs"]
mod owned;
#[path = "../../../../src/span/pages.rs"]
mod pages;
#[path = "../../../../src/span/pool.rs"]
mod pool;
#[path = "../../../../src/span/record.rs"]
mod record;
#[path = "../../../../src/span/records.rs"]
mod records;
#[path = "../../../../src/span/slots.rs"]
mod slots;
#[path = "../../../../src/span/tokens.rs"]
mod tokens;

pub(crate) use central::{Central, Lists};
pub(crate) use class::{CLASSES, ClassTable, SPAN_CLASSES, Scan, SizeClass, SpanClass};
pub(crate) use class_table::table;
pub(crate) use near::BitsPlace;
pub(crate) use owned::{
    ARE_THERE, BlockPlace, CpuBlock, Emptied, Entered, MapEntry, MappedSpan, Marked, OwnFree,
    Owner, Place, Places, RemoteFree, SpanMap, Tag, full_is_counted, has_hidden_slots,
};
pub(crate) use record::{Kind, NARROW_SLOTS, Record};
pub(crate) use records::{RecordKind, Records};
pub(crate) use slots::{LiveSlot, SpanRef};
pub(crate) use tokens::{NewSlot, RetiredRun};
