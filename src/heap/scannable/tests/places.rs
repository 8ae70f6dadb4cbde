//! The bits of small objects, found from a record or by address: everywhere the same.

use alloc::vec::Vec;
use core::iter::successors;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Machine, VirtAddr};
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry, Small, SmallFixed, WidePage};

use super::{ScannableHeap, layout};
use crate::arena::ArenaIndex;
use crate::bits::{Description, PointerMap, UNIT_WORDS, WordBits};
use crate::heap::Heap;
use crate::span::{BitsPlace, Kind, Record};
use fastrand::Rng;

/// Words of the longest maps that are short.
const SHORT: usize = 64;

impl<G: SimGeometry> ScannableHeap<G> {
    const WORD: usize = Sim::<G>::WORD_BYTES;

    /// A scannable object of so many words, whose pointers are where the mask has bits.
    fn map(&self, words: usize, mask: u64) -> NonNull<u8> {
        let map = PointerMap::from_mask(words, mask.into());
        let object = Description::one(&map);
        let flags = AllocFlags::empty();
        let made = self
            .heap
            .allocate_scannable(layout(words * Self::WORD), &object, flags);
        made.expect("memory").cast()
    }

    fn address(&self, pointer: NonNull<u8>) -> VirtAddr {
        self.machine.address(pointer).expect("the heap's")
    }

    fn record(&self, pointer: NonNull<u8>) -> &Record {
        let online = self.heap.pages.online().expect("initialised");
        let handle = self.heap.pages.index().span_of(self.address(pointer));
        online.records().get(handle.expect("an object")).record
    }

    /// Has the record of an object's span lead to its bits again.
    fn restore(&self, pointer: NonNull<u8>) {
        let online = self.heap.pages.online().expect("initialised");
        let handle = self.heap.pages.index().span_of(self.address(pointer));
        let (handle, record) = (handle.expect("an object"), self.record(pointer));
        let Kind::Small(number) = record.kind() else {
            return;
        };
        let class = Heap::<Sim<G>, Hosted>::TABLE
            .class(number)
            .expect("a class");
        // SAFETY: the test holds an object in the span.
        let found = unsafe {
            self.heap
                .find_bits(online, handle, record.first::<Sim<G>>(), class)
        };
        let (distance, near) = found;
        record.set_bits(distance, near);
    }

    /// The pointers of an object as a mask, found by its address.
    fn pointers(&self, pointer: NonNull<u8>) -> u64 {
        let object = self.heap.object_at(self.address(pointer)).expect("live");
        let bits = self.heap.bits();
        let words = bits.pointer_words(object).expect("scannable");
        words.fold(0, |mask, byte| mask | 1 << (byte / Self::WORD))
    }

    /// The bits of every word of a span.
    fn entries(&self, record: &Record) -> Vec<Option<WordBits>> {
        let run = record.run::<Sim<G>>();
        let view = self.heap.bits();
        let first = view.at(run.first.address::<Sim<G>>());
        let words = successors(first, |cursor| Some(cursor.next()));
        words
            .take(run.bytes::<Sim<G>>() / Self::WORD)
            .map(|cursor| cursor.entry())
            .collect()
    }
}

/// As many slots of a span as there are, in every class of up to 64 words, with maps of all kinds:
/// the bits are the same whether a record leads to them or they are looked up, and none are left
/// when the objects are freed in either way.
fn both_ways_are_one<G: SimGeometry>() {
    let mut random = Rng::with_seed(5);
    let table = Heap::<Sim<G>, Hosted>::TABLE;
    for class in table.classes() {
        let words = table.size(class) / ScannableHeap::<G>::WORD;
        if words > SHORT {
            break;
        }
        let mut masks: Vec<u64> = (0..table.slots(class))
            .map(|_| random.u64(..) >> (SHORT - 1 - random.usize(..words)))
            .map(|mask| mask.max(1))
            .collect();
        masks[0] = u64::MAX >> (SHORT - words);
        let bed = ScannableHeap::<G>::new();
        let fill = |is_near: bool| {
            let mut objects = Vec::new();
            for mask in &masks {
                let object = bed.map(words, *mask);
                if !is_near {
                    bed.record(object).set_bits(0, 0);
                }
                objects.push(object);
            }
            let record = bed.record(objects[0]);
            assert_eq!(record.kind(), Kind::Small(class.number()));
            for (object, mask) in objects.iter().zip(&masks) {
                assert_eq!(bed.pointers(*object), *mask, "{words} words");
                assert_eq!(bed.record(*object).run::<Sim<G>>(), record.run::<Sim<G>>());
            }
            (record.near_slots(), bed.entries(record), objects)
        };
        let free = |objects: &[NonNull<u8>]| {
            for object in objects {
                bed.free(*object, words * ScannableHeap::<G>::WORD);
            }
        };
        let (near_slots, near, objects) = fill(true);
        assert_eq!(near_slots as usize, table.slots(class));
        bed.check();
        // One stays until the next is made, so that the span does.
        free(&objects[1..]);
        bed.check();
        bed.record(objects[0]).set_bits(0, 0);
        free(&objects[..1]);
        let (_, far, objects) = fill(false);
        assert_eq!(near, far, "{words} words");
        free(&objects[1..]);
        bed.restore(objects[0]);
        bed.check();
    }
}

