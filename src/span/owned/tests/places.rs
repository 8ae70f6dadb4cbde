//! The way from a layout to a place, and from a place to a tag and back.

use alloc::collections::BTreeSet;
use core::alloc::Layout;

use crate::span::class::ClassTable;
use crate::span::class_table::table;
use crate::span::owned::places::{ENTRIES, Place, Places, remote_words};
use crate::span::owned::tag::{Owner, Tag};
use crate::span::record::{NARROW_SLOTS, WIDE_SLOTS, WORD_BITS};

/// The largest slots of CPUs, and what their objects are aligned to at most.
const LARGEST: usize = 32768;
const LARGEST_ALIGN: usize = 16;
/// Objects up to here may be aligned to more.
const ALIGNED: usize = 8192;
const MOST_ALIGN: usize = 4096;

fn tables() -> impl Iterator<Item = &'static ClassTable> {
    (0..usize::BITS).filter_map(table)
}

#[test]
fn a_layout_leads_to_the_place_of_its_class() {
    for table in tables() {
        let places = Places::new(table);
        for align in (0..usize::BITS - 1).map(|shift| 1 << shift) {
            for size in (1..=LARGEST + 1).chain([2 * LARGEST, isize::MAX as usize]) {
                let Ok(layout) = Layout::from_size_align(size, align) else {
                    continue;
                };
                let is_ours = size <= ALIGNED && align <= MOST_ALIGN
                    || size <= LARGEST && align <= LARGEST_ALIGN;
                let class = is_ours.then(|| table.class_for(size, align)).flatten();
                let place = class.map_or(Place::NONE, |class| Place::of(table, class));
                assert_eq!(places.place_of(layout), place, "{layout:?}");
            }
        }
    }
}

#[test]
fn classes_whose_records_have_bits_for_remote_frees_have_a_place() {
    for table in tables() {
        let has_wide = table.most_slots() > NARROW_SLOTS;
        let mut seen = BTreeSet::new();
        for number in 0..table.len().to_le_bytes()[0] {
            let class = table.class(number).expect("there are so many");
            let place = Place::of(table, class);
            let bits = if has_wide { WIDE_SLOTS } else { NARROW_SLOTS };
            let fits = 2 * table.slots(class) <= bits;
            assert_eq!(place != Place::NONE, fits, "{number}");
            if fits {
                assert_eq!(place.class(table), Some(class));
                assert!(seen.insert(place.bytes()), "no other class has the place");
                assert!(place.bytes() < ENTRIES * 64, "the block has the entry");
            }
        }
    }
    assert_eq!(Place::NONE.class(table(12).expect("a table")), None);
}

/// A table of classes that are all alike.
const fn made_up(sizes: &'static [u32], pages: &'static [u8], slots: &'static [u16]) -> ClassTable {
    ClassTable {
        page_bytes: 4096,
        largest: 8 * 4096,
        sizes,
        pages,
        slots,
        magic: &[],
        fine: &[],
        coarse: &[],
    }
}

#[test]
fn classes_without_an_entry_in_a_block_have_no_place() {
    let table = made_up(&[64; 80], &[1; 80], &[64; 80]);
    for number in 0..80 {
        let place = Place::of(&table, table.class(number).expect("there are 80"));
        assert_eq!(
            place != Place::NONE,
            usize::from(number) + 1 < ENTRIES,
            "{number}"
        );
    }
}

#[test]
#[should_panic(expected = "has no bytes behind the last")]
fn a_span_has_a_bit_for_a_slot_in_its_tail() {
    let table = made_up(&[31], &[1], &[128]);
    Place::of(&table, table.class(0).expect("there is one"));
}

#[test]
#[should_panic(expected = "has no bytes behind the last")]
fn a_span_with_a_wide_record_has_a_bit_for_a_slot_in_its_tail() {
    let table = made_up(&[6], &[1], &[640]);
    Place::of(&table, table.class(0).expect("there is one"));
}

#[test]
fn live_and_remote_bits_of_a_record_are_apart() {
    for (bits, slots) in [
        (NARROW_SLOTS, 1..=NARROW_SLOTS / 2),
        (WIDE_SLOTS, NARROW_SLOTS / 2 + 1..=WIDE_SLOTS / 2),
    ] {
        for slots in slots {
            let words = remote_words(slots);
            assert!(slots <= words * WORD_BITS, "of {slots} slots");
            assert!((2 * words) * WORD_BITS <= bits, "of {slots} slots");
        }
    }
}

#[test]
fn a_tag_names_a_cpu_and_a_place() {
    for cpu in [0, 1, 6, 0x1fff, 0x3fff] {
        let owner = Owner::new(cpu);
        assert_eq!(owner.number(), usize::from(cpu));
        for number in 0..ENTRIES.to_le_bytes()[0] {
            let place = Place::numbered(number);
            let tag = Tag::new(owner, place.in_tag());
            for tag in [tag, Tag(tag.0 | Tag::REMOTE)] {
                assert_eq!(tag.owner(), Some(owner));
                assert_eq!(Place::of_tag(tag), place);
            }
            assert_ne!(tag, Tag(tag.0 | Tag::REMOTE));
        }
    }
}

#[test]
fn other_tags_name_nothing() {
    let tag = Tag::new(Owner::new(9), Place::numbered(3).in_tag());
    assert_eq!(Tag::NONE.owner(), None);
    for high in [0b00, 0b01, 0b11] {
        let other = tag.0 & (u32::MAX >> 2) | high << 30;
        assert_eq!(Tag(other).owner(), None, "{high:b}");
    }
    let end = u16::try_from(ENTRIES * 64).expect("a block is small");
    for bytes in [1, 63, 65, end - 63, end - 1, end, end + 64] {
        let tag = Tag::new(Owner::new(9), bytes);
        assert_eq!(Place::of_tag(tag), Place::NONE, "{bytes}");
    }
}
