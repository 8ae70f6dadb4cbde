//! The six transitions, checked and accounted.

use core::ops::Range;
use core::ptr::NonNull;

use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PhysAddr, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};

use crate::calls::{Call, Kind};
use crate::frames::TooFew;
use crate::geometry::{self, SimGeometry};
use crate::shared::{Books, Shared};
use crate::sim::Sim;
use crate::states::State;
use crate::violation::violation;
use crate::window::Window;

/// The byte that fills frames with unknown contents.
const UNKNOWN: u8 = 0xA5;

/// Addresses are biased by a multiple of this many bytes, or of an arena if that is more. A window
/// takes that much of the host's address space beyond its own for a while.
const BIAS: usize = if usize::BITS > 32 { 1 << 28 } else { 1 << 25 };

/// log2 of the address space within which adjacent windows are one piece of host memory, where the
/// host reserves address space for nothing.
const REACH_BITS: u32 = 40;

/// log2 of that address space where a window comes from the host's allocator.
const REACH_BITS_ALLOCATED: u32 = 28;

// SAFETY:
// - adjacent frames have numbers of their own, and the memory is the host's as for other frames;
// - committed memory is host memory that is mapped read-write, of one window, whose block is shared
//   with nothing; it stays so until `make_unready`, called from the three calls that may;
// - memory reported as zeroed was filled with zeros, or is fresh from the host, which zeroes it;
// - each call checks everything that can fail before it changes anything;
// - `mprotect` reaches every CPU before it returns;
// - pointers are made from the window's own by adding, and turned back by subtracting; they have
//   the alignment of their addresses up to `BIAS` or an arena, and the documentation says so.
unsafe impl<G: SimGeometry> Machine for Sim<G> {
    const GEOMETRY: Geometry = {
        geometry::check::<G>();
        G::GEOMETRY
    };

    const DECOMMITS: bool = G::DECOMMITS;

    const WORD_BYTES: usize = if G::GEOMETRY.address_bits > 32 { 8 } else { 4 };

    type IndexRoot = G::IndexRoot;

    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        let call = Shared::call(Kind::Reserve, range, patience);
        let _entered = self.shared().enter(call)?;
        self.shared().reserve(range)
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        let call = Shared::call(Kind::Prepare, range, patience);
        let _entered = self.shared().enter(call)?;
        self.shared().prepare(call)
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        let call = Shared::call(Kind::Commit, range, patience);
        let _entered = self.shared().enter(call)?;
        self.shared().commit(call)
    }

    unsafe fn commit_adjacent(
        &self,
        range: VirtRange,
        align: usize,
        patience: Patience,
    ) -> Result<PhysAddr, CommitError> {
        let call = Shared::call(Kind::Commit, range, patience);
        let _entered = self.shared().enter(call)?;
        self.shared().commit_adjacent(call, align)
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let call = Shared::call(Kind::Decommit, range, patience);
        let _entered = self.shared().enter(call)?;
        self.shared().lower(call, &[State::Ready], State::Prepared);
        Ok(())
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let call = Shared::call(Kind::Fault, range, patience);
        let _entered = self.shared().enter(call)?;
        self.shared()
            .lower(call, &[State::Ready, State::Prepared], State::Reserved);
        Ok(())
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        let call = Shared::call(Kind::Release, range, patience);
        let _entered = self.shared().enter(call)?;
        let allowed = [State::Ready, State::Prepared, State::Reserved];
        self.shared().lower(call, &allowed, State::None);
        Ok(())
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        self.shared().windows.pointer(addr)
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.shared().windows.address(pointer)
    }

    fn footprint(&self) -> Footprint {
        let books = self.shared().books();
        Footprint {
            table_frames: books.tables.count(),
            held_frames: books.frames.held(),
        }
    }
}

impl Shared {
    fn reserve(&self, range: VirtRange) -> Result<(), ReserveError> {
        let Some(granules) = self.granules_of(range) else {
            return Err(ReserveError::Outside { range });
        };
        let mut books = self.books();
        if books.failures.fails() {
            return Err(ReserveError::Occupied { occupied: range });
        }
        if let Some(occupied) = self.find_occupied(&books, range, granules.clone()) {
            return Err(ReserveError::Occupied { occupied });
        }
        let modulus = BIAS.max(self.geometry.arena_bytes());
        let bits = if self.traps {
            REACH_BITS
        } else {
            REACH_BITS_ALLOCATED
        };
        // Several machines at once, some of them in statics, fit the host's own address space.
        let bits = bits.min(self.geometry.address_bits).min(usize::BITS - 6);
        let reach = 1 << bits;
        self.windows.open(range, reach, modulus, self.traps);
        books.states.set(granules, State::Reserved);
        Ok(())
    }

