//! The block of a CPU by itself, with spans on a simulated machine.

use core::cell::Cell;
use core::ptr::NonNull;

use archipelago_api::{Machine as _, Offset, Patience, Reentry, VirtAddr, VirtRange};
use archipelago_sim::{Plain32, Sim, SimGeometry as _};

use crate::arena::SpanHandle;
use crate::base::sparse::{Entry, Zeroed};
use crate::base::sync::Ordering::Relaxed;
use crate::base::{PageIdx, PageRun};
use crate::region::{Purpose, Source as _};
use crate::span::class::{ClassTable, SizeClass};
use crate::span::class_table::table;
use crate::span::owned::block::{CpuBlock, Emptied, Entered};
use crate::span::owned::credit::FULL;
use crate::span::owned::frees::OwnFree;
use crate::span::owned::map::{MapEntry, SpanMap};
use crate::span::owned::places::{Place, remote_words};
use crate::span::owned::remote::RemoteFree;
use crate::span::owned::tag::{Owner, Tag};
use crate::span::record::{Kind, NARROW_SLOTS, Record, WORD_BITS};
use crate::span::records::Records;
use crate::span::slots::SpanRef;
use crate::testing::HostSource;

pub(super) type Plain = Sim<Plain32>;

pub(super) const PAGE: usize = Plain32::GEOMETRY.page_bytes();

/// The space of the machine: records, then spans.
pub(super) const START: usize = 0x4000_0000;
const BYTES: usize = 2 << 20;
/// Bytes from one record to the next.
const STRIDE: usize = 256;
const SPANS: usize = 64;

/// The block's CPU.
pub(super) const OWNER: Owner = Owner::new(5);

/// A block, and the spans that were made for it.
pub(super) struct Stage {
    machine: Plain,
    pub(super) block: &'static CpuBlock,
    spans: Cell<usize>,
    next_page: Cell<usize>,
}

/// A span of the stage.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    stage: &'a Stage,
    pub(super) handle: SpanHandle,
    pub(super) class: SizeClass,
}

/// Zeroed memory for good.
pub(super) fn fresh<T: Entry>(count: usize) -> Zeroed<T> {
    let memory = HostSource::default().take(Purpose::Spans, count, align_of::<T>());
    memory.expect("the host has memory")
}

