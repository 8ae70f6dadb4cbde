//! Every size and alignment, for every page size; every offset of every span.

use super::{ClassTable, SizeClass};
use crate::span::class_table::table;

impl ClassTable {
    /// The largest size that has a class, in bytes.
    pub(crate) const fn largest(&self) -> usize {
        self.largest
    }

    /// The page size that the table is for, in bytes.
    pub(crate) const fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// The classes, smallest first.
    pub(crate) fn classes(&self) -> impl Iterator<Item = SizeClass> + use<> {
        (0..=u8::MAX).take(self.sizes.len()).map(SizeClass)
    }
}

const SHIFTS: core::ops::RangeInclusive<u32> = 8..=13;

fn tables() -> impl Iterator<Item = &'static ClassTable> {
    SHIFTS.map(|shift| table(shift).expect("a table for every page size"))
}

#[test]
fn tables_are_for_the_page_size_asked_for() {
    for shift in SHIFTS {
        assert_eq!(table(shift).unwrap().page_bytes(), 1 << shift);
    }
    assert!(table(7).is_none());
    assert!(table(15).is_none());
}

#[test]
fn a_request_gets_the_smallest_class_that_fits_and_is_aligned() {
    for table in tables() {
        for align in (0..=12).map(|shift| 1 << shift) {
            if align > table.page_bytes() {
                continue;
            }
            for size in 0..=table.largest() {
                let smallest = table
                    .classes()
                    .find(|&class| table.size(class) >= size && table.size(class) % align == 0);
                assert_eq!(
                    table.class_for(size, align),
                    smallest,
                    "{size} B aligned to {align} with pages of {} B",
                    table.page_bytes()
                );
            }
        }
    }
}

#[test]
fn what_is_larger_than_any_class_or_aligned_to_more_than_a_page_has_none() {
    for table in tables() {
        let (largest, page) = (table.largest(), table.page_bytes());
        assert_eq!(table.class_for(largest, page), table.classes().last());
        assert_eq!(table.class_for(largest + 1, 1), None);
        assert_eq!(table.class_for(1, 2 * page), None);
        assert_eq!(table.class_for(usize::MAX, 1), None);
        assert_eq!(table.class_for(1, 1 << (usize::BITS - 1)), None);
        assert_eq!(table.class_for(usize::MAX, 1 << (usize::BITS - 1)), None);
    }
}

#[test]
fn the_magic_multiplication_divides_every_offset_of_every_span() {
    for table in tables() {
        for class in table.classes() {
            let size = table.size(class);
            for offset in 0..table.pages(class) * table.page_bytes() {
                assert_eq!(
                    table.slot_at(class, offset),
                    offset / size,
                    "{offset} by {size}"
                );
                assert_eq!(table.slot_by_division(class, offset), offset / size);
            }
        }
    }
}

#[test]
fn slots_fit_their_spans() {
    for table in tables() {
        for class in table.classes() {
            let span = table.pages(class) * table.page_bytes();
            assert_eq!(table.slots(class), span / table.size(class));
            assert!(
                (span % table.size(class)) * 8 <= span,
                "an eighth of a span is its tail at most"
            );
        }
    }
}

#[test]
fn rounding_loses_an_eighth_of_a_slot_at_most() {
    for table in tables() {
        for (before, class) in table.classes().zip(table.classes().skip(1)) {
            let (before, size) = (table.size(before), table.size(class));
            assert!(before < size);
            assert!(
                size <= 128 || (size - before - 1) * 8 <= size,
                "{before} to {size}"
            );
        }
    }
}

#[test]
fn small_multiples_of_eight_and_powers_of_two_are_exact() {
    for table in tables() {
        let powers = (3..=12).map(|shift| 1 << shift);
        for size in (8..=128).step_by(8).chain(powers) {
            let Some(class) = table.class_for(size, 1).filter(|_| size <= table.largest()) else {
                continue;
            };
            assert_eq!(table.size(class), size);
            let unused = table.pages(class) * table.page_bytes() % size;
            assert!(
                !size.is_power_of_two() || unused == 0,
                "{size} B leave {unused} B unused"
            );
        }
    }
}

#[test]
fn classes_are_known_by_number() {
    let table = table(12).unwrap();
    let last = table.classes().last().unwrap();
    assert_eq!(usize::from(last.number()) + 1, table.len());
    assert_eq!(table.class(last.number()), Some(last));
    assert_eq!(table.class(last.number() + 1), None);
}
