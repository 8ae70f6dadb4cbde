//! Planted corruptions of the heap bitmap: each breaks one rule, and `verify()` names that rule.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::{AllocFlags, Machine, VirtAddr};
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry};

use super::planted::{Sound, planted};
use crate::base::{PageIdx, PageRun};
use crate::bits::{Description, PointerMap, UNIT_WORDS};
use crate::heap::Heap;
use crate::pageheap::Window;
use crate::region::Purpose;
use crate::span::Record;

/// Bytes of an object of twelve words. Spans of such objects have one page, and a tail.
const BYTES: usize = 48;

/// A heap with a scannable object in a slot with free ones behind it, and one without pointers.
struct DamagedBitmap {
    heap: Box<Heap<Sim<Plain32>, Hosted>>,
    scannable: VirtAddr,
    plain: VirtAddr,
}

impl DamagedBitmap {
    fn new() -> Self {
        const MAP: PointerMap<'_> = PointerMap::from_mask(12, 0b101);
        let heap: Box<Heap<Sim<Plain32>, Hosted>> = Box::default();
        let machine = Sim::builder().build();
        // The first part of the bitmap covers a page that the heap does not own.
        heap.init(&[Window::new(0x4000_1000, 1 << 28)], machine.clone())
            .expect("init");
        let layout = Layout::from_size_align(BYTES, 8).expect("a layout");
        let address = |memory| machine.address(memory).expect("the heap's");
        let flags = AllocFlags::empty();
        let plain = heap.allocate(layout, flags).expect("memory");
        let scannable = heap
            .allocate_scannable(layout, &Description::one(&MAP), flags)
            .expect("memory");
        heap.verify().expect("a heap that nobody damaged is sound");
        Self {
            scannable: address(scannable.cast()),
            plain: address(plain.cast()),
            heap,
        }
    }

    fn page(&self, address: VirtAddr) -> PageRun {
        let page = PageIdx::of::<Sim<Plain32>>(address).expect("in the space");
        PageRun::new(page, 1)
    }

    /// Does something to the record of the span that holds `address`.
    fn record(&self, address: VirtAddr, damage: impl FnOnce(&Record)) {
        let online = self.heap.pages.online().expect("initialised");
        let handle = self.heap.pages.index().span_of(address).expect("an object");
        damage(online.records().get(handle).record);
    }

    /// Says that the word at `address` is a pointer, and described.
    fn describe_word(&self, address: VirtAddr) {
        self.say(address, 1 | 1 << UNIT_WORDS);
    }

    /// Sets bits of the word at `address`, which are given as those of a unit's first word.
    fn say(&self, address: VirtAddr, bits: usize) {
        let (geometry, word_bytes) = (Plain32::GEOMETRY, Sim::<Plain32>::WORD_BYTES);
        let offset = geometry.offset(address).expect("in the space").value();
        let word = offset % geometry.arena_bytes() / word_bytes;
        let (unit, bit) = (word / UNIT_WORDS, word % UNIT_WORDS);
        let arena = offset / geometry.arena_bytes();
        // SAFETY: no part is taken back by this test.
        let reader = unsafe { self.heap.pages.index().read_bits() };
        reader
            .units_from(arena, unit)
            .first()
            .expect("ready")
            .fetch_or(bits << bit, Relaxed);
    }
}

impl Sound for DamagedBitmap {
    type Kernel = Hosted;

    fn make() -> Self {
        Self::new()
    }

    fn heap(&self) -> &Heap<Sim<Plain32>, Hosted> {
        &self.heap
    }
}

planted! {
    DamagedBitmap;
    a_claim_is_lost: "the heap bitmap is claimed for the pages of scannable spans", |bed| {
        // SAFETY: the damage is meant, and nothing uses the objects.
        unsafe { bed.heap.pages.index().release_bits(bed.page(bed.scannable)) };
    };
    a_claim_is_wrong: "the heap bitmap is claimed for the pages of scannable spans", |bed| {
        bed.heap.pages.index().claim_bits(bed.page(bed.plain)).expect("ready");
    };
    a_page_outside_is_claimed: "the heap bitmap is claimed for owned pages alone", |bed| {
        let owned = bed.heap.pages.pool().hold().owned().iter().next().expect("the bed has some");
        let first = owned.first.0 - 1;
        bed.heap.pages.index().plant_claim(PageRun::new(PageIdx(first), 1));
    };
    a_needed_part_goes: "the heap bitmap that covers scannable spans is ready", |bed| {
        let run = bed.page(bed.scannable);
        let online = bed.heap.pages.online().expect("initialised");
        // SAFETY: the damage is meant, and nothing uses the objects.
        unsafe { bed.heap.pages.index().release_bits(run) };
        // SAFETY: one thread uses this heap, and reads no bits.
        let part = unsafe { bed.heap.pages.index().take_idle_part(run, &online.machine) };
        let part = part.expect("idle");
        part.memory.record();
        bed.heap.pages.index().plant_claim(run);
    };
    the_bitmap_is_charged_to_ranges: "the heap bitmap that covers scannable spans is charged as such", |bed| {
        bed.heap.pages.ledger().transfer(Purpose::HeapBits, Purpose::Ranges, 64);
    };
    a_record_leads_astray: "a record says where the heap bitmap that covers its span is", |bed| {
        bed.record(bed.scannable, |record| record.set_bits(record.bits_distance() + 1, record.near_slots()));
    };
    a_record_leads_too_many_slots: "a record says where the heap bitmap that covers its span is", |bed| {
        bed.record(bed.scannable, |record| record.set_bits(record.bits_distance(), record.near_slots() + 1));
    };
    a_record_leads_nowhere: "a record says where the heap bitmap that covers its span is", |bed| {
        bed.record(bed.scannable, |record| record.set_bits(0, 0));
    };
    a_record_leads_to_bits_of_nobody: "a record says where the heap bitmap that covers its span is", |bed| {
        bed.record(bed.plain, |record| record.set_bits(1, 1));
    };
    idle_parts_are_miscounted: "idle parts of the heap bitmap are counted", |bed| {
        bed.heap.pages.bitmap().plant_idle_bytes(4096);
    };
    a_plain_object_is_described: "words outside of scannable spans are dead", |bed| {
        bed.describe_word(bed.plain);
    };
    a_free_slot_is_described: "the words of a free slot are dead", |bed| {
        bed.describe_word(VirtAddr::new(bed.scannable.value() + 20 * BYTES));
    };
    a_description_goes_on: "a description that has ended does not go on", |bed| {
        bed.describe_word(VirtAddr::new(bed.scannable.value() + 5 * 4));
    };
    a_dead_word_is_a_pointer: "a description that has ended does not go on", |bed| {
        bed.say(VirtAddr::new(bed.scannable.value() + 3 * 4), 1);
    };
    a_tail_is_described: "the words of a span's tail are dead", |bed| {
        let page = bed.page(bed.scannable);
        let next = PageIdx(page.first.0 + 1).address::<Sim<Plain32>>();
        bed.describe_word(VirtAddr::new(next.value() - 4));
    };
}

#[test]
fn all_10_rules_of_the_bitmap_are_damaged() {
    let mut rules = RULES.to_vec();
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), 10);
}
