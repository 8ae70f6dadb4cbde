//! The stage of the models: one span, the blocks of two CPUs, and the central lists.

use core::ops::DerefMut;
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::{Machine, Offset, Reentry};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

use super::super::central::{Central, Lists};
use super::super::class::{ClassTable, SizeClass, SpanClass};
use super::super::class_table::table;
use super::super::record::{Kind, Record};
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::block::{CpuBlock, Entered};
use super::places::Place;
use super::remote::RemoteFree;
use super::tag::{Owner, Tag};
use crate::arena::SpanHandle;
use crate::base::{PageIdx, PageRun};
use crate::memory::{self, Memory};
use crate::ram::{Paged, Threads};

/// The machine: its pages are as short as they can be with a class whose slots have two words of
/// bits.
type Pages = Paged<10>;

/// Offset of the record, in memory that is no page of the heap.
const RECORD: usize = 0x8000;
/// The anchor of handles.
const ANCHOR: Offset = Offset::new(0x9000);
/// The span's first page.
const FIRST: PageIdx = PageIdx(4);

/// Words of bits of the span.
const WORDS: usize = 2;

/// The first slots of its two words of bits, and more of the first word.
pub(super) const SLOTS: [usize; 4] = [0, 1, 64, 2];

/// A span that CPU 0 owns, with the blocks of two CPUs.
pub(super) struct Stage {
    machine: Pages,
    blocks: Memory,
    central: Central<Threads>,
    /// The memory of [`SLOTS`].
    slots: [UnsafeCell<()>; SLOTS.len()],
    /// The cells of a block.
    cells: UnsafeCell<()>,
    /// The span is no more. No part of the model.
    is_gone: AtomicBool,
}

// SAFETY: loom says when the memory of slots and blocks is used by two threads at once; the rest
// may be used by any thread.
unsafe impl Sync for Stage {}
// SAFETY: as above.
unsafe impl Send for Stage {}

impl Stage {
    /// A span of which these slots are live, all of them slots of [`SLOTS`].
    pub(super) fn new(live: &[usize]) -> Arc<Self> {
        let bytes = 2 * size_of::<CpuBlock>();
        let stage = Arc::new(Self {
            machine: Pages::new(),
            blocks: Memory::aligned(bytes, align_of::<CpuBlock>()),
            central: Central::new(false),
            slots: SLOTS.map(|_| UnsafeCell::new(())),
            cells: UnsafeCell::new(()),
            is_gone: AtomicBool::new(false),
        });
        let record = stage.record();
        memory::make_each_fresh(fields(record));
        for number in 0..2 {
            let block = stage.block(number.into());
            let start = ptr::from_ref(&block.entries).addr() + size_of_val(&block.entries);
            let end = ptr::from_ref(block).addr() + size_of::<CpuBlock>();
            memory::make_fresh(start, end - start);
            block.set_up(Owner::new(number), Self::table(), None);
        }
        let run = PageRun::new(FIRST, Self::table().pages(Self::class()));
        let free = Self::slots() - live.len();
        let free_slots = u16::try_from(free).expect("a span has few slots");
        record.describe::<Pages>(Kind::Small(Self::class().number()), run, free_slots, false);
        for slot in live {
            let word = &record.bits[slot / 64];
            word.store(word.load(Relaxed) | 1 << (slot % 64), Relaxed);
        }
        let entered = stage.enter(0).expect("nobody is inside");
        entered.own(stage.records(), stage.handle(), Self::place());
        drop(entered);
        stage
    }