/// The ways in which the owner frees a slot.
pub(super) const FREES: [fn(Span<'_>, usize) -> Option<Emptied>; 2] = [
    |span, slot| span.free(slot),
    |span, slot| span.free_at_once(slot),
];

impl Stage {
    /// The number of the first page of spans.
    pub(super) const FIRST_PAGE: usize = SPANS * STRIDE / PAGE;

    /// A block without spans, whose map has an entry for every page.
    pub(super) fn new() -> Self {
        let map = fresh::<SpanMap>(1).into_entry();
        let entries = fresh::<MapEntry>(BYTES / PAGE).into_slice();
        let first = NonNull::from(entries).cast();
        map.set_up(VirtAddr::new(START), first, BYTES / PAGE);
        // SAFETY: nobody else knows the entries, which are zero and stay.
        map.extend(unsafe { Zeroed::new(first, BYTES / PAGE) });
        Self::with_map(map)
    }

    /// A block without spans.
    pub(super) fn with_map(map: &'static SpanMap) -> Self {
        let machine = Sim::builder().build();
        let range = VirtRange::new(VirtAddr::new(START), BYTES).expect("it is in the space");
        // SAFETY: nobody else calls the machine.
        unsafe { machine.reserve(range, Patience::Wait) }.expect("nothing is there");
        // SAFETY: as above; the range is Reserved.
        unsafe { machine.prepare(range, Patience::Wait) }.expect("memory");
        // SAFETY: as above; the range is Prepared.
        unsafe { machine.commit(range, Patience::Wait) }.expect("memory");
        let records: NonNull<u8> = machine.pointer(VirtAddr::new(START));
        // SAFETY: the memory is Ready, and nobody's.
        unsafe { records.write_bytes(0, SPANS * STRIDE) };
        let block = fresh::<CpuBlock>(1).into_entry();
        block.set_up(OWNER, Self::table(), Some(map));
        Self {
            machine,
            block,
            spans: Cell::new(0),
            next_page: Cell::new(Self::FIRST_PAGE),
        }
    }

    pub(super) fn table() -> &'static ClassTable {
        table(Plain32::GEOMETRY.page_shift).expect("there is a table")
    }

    /// The classes that CPUs own spans of.
    pub(super) fn classes() -> impl Iterator<Item = SizeClass> {
        let classes = (0..).map_while(|number| Self::table().class(number));
        classes.filter(|class| Place::of(Self::table(), *class) != Place::NONE)
    }

    /// The first class of whose slots there are so many as `fits` says.
    pub(super) fn class_with(fits: impl Fn(usize) -> bool) -> SizeClass {
        let mut classes = Self::classes();
        let found = classes.find(|class| fits(Self::table().slots(*class)));
        found.expect("there is such a class")
    }

    pub(super) fn records(&self) -> Records<'_, Plain> {
        Records::new(&self.machine, Offset::new(START + BYTES))
    }

    /// Enters the block, as threads do that are switched by interrupts.
    pub(super) fn enter(&self) -> Entered<'_> {
        // SAFETY: threads may come between.
        unsafe { self.block.enter(Reentry::THREADS) }.expect("nobody is inside")
    }

    /// A new span of `class`, which is nobody's and has no live slot.
    pub(super) fn span(&self, class: SizeClass) -> Span<'_> {
        let number = self.spans.replace(self.spans.get() + 1);
        assert!(number < SPANS, "there is room for more spans");
        let address = VirtAddr::new(START + number * STRIDE);
        let record: NonNull<Record> = self.machine.pointer(address).cast();
        // SAFETY: the memory is Ready, zero and aligned, and records are shared.
        let record: &Record = unsafe { record.as_ref() };
        if Self::table().slots(class) > NARROW_SLOTS / 2 {
            record.mark_wide();
        }
        let pages = Self::table().pages(class);
        let first = self.next_page.replace(self.next_page.get() + pages);
        assert!(
            first + pages <= BYTES / PAGE,
            "there is room for more pages"
        );
        let run = PageRun::new(PageIdx(START / PAGE + first), pages);
        let slots = u16::try_from(Self::table().slots(class)).expect("a few");
        record.describe::<Plain>(Kind::Small(class.number()), run, slots, false);
        let handle = self.records().handle(record).expect("it is in reach");
        Span {
            stage: self,
            handle,
            class,
        }
    }

    /// A new span of `class`, which is the current one of the CPU.
    pub(super) fn own(&self, class: SizeClass) -> Span<'_> {
        let span = self.span(class);
        span.own();
        span
    }

    /// A new span of `class` with all slots live, of which the CPU takes slots no more.
    pub(super) fn full(&self, class: SizeClass) -> Span<'_> {
        let span = self.own(class);
        span.fill();
        span.leave();
        span
    }

    /// The first span in the queue of `class`.
    pub(super) fn first(&self, class: SizeClass) -> Option<SpanHandle> {
        let entered = self.enter();
        entered.entry(Place::of(Self::table(), class)).first()
    }

    /// Whether the CPU knows that it has an empty span.
    pub(super) fn has_kept(&self) -> bool {
        self.kept_pages() > 0 || self.enter().block.kept.next_current(Place::NONE).is_some()
    }

    /// Pages of the empty spans that are no class's current ones.
    pub(super) fn kept_pages(&self) -> usize {
        self.enter().block.kept.pages.get()
    }

    /// Whether the span is the current one of its class.
    pub(super) fn is_current(&self, span: Span<'_>) -> bool {
        self.enter().entry(span.place()).current.get() == span.handle.0.get()
    }

    /// Takes a slot of `class`, of whatever span of the CPU.
    pub(super) fn take(&self, class: SizeClass) -> Option<VirtAddr> {
        let place = Place::of(Self::table(), class);
        let taken = self.enter().take_more(self.records(), place)?;
        self.machine.address(taken)
    }

    /// Takes a slot of `class`, of the current word.
    pub(super) fn take_at_once(&self, class: SizeClass) -> Option<VirtAddr> {
        let taken = self.enter().take(Place::of(Self::table(), class))?;
        self.machine.address(taken)
    }

    /// Takes a slot of `class`, of the next span, if that is soon done.
    pub(super) fn take_next(&self, class: SizeClass) -> Option<VirtAddr> {
        let place = Place::of(Self::table(), class);
        let taken = self.enter().take_next(self.records(), place)?;
        self.machine.address(taken)
    }

    /// The span that the map names for the page of `address`.
    pub(super) fn find(&self, address: VirtAddr) -> Option<SpanHandle> {
        let span = self.block.map.find::<Plain>(address)?;
        // SAFETY: records stay.
        let record = unsafe { span.record() };
        // Pages of nobody's lead to a record that is elsewhere.
        self.records().handle(record)
    }
}