    /// The first part of `range` that is in use.
    fn find_occupied(
        &self,
        books: &Books,
        range: VirtRange,
        granules: Range<usize>,
    ) -> Option<VirtRange> {
        let runs = books.states.runs(granules);
        let ours = runs.into_iter().find(|&(_, state)| state != State::None);
        match ours {
            Some((run, _)) => self.range(run),
            None => books
                .occupied
                .iter()
                .copied()
                .find(|other| other.overlaps(range)),
        }
    }

    fn prepare(&self, call: Call) -> Result<(), PrepareError> {
        let mut books = self.books();
        self.check(&books, call, &[State::Reserved]);
        let granules = self.granules(call);
        let needed = books.tables.missing(granules.clone());
        if books.failures.fails() {
            // The figures say that one frame is short.
            let needed = needed.max(1);
            let available = needed - 1;
            return Err(PrepareError::PageTables { needed, available });
        }
        if let Err(TooFew { available }) = books.frames.take(needed) {
            return Err(PrepareError::PageTables { needed, available });
        }
        books.tables.add(granules.clone());
        books.states.set(granules, State::Prepared);
        Ok(())
    }

    fn commit(&self, call: Call) -> Result<Contents, CommitError> {
        let mut books = self.books();
        let window = self.check(&books, call, &[State::Prepared]);
        let needed = self.granules(call).len();
        if books.failures.fails() {
            let available = needed - 1;
            return Err(CommitError::Frames { needed, available });
        }
        if let Err(TooFew { available }) = books.frames.take(needed) {
            return Err(CommitError::Frames { needed, available });
        }
        Ok(self.make_ready(&mut books, window, call))
    }

    fn commit_adjacent(&self, call: Call, align: usize) -> Result<PhysAddr, CommitError> {
        let mut books = self.books();
        let window = self.check(&books, call, &[State::Prepared]);
        let needed = self.granules(call).len();
        let refused = CommitError::Adjacent { needed };
        if books.failures.fails() {
            return Err(refused);
        }
        let granule_shift = self.geometry.granule_shift;
        let first = books.frames.take_adjacent(needed, align >> granule_shift);
        let first = first.ok_or(refused)?;
        self.make_ready(&mut books, window, call);
        Ok(PhysAddr::new((first as u64) << granule_shift))
    }

    /// Makes the range of a call Ready, whose frames were taken.
    fn make_ready(&self, books: &mut Books, window: &Window, call: Call) -> Contents {
        let (contents, fill) = if self.zeroed_frames {
            (Contents::Zeroed, 0)
        } else {
            (Contents::Unknown, UNKNOWN)
        };
        let made = window.make_ready(call.range, fill, &self.any_ready(books, window));
        if let Err(tampered) = made {
            let address = window.address(tampered.0);
            violation(format_args!(
                "{call}: {address} was written while it was not Ready"
            ));
        }
        books.states.set(self.granules(call), State::Ready);
        contents
    }

    /// Takes the range of a call down to `target`, a state below all of the `allowed` ones.
    fn lower(&self, call: Call, allowed: &[State], target: State) {
        let mut books = self.books();
        let window = self.check(&books, call, allowed);
        let granules = self.granules(call);
        for (run, state) in books.states.runs(granules.clone()) {
            if state == State::Ready {
                // A part of a range that does not wrap does not wrap.
                if let Some(range) = self.range(run.clone()) {
                    window.make_unready(range, &self.any_ready(&books, window));
                }
                books.frames.give(run.len());
                books.states.set(run.clone(), State::Prepared);
            }
            if state.has_tables() && !target.has_tables() {
                let gone = books.tables.remove(run);
                books.frames.give(gone);
            }
        }
        books.states.set(granules, target);
    }

    /// The function that tells whether a granule in some bytes of `window` is Ready.
    fn any_ready(&self, books: &Books, window: &Window) -> impl Fn(Range<usize>) -> bool {
        move |bytes| {
            let range = VirtRange::new(window.address(bytes.start), bytes.len());
            range
                .and_then(|range| self.granules_of(range))
                .is_some_and(|granules| books.states.any(granules, State::Ready))
        }
    }
}
