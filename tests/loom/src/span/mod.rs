//! The span layer, and models of spans that CPUs own.

#[path = "../../../../src/span/central.rs"]
mod central;
#[path = "../../../../src/span/class/mod.rs"]
mod class;
#[path = "../../../../src/span/class_table.rs"]
mod class_table;
#[path = "../../../../src/span/counts.rs"]
mod counts;
#[path = "../../../../src/span/distance/mod.rs"]
mod distance;
#[path = "../../../../src/span/exchange.rs"]
mod exchange;
#[path = "../../../../src/span/list.rs"]
mod list;
pub mod owned;
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
pub(crate) use record::{Kind, NARROW_SLOTS, Record};
pub(crate) use records::{RecordKind, Records};
pub(crate) use slots::{LiveSlot, SpanRef};
pub(crate) use tokens::{NewSlot, RetiredRun};