impl Span<'_> {
    pub(super) fn place(self) -> Place {
        Place::of(Stage::table(), self.class)
    }

    pub(super) fn slots(self) -> usize {
        Stage::table().slots(self.class)
    }

    pub(super) fn get(&self) -> SpanRef<'_> {
        self.stage.records().get(self.handle)
    }

    /// The address of a slot.
    pub(super) fn slot(self, number: usize) -> VirtAddr {
        let start = self.get().record.base::<Plain>().value();
        VirtAddr::new(start + number * Stage::table().size(self.class))
    }

    /// Makes the span the current one of the CPU.
    pub(super) fn own(self) {
        let entered = self.stage.enter();
        entered.own(self.stage.records(), self.handle, self.place());
    }

    /// Takes all free slots of the span, which is current, and checks that each is the lowest.
    pub(super) fn fill(self) {
        let free = self.slots() - self.live();
        for _ in 0..free {
            let lowest = (0..self.slots()).find(|slot| !self.get().is_taken(*slot));
            let taken = self.stage.take(self.class);
            assert_eq!(taken, lowest.map(|slot| self.slot(slot)));
        }
    }

    pub(super) fn live(self) -> usize {
        self.get().count_taken(self.slots())
    }

    /// Frees until the CPU looks at the span again.
    pub(super) fn credit(self) -> usize {
        self.get().record.free_slots()
    }

    /// Whether the span is on no list, until its credit is spent.
    pub(super) fn is_full(self) -> bool {
        self.get().record.previous.load(Relaxed) == FULL
    }

    /// Whether others have freed slots that were not taken back.
    pub(super) fn is_remote(self) -> bool {
        self.get().record.tag().0 & Tag::REMOTE != 0
    }

    /// Changes the credit, and returns what it was.
    pub(super) fn set_credit(self, credit: u16) -> u16 {
        self.get().record.free_slots.swap(credit, Relaxed)
    }

    /// Puts the span aside, which is current.
    pub(super) fn leave(self) {
        assert!(self.stage.is_current(self));
        let entered = self.stage.enter();
        entered.leave_current(self.stage.records(), entered.entry(self.place()));
    }

    /// Clears the bit of a live slot, as a free does that costs no credit.
    pub(super) fn clear(self, slot: usize) {
        let bit = 1 << (slot % WORD_BITS);
        let before = self.get().word(slot / WORD_BITS).fetch_and(!bit, Relaxed);
        assert_ne!(before & bit, 0, "the slot is live");
    }

    /// Sets the bit that says that another has freed a live slot.
    pub(super) fn set_remote_bit(self, slot: usize) {
        let word = slot / WORD_BITS + remote_words(self.slots());
        let bit = 1 << (slot % WORD_BITS);
        self.get().word(word).fetch_or(bit, Relaxed);
    }

    /// Frees a live slot on the span's CPU.
    pub(super) fn free(self, slot: usize) -> Option<Emptied> {
        let (entered, records) = (self.stage.enter(), self.stage.records());
        // SAFETY: nobody uses the slot.
        let freed = unsafe { entered.free_slot(records, (self.handle, self.get()), slot) };
        freed.expect("the slot is live")
    }

    /// Frees a live slot on the span's CPU, the short way.
    pub(super) fn free_at_once(self, slot: usize) -> Option<Emptied> {
        if self.free_and_settle(slot)? {
            return None;
        }
        let span = self.stage.block.map.find::<Plain>(self.slot(slot))?;
        self.stage.enter().look_at(self.stage.records(), span)
    }

    /// Frees a live slot on the span's CPU, the short way: `None` if the span has credit left, else
    /// whether it was settled soon.
    pub(super) fn free_and_settle(self, slot: usize) -> Option<bool> {
        let entered = self.stage.enter();
        // SAFETY: nobody uses the slot.
        match unsafe { entered.free_at::<Plain>(self.slot(slot), self.place()) } {
            OwnFree::Done => None,
            OwnFree::Spent(span) => {
                let tag = self.get().record.tag();
                Some(entered.settle(self.stage.records(), span, tag))
            }
            OwnFree::Elsewhere(..) | OwnFree::Refused => panic!("the slot is live"),
        }
    }

    /// Frees what is at `address` as one of the span's place; whether the short way serves that.
    pub(super) fn is_free_at(self, address: VirtAddr) -> bool {
        let entered = self.stage.enter();
        // SAFETY: nobody uses the slots.
        let freed = unsafe { entered.free_at::<Plain>(address, self.place()) };
        !matches!(freed, OwnFree::Elsewhere(..) | OwnFree::Refused)
    }

    /// Frees a live slot on another CPU.
    pub(super) fn free_remotely(self, slot: usize) {
        let (records, slots) = (self.stage.records(), self.slots());
        let block = self.stage.block;
        // SAFETY: nobody uses the slot; the span is of the block's CPU.
        let freed = unsafe {
            block.free_remotely(records, (self.get(), self.get().record.tag()), slot, slots)
        };
        assert_eq!(freed, RemoteFree::Done);
    }
}
