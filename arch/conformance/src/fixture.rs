//! The fixture of a rule: the window in sixteen cells, and a record of their states.
//!
//! By the record the suite itself keeps the contract: it makes no call from a wrong state.

use core::cell::Cell;
use core::ops::Range;
use core::ptr::NonNull;

use archipelago_api::{
    Busy, CommitError, Contents, Machine, Patience, PrepareError, ReserveError, VirtRange,
};

use crate::subject::{Contend, Exhaust, LEAST_GRANULES, Outcome, Subject};

/// The number of cells, each of at least one granule.
pub(crate) const CELLS: usize = LEAST_GRANULES;

/// The state of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    None,
    Reserved,
    Prepared,
    Ready,
}

const SUITE: &str = "the suite itself breaks the contract";
const BUSY: &str = "a call that may wait returns Busy";

/// The window of a machine under test.
pub(crate) struct Fixture<'a, M> {
    subject: Subject<'a, M>,
    /// Bytes of a cell; the last one may be longer.
    cell_bytes: usize,
    states: [Cell<State>; CELLS],
}

impl<'a, M: Machine> Fixture<'a, M> {
    /// A fixture with all cells in state None.
    pub(crate) fn new(subject: Subject<'a, M>) -> Result<Self, &'static str> {
        let (window, geometry) = (subject.window, M::GEOMETRY);
        if !window.is_aligned(geometry.granule_bytes()) || !geometry.contains(window) {
            return Err("the window is not made of granules of the address space");
        }
        let cell_granules = (window.bytes() >> geometry.granule_shift) / CELLS;
        if cell_granules == 0 {
            return Err("the window has fewer than 16 granules");
        }
        if window.base().value() == 0 {
            return Err("the window holds the granule at address 0");
        }
        Ok(Self {
            subject,
            cell_bytes: cell_granules << geometry.granule_shift,
            states: [const { Cell::new(State::None) }; CELLS],
        })
    }

    pub(crate) fn machine(&self) -> &'a M {
        self.subject.machine
    }

    pub(crate) fn window(&self) -> VirtRange {
        self.subject.window
    }

    /// The control over frames; rules that need one run only where the machine offers it.
    pub(crate) fn exhaust(&self) -> Result<&'a dyn Exhaust, &'static str> {
        self.subject.exhaust.ok_or(SUITE)
    }

    /// The control over the lock; rules that need one run only where the machine offers it.
    pub(crate) fn contend(&self) -> Result<&'a dyn Contend, &'static str> {
        self.subject.contend.ok_or(SUITE)
    }

