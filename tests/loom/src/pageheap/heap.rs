//! The parts of a heap that the models use: the machine, the account, the index, the memory of the
//! bitmap, and the windows in a gate of loom's.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::{Machine, VirtAddr, VirtRange};
use loom::sync::{Arc, Mutex};

use super::bitmap::BitmapMemory;
use super::run::ReadyRun;
use crate::arena::{ArenaIndex, BitsReader};
use crate::base::held::HeapNumber;
use crate::base::{PageIdx, PageRun};
use crate::memory;
use crate::ram::{Ram, Threads};
use crate::region::token::{Prepared, Ready, Reserved};
use crate::region::windows::Home;
use crate::region::{Ledger, PendingUndo, Purpose, Space, Windows};
use crate::span::Scan;

/// Pages of the heap, in the first arena; all but the first page, which is kept free.
pub(crate) const PAGES: PageRun = PageRun::new(PageIdx(1), 4);

/// The page that the part which covers them is made of.
const PART: PageRun = PageRun::new(PageIdx(2), 1);

fn range(pages: PageRun) -> VirtRange {
    pages.range::<Ram>().expect("the pages lie in the space")
}

/// Pages of the window that nothing uses yet.
fn reserved(pages: PageRun) -> Reserved {
    // SAFETY: the window was reserved, and nothing names these pages.
    unsafe { Reserved::assume(range(pages)) }
}

/// A heap without objects.
#[derive(Debug)]
pub(crate) struct SmallHeap {
    pub(crate) machine: Ram,
    pub(crate) ledger: Ledger,
    pub(crate) index: ArenaIndex<Ram>,
    pub(crate) bitmap: BitmapMemory<Threads>,
    gate: Mutex<Windows>,
}

impl SmallHeap {
    /// A heap with one window.
    pub(crate) fn new() -> Arc<Self> {
        let heap = Arc::new(Self {
            machine: Ram::new(),
            ledger: Ledger::new(),
            index: ArenaIndex::new(),
            bitmap: BitmapMemory::new(),
            gate: Mutex::new(Windows::new()),
        });
        memory::make_fresh(
            ptr::from_ref(&heap.index).addr(),
            size_of::<ArenaIndex<Ram>>(),
        );
        heap.in_gate(|space, windows| {
            let base = VirtAddr::new(Ram::GEOMETRY.base);
            let range = VirtRange::new(base, Ram::BYTES).expect("the space does not wrap");
            let room = PageRun::inside::<Ram>(space.reserve(range).expect("nothing is").record());
            let room = room.expect("the window has pages");
            let part = space.prepare(reserved(PART)).expect("nothing is refused");
            part.record();
            let home = Home {
                room: PageRun::between(PAGES.end(), room.end()),
                is_apart: false,
                anchor: Windows::anchor::<Ram>(room),
                extent_bytes: Ram::GEOMETRY
                    .page_bytes()
                    .max(ArenaIndex::<Ram>::BLOCK_BYTES),
            };
            // SAFETY: the room was reserved just now.
            unsafe { windows.set_home::<Ram>(home) };
            windows.ensure_ranges(space).expect("memory");
            windows.add_home(room).expect("there is room in the array");
        });
        heap
    }

    /// Does `work` alone in the gate.
    pub(crate) fn in_gate<R>(&self, work: impl FnOnce(&Space<'_, Ram>, &mut Windows) -> R) -> R {
        let mut windows = self.gate.lock().expect("no thread has panicked");
        let pending = Cell::new(PendingUndo::NONE);
        let (heap, admit) = (HeapNumber, |_: &Ledger, _| Ok(()));
        // SAFETY: the gate is held until the space is gone.
        let space =
            unsafe { Space::new::<Threads>(&self.machine, &self.ledger, heap, admit, &pending) };
        work(&space.expect("nothing is pending"), &mut windows)
    }

    /// Makes the entries of the pages.
    pub(crate) fn ensure(&self) {
        self.in_gate(|space, windows| {
            let ensured = self.index.ensure(PAGES, &mut windows.source(space));
            ensured.expect("memory");
        });
    }

    /// Makes the bitmap of the pages Ready and idle, as for a run that is then refused.
    pub(crate) fn commit_bits(&self) {
        self.in_gate(|space, windows| {
            let mut source = windows.source(space);
            let ensured = self.bitmap.ensure(&self.index, &mut source, PAGES);
            ensured.expect("memory");
            if self.bitmap.covers(&self.index, Scan::YES, PAGES) {
                return;
            }
            // SAFETY: the page was prepared, has no memory while the part is absent, and the gate
            // is held.
            let prepared = unsafe { Prepared::assume(range(PART)) };
            let (ready, _) = space.commit(prepared, Purpose::Objects).expect("memory");
            ready.record();
            // SAFETY: the page was committed just now.
            let page = unsafe { ReadyRun::assume(PART) }.with_unclear(0);
            self.bitmap
                .add(&self.index, &self.machine, &self.ledger, PAGES, page);
        });
    }

    /// Takes back idle bitmap, and returns how many parts. If the machine is busy, they are none.
    pub(crate) fn scavenge(&self) -> usize {
        self.in_gate(|space, windows| {
            let (machine, ledger) = (&self.machine, &self.ledger);
            let idle = self
                .bitmap
                .take_lowest_idle(&self.index, machine, ledger, windows, false);
            let Some(idle) = idle else {
                return 0;
            };
            // SAFETY: the page is Ready, and nothing else names it.
            let ready = unsafe { Ready::assume(range(idle.page.run())) };
            match space.decommit(ready, Purpose::Objects) {
                Ok(prepared) => {
                    idle.page.record();
                    prepared.record();
                    1
                }
                Err(refused) => {
                    refused.range.record();
                    self.bitmap.put_back(&self.index, ledger, idle);
                    0
                }
            }
        })
    }

    /// Claims the bitmap for a scannable span, outside of the gate.
    pub(crate) fn claim(&self) -> bool {
        self.bitmap
            .claim(&self.index, &self.ledger, Scan::YES, PAGES)
    }

    /// Gives up the claim.
    pub(crate) fn release(&self) {
        // SAFETY: the pages hold no object.
        unsafe {
            self.bitmap
                .release(&self.index, &self.ledger, Scan::YES, PAGES);
        };
    }

    /// A reader of the bitmap. Models decide whether it may be used: an access to memory that is
    /// gone fails.
    pub(crate) fn bits(&self) -> BitsReader<'_, Ram> {
        // SAFETY: none: memory that was taken back is memory of the machine still.
        unsafe { self.index.read_bits() }
    }

    /// The first unit of the bitmap, if it is Ready.
    pub(crate) fn look(&self) -> Option<usize> {
        let units = self.bits().units_of(PAGES.first);
        units.first().map(|unit| unit.load(Relaxed))
    }

    /// Sets the first unit, as the owner of a slot does.
    pub(crate) fn describe(&self, value: usize) {
        let units = self.bits().units_of(PAGES.first);
        let unit = units.first().expect("the bitmap of a claim is Ready");
        unit.store(value, Relaxed);
    }
}