    fn table() -> &'static ClassTable {
        table(Pages::GEOMETRY.page_shift).expect("there is a table")
    }

    /// The class of the span.
    pub(super) fn class() -> SizeClass {
        let table = Self::table();
        let mut classes = (0..).map_while(|number| table.class(number));
        let has_words = |class: &SizeClass| table.slots(*class).div_ceil(64) == WORDS;
        classes.find(has_words).expect("there is such a class")
    }

    pub(super) fn slots() -> usize {
        Self::table().slots(Self::class())
    }

    pub(super) fn place() -> Place {
        let place = Place::of(Self::table(), Self::class());
        assert_ne!(place, Place::NONE, "CPUs own spans of the class");
        place
    }

    pub(super) fn records(&self) -> Records<'_, Pages> {
        Records::new(&self.machine, ANCHOR)
    }

    pub(super) fn handle(&self) -> SpanHandle {
        let handle = self.records().handle(self.record());
        handle.expect("the anchor reaches the record")
    }

    pub(super) fn span(&self) -> SpanRef<'_> {
        self.records().get(self.handle())
    }

    pub(super) fn record(&self) -> &Record {
        let address = Pages::GEOMETRY.address(Offset::new(RECORD));
        let record: NonNull<Record> = self.machine.pointer(address).cast();
        // SAFETY: the memory is aligned, zero is a record, and its fields are shared.
        unsafe { record.as_ref() }
    }

    pub(super) fn block(&self, number: usize) -> &CpuBlock {
        let first: NonNull<CpuBlock> = self.blocks.start().cast();
        // SAFETY: there are two.
        let block = unsafe { first.add(number) };
        // SAFETY: the memory is aligned, zero is a block, and blocks are shared.
        unsafe { block.as_ref() }
    }

    /// Enters a block, as threads do that are switched by interrupts.
    pub(super) fn enter(&self, number: usize) -> Option<Entered<'_>> {
        // SAFETY: threads may come between.
        let entered = unsafe { self.block(number).enter(Reentry::THREADS) }?;
        self.use_cells();
        Some(entered)
    }

    /// Uses what those who have entered a block use alone.
    pub(super) fn use_cells(&self) {
        self.cells.with_mut(|_| ());
    }

    /// Uses the memory of a slot, as its owner does.
    pub(super) fn use_slot(&self, slot: usize) {
        let at = SLOTS.iter().position(|known| *known == slot);
        self.slots[at.expect("the slot has memory")].with_mut(|_| ());
    }

    /// Uses a slot for the last time and frees it for CPU `owner`, whose span it was.
    pub(super) fn free_remotely(&self, owner: u16, slot: usize) -> RemoteFree {
        self.use_slot(slot);
        let (records, slots) = (self.records(), Self::slots());
        let tag = Tag::new(Owner::new(owner), Self::place().in_tag());
        // SAFETY: the slot is the caller's, in a span that was that CPU's.
        unsafe {
            self.block(owner.into())
                .free_remotely(records, (self.span(), tag), slot, slots)
        }
    }

    /// The slot that begins at `start`.
    pub(super) fn slot_at(&self, start: NonNull<u8>) -> usize {
        let first = self.machine.pointer(FIRST.address::<Pages>());
        (start.addr().get() - first.addr().get()) / Self::table().size(Self::class())
    }

    /// Slots that are taken, those included that others have freed.
    pub(super) fn count_taken(&self) -> usize {
        self.span().count_taken(Self::slots())
    }

    /// Takes the central lock.
    pub(super) fn lists(&self) -> impl DerefMut<Target = Lists> {
        self.central.lock()
    }

    /// Runs `work` under the central lock.
    pub(super) fn with_lists<R>(&self, work: impl FnOnce(&mut Lists) -> R) -> R {
        work(&mut self.lists())
    }

    /// The list that the span is on when it is central.
    pub(super) fn span_class() -> SpanClass {
        SpanClass::noscan(Self::class())
    }

    /// Whether the record went.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Relaxed)
    }

    /// The record goes: it describes another span from now on.
    pub(super) fn withdraw(&self) {
        self.is_gone.store(true, Relaxed);
        memory::withdraw_each(fields(self.record()));
    }
}

/// The addresses of the atomics of a record.
fn fields(record: &Record) -> impl Iterator<Item = usize> + use<> {
    let (halves, words) = (
        [
            ptr::from_ref(&record.free_slots).addr(),
            ptr::from_ref(&record.fresh_slot).addr(),
        ],
        [
            ptr::from_ref(&record.pages).addr(),
            ptr::from_ref(&record.kind).addr(),
            ptr::from_ref(&record.tag).addr(),
            ptr::from_ref(&record.next).addr(),
            ptr::from_ref(&record.previous).addr(),
            ptr::from_ref(&record.start).addr(),
        ],
    );
    let bits: Vec<_> = record
        .bits
        .iter()
        .map(|word| ptr::from_ref(word).addr())
        .collect();
    halves.into_iter().chain(words).chain(bits)
}