    /// The addresses of some cells.
    pub(crate) fn range(&self, cells: Range<usize>) -> Result<VirtRange, &'static str> {
        let start = self.position(cells.start);
        let bytes = self.position(cells.end).checked_sub(start).ok_or(SUITE)?;
        let rest = self.window().split_at(start).map(|(_, rest)| rest);
        let range = rest.and_then(|rest| rest.split_at(bytes));
        range.map(|(range, _)| range).ok_or(SUITE)
    }

    /// The start of a cell, in bytes from the window's base; for the number after the last cell,
    /// the window's end.
    fn position(&self, cell: usize) -> usize {
        if cell == CELLS {
            self.window().bytes()
        } else {
            self.cell_bytes.wrapping_mul(cell)
        }
    }

    pub(crate) fn state(&self, cell: usize) -> State {
        self.states.get(cell).map_or(State::None, Cell::get)
    }

    /// The number of granules of the window in `state`.
    pub(crate) fn granules(&self, state: State) -> Result<usize, &'static str> {
        let mut bytes = 0_usize;
        for cell in (0..CELLS).filter(|&cell| self.state(cell) == state) {
            bytes = bytes.wrapping_add(self.range(cell..cell.wrapping_add(1))?.bytes());
        }
        Ok(bytes >> M::GEOMETRY.granule_shift)
    }

    /// The addresses of some cells if they are all in one of the `allowed` states.
    fn expect(&self, cells: Range<usize>, allowed: &[State]) -> Result<VirtRange, &'static str> {
        let states = self.states.get(cells.clone()).ok_or(SUITE)?;
        if states.is_empty() || !states.iter().all(|state| allowed.contains(&state.get())) {
            return Err(SUITE);
        }
        self.range(cells)
    }

    fn record(&self, cells: Range<usize>, state: State) {
        for cell in self.states.get(cells).unwrap_or_default() {
            cell.set(state);
        }
    }

    /// Calls `reserve` for any range, and records nothing.
    pub(crate) fn call_reserve(
        &self,
        range: VirtRange,
        patience: Patience,
    ) -> Result<(), ReserveError> {
        // SAFETY: the suite makes one call at a time.
        unsafe { self.machine().reserve(range, patience) }
    }

    /// Asks for `reserve` and records a success.
    pub(crate) fn ask_reserve(
        &self,
        cells: Range<usize>,
        patience: Patience,
    ) -> Result<Result<(), ReserveError>, &'static str> {
        let range = self.expect(cells.clone(), &[State::None])?;
        let result = self.call_reserve(range, patience);
        if result.is_ok() {
            self.record(cells, State::Reserved);
        }
        Ok(result)
    }

    /// Asks for `prepare` and records a success.
    pub(crate) fn ask_prepare(
        &self,
        cells: Range<usize>,
        patience: Patience,
    ) -> Result<Result<(), PrepareError>, &'static str> {
        let range = self.expect(cells.clone(), &[State::Reserved])?;
        // SAFETY: the whole range is Reserved, by the record.
        let result = unsafe { self.machine().prepare(range, patience) };
        if result.is_ok() {
            self.record(cells, State::Prepared);
        }
        Ok(result)
    }

    /// Asks for `commit` and records a success.
    pub(crate) fn ask_commit(
        &self,
        cells: Range<usize>,
        patience: Patience,
    ) -> Result<Result<Contents, CommitError>, &'static str> {
        let range = self.expect(cells.clone(), &[State::Prepared])?;
        // SAFETY: the whole range is Prepared, by the record.
        let result = unsafe { self.machine().commit(range, patience) };
        if result.is_ok() {
            self.record(cells, State::Ready);
        }
        Ok(result)
    }

    /// Asks for `decommit` and records a success.
    pub(crate) fn ask_decommit(
        &self,
        cells: Range<usize>,
        patience: Patience,
    ) -> Result<Result<(), Busy>, &'static str> {
        let range = self.expect(cells.clone(), &[State::Ready])?;
        // SAFETY:
        // - the whole range is Ready, by the record;
        // - the suite keeps no reference to it.
        let result = unsafe { self.machine().decommit(range, patience) };
        if result.is_ok() {
            self.record(cells, State::Prepared);
        }
        Ok(result)
    }

    /// Asks for `fault` and records a success.
    pub(crate) fn ask_fault(
        &self,
        cells: Range<usize>,
        patience: Patience,
    ) -> Result<Result<(), Busy>, &'static str> {
        let range = self.expect(cells.clone(), &[State::Ready, State::Prepared])?;
        // SAFETY:
        // - every granule is Ready or Prepared, by the record;
        // - the suite keeps no reference to it.
        let result = unsafe { self.machine().fault(range, patience) };
        if result.is_ok() {
            self.record(cells, State::Reserved);
        }
        Ok(result)
    }

    /// Asks for `release` and records a success.
    pub(crate) fn ask_release(
        &self,
        cells: Range<usize>,
        patience: Patience,
    ) -> Result<Result<(), Busy>, &'static str> {
        let any = [State::Ready, State::Prepared, State::Reserved];
        let range = self.expect(cells.clone(), &any)?;
        // SAFETY:
        // - the whole range was reserved, by the record;
        // - the suite keeps no reference to it.
        let result = unsafe { self.machine().release(range, patience) };
        if result.is_ok() {
            self.record(cells, State::None);
        }
        Ok(result)
    }

    /// `reserve` that must succeed.
    pub(crate) fn reserve(&self, cells: Range<usize>) -> Outcome {
        self.ask_reserve(cells, Patience::Wait)?
            .map_err(|error| match error {
                ReserveError::Busy => BUSY,
                _ => "reserve refuses a range that is free",
            })
    }

    /// `prepare` that must succeed.
    pub(crate) fn prepare(&self, cells: Range<usize>) -> Outcome {
        self.ask_prepare(cells, Patience::Wait)?
            .map_err(|error| match error {
                PrepareError::Busy => BUSY,
                _ => {
                    "prepare refuses although there are frames, or there are too few for the page \
                     tables of the window"
                }
            })
    }

    /// `commit` that must succeed.
    pub(crate) fn commit(&self, cells: Range<usize>) -> Result<Contents, &'static str> {
        self.ask_commit(cells, Patience::Wait)?
            .map_err(|error| match error {
                CommitError::Busy => BUSY,
                _ => {
                    "commit refuses although there are frames, or there are fewer than the window \
                     has granules"
                }
            })
    }

    /// `decommit` that must succeed.
    pub(crate) fn decommit(&self, cells: Range<usize>) -> Outcome {
        self.ask_decommit(cells, Patience::Wait)?
            .map_err(|Busy| BUSY)
    }

    /// `fault` that must succeed.
    pub(crate) fn fault(&self, cells: Range<usize>) -> Outcome {
        self.ask_fault(cells, Patience::Wait)?.map_err(|Busy| BUSY)
    }

    /// `release` that must succeed.
    pub(crate) fn release(&self, cells: Range<usize>) -> Outcome {
        self.ask_release(cells, Patience::Wait)?
            .map_err(|Busy| BUSY)
    }

    /// Takes cells from None to Ready.
    pub(crate) fn make_ready(&self, cells: Range<usize>) -> Result<Contents, &'static str> {
        self.reserve(cells.clone())?;
        self.prepare(cells.clone())?;
        self.commit(cells)
    }

    /// Takes all cells back to None.
    pub(crate) fn clear(&self) -> Outcome {
        let mut outcome = Ok(());
        for cell in (0..CELLS).filter(|&cell| self.state(cell) != State::None) {
            outcome = outcome.and(self.release(cell..cell.wrapping_add(1)));
        }
        outcome
    }

    /// Writes a pattern to Ready cells: another one for each byte, and for each `salt`.
    pub(crate) fn fill(&self, cells: Range<usize>, salt: u8) -> Outcome {
        self.each_sample(cells, |byte, expected| {
            // SAFETY: the byte is Ready, and only the suite uses it.
            unsafe { byte.write_volatile(expected ^ salt) };
            true
        })
        .map(|_| ())
    }

    /// Writes the pattern of `fill`, all of it through the pointer to the first byte, as the owner
    /// of an object does.
    pub(crate) fn fill_as_one(&self, cells: Range<usize>, salt: u8) -> Outcome {
        let range = self.expect(cells.clone(), &[State::Ready])?;
        let first = self.machine().pointer(range.base());
        self.each_sample(cells, |byte, expected| {
            let above = byte.addr().get().wrapping_sub(first.addr().get());
            if above >= range.bytes() {
                return false;
            }
            // SAFETY: the range is Ready and, by the contract, one piece.
            let byte = unsafe { first.add(above) };
            // SAFETY: the byte is Ready, and only the suite uses it.
            unsafe { byte.write_volatile(expected ^ salt) };
            true
        })
        .map(|_| ())
    }

    /// Whether Ready cells hold the pattern that `fill` wrote.
    pub(crate) fn holds(&self, cells: Range<usize>, salt: u8) -> Result<bool, &'static str> {
        self.each_sample(cells, |byte, expected| {
            // SAFETY: the byte is Ready, only the suite uses it, and `fill` initialised it.
            let found = unsafe { byte.read_volatile() };
            found == expected ^ salt
        })
    }

    /// Whether every byte of Ready cells is zero; under Miri, a sample of them.
    pub(crate) fn is_zero(&self, cells: Range<usize>) -> Result<bool, &'static str> {
        const STEP: usize = if cfg!(miri) { 251 } else { 1 };
        let range = self.expect(cells, &[State::Ready])?;
        let first = self.machine().pointer(range.base());
        Ok((0..range.bytes()).step_by(STEP).all(|position| {
            // SAFETY: the range is Ready and one piece of a window.
            let byte = unsafe { first.add(position) };
            // SAFETY: the byte is Ready, and zeroed as the machine reports, so initialised.
            let found = unsafe { byte.read_volatile() };
            found == 0
        }))
    }

    /// Visits a sample of the bytes of Ready cells, the first and the last byte of each granule
    /// among them, as long as `visit` returns true. Returns whether it always did.
    fn each_sample(
        &self,
        cells: Range<usize>,
        visit: impl Fn(NonNull<u8>, u8) -> bool,
    ) -> Result<bool, &'static str> {
        /// A step that no table and no cache line is a multiple of. Miri takes fewer.
        const STEP: usize = if cfg!(miri) { 1021 } else { 61 };
        let range = self.expect(cells, &[State::Ready])?;
        let granule = M::GEOMETRY.granule_bytes();
        for start in (0..range.bytes()).step_by(granule) {
            let addr = range.base().checked_add(start).ok_or(SUITE)?;
            let first = self.machine().pointer(addr);
            let last = granule.wrapping_sub(1);
            for position in (0..last).step_by(STEP).chain([last]) {
                // SAFETY: the granule is Ready and one piece of a window.
                let byte = unsafe { first.add(position) };
                if !visit(byte, pattern(addr.value().wrapping_add(position))) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// A byte that depends on every bit of an address.
fn pattern(value: usize) -> u8 {
    value
        .to_ne_bytes()
        .into_iter()
        .fold(0x5A, |hash: u8, byte| {
            (hash ^ byte).wrapping_mul(157).rotate_left(3)
        })
}