#[test]
fn bits_are_the_same_whether_a_record_leads_to_them_or_not() {
    both_ways_are_one::<Plain32>();
    both_ways_are_one::<Small>();
    both_ways_are_one::<SmallFixed>();
    both_ways_are_one::<WidePage>();
}

/// The heap follows a record: a record that leads astray has bits written, and cleared, at the
/// wrong place.
#[test]
fn a_record_that_leads_astray_is_followed() {
    let bed = ScannableHeap::<Plain32>::new();
    let words = 12;
    let before = bed.map(words, 1);
    let record = bed.record(before);
    let (distance, near) = (record.bits_distance(), record.near_slots());
    let entries = bed.entries(record);
    // Those of a page beside it, behind the same part.
    let units = i32::try_from(entries.len() / UNIT_WORDS).expect("few");
    let is_first = record.first::<Sim<Plain32>>().0 % ArenaIndex::<Sim<Plain32>>::PART_PAGES == 0;
    let astray = if is_first {
        distance + units
    } else {
        distance - units
    };
    record.set_bits(astray, near);
    let object = bed.map(words, 0b101);
    assert_eq!(bed.entries(record), entries, "nothing was written here");
    assert_eq!(bed.pointers(object), 0);
    bed.free(object, words * 4);
    record.set_bits(distance, near);
    bed.check();
    let object = bed.map(words, 0b101);
    assert_eq!(bed.pointers(object), 0b101);
    record.set_bits(astray, near);
    bed.free(object, words * 4);
    assert_ne!(bed.entries(record), entries, "nothing was cleared here");
}

/// Of a span behind two parts of the bitmap, the slots behind the second are not near, nor is the
/// one behind both; they are described all the same.
#[test]
fn spans_behind_two_parts_of_the_bitmap_are_described() {
    let bed = ScannableHeap::<Plain32>::new();
    // Spans of five pages: a part's pages are no multiple of that.
    let (bytes, words) = (400, 100);
    let mask = 1 << 63 | 1;
    let objects: Vec<_> = (0..4000).map(|_| bed.map(words, mask)).collect();
    let slots = |object: &NonNull<u8>| {
        let record = bed.record(*object);
        (
            record.near_slots() as usize,
            record.run::<Sim<Plain32>>().bytes::<Sim<Plain32>>() / bytes,
        )
    };
    let across = objects.iter().map(slots).filter(|(near, all)| near < all);
    let some = across.clone().filter(|(near, _)| *near > 0).count();
    assert!(some > 100 && across.count() < 2000, "{some}");
    assert!(objects.iter().all(|object| bed.pointers(*object) == mask));
    bed.check();
    for object in &objects {
        bed.free(*object, bytes);
    }
    bed.check();
}

#[test]
fn a_record_says_how_far_away_bits_are_or_nothing() {
    let unit = size_of::<usize>();
    let record = VirtAddr::new(64);
    let at = |address: usize| BitsPlace::distance(record, VirtAddr::new(address));
    assert_eq!(at(64 + 5 * unit), Some(5));
    assert_eq!(at(64_usize.wrapping_sub(100 * unit)), Some(-100));
    let reach = unit.checked_shl(30).filter(|reach| *reach > 0);
    if let Some(reach) = reach {
        assert_eq!(at(64 + (reach - unit)), Some(i32::MAX >> 1));
        assert_eq!(at(64 + reach), None);
        assert_eq!(at(64_usize.wrapping_sub(reach)), Some(i32::MIN >> 1));
        assert_eq!(at(64_usize.wrapping_sub(reach + unit)), None);
    }
}
