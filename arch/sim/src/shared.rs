//! The state that all handles of one machine share, and the entry that every call goes through.

use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use archipelago_api::{Busy, Geometry, Offset, Patience, VirtAddr, VirtRange};

use crate::calls::{Call, CallCounters, Kind};
use crate::flight::{Flight, Gate, Held, InFlight, lock};
use crate::frames::Frames;
use crate::inject::Injection;
use crate::states::{State, StateMap};
use crate::tables::Tables;
use crate::violation::violation;
use crate::window::{Window, Windows};

/// A function of a test that runs inside a call.
pub(crate) type Hook = Arc<dyn Fn(Call) + Send + Sync>;

/// A simulated machine.
pub(crate) struct Shared {
    pub(crate) geometry: Geometry,
    pub(crate) zeroed_frames: bool,
    pub(crate) traps: bool,
    pub(crate) calls: CallCounters,
    pub(crate) gate: Gate,
    pub(crate) windows: Windows,
    /// Injected busy results.
    pub(crate) busy: Mutex<Injection>,
    pub(crate) hook: RwLock<Option<Hook>>,
    flight: Flight,
    /// The innermost lock. No code of a test runs under it.
    books: Mutex<Books>,
}

/// The machine's record of its memory.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) states: StateMap,
    pub(crate) tables: Tables,
    pub(crate) frames: Frames,
    /// Injected failures.
    pub(crate) failures: Injection,
    /// Address space that the kernel uses.
    pub(crate) occupied: Vec<VirtRange>,
}

/// A call that has entered the machine. The call ends when the value is dropped.
pub(crate) struct Entered<'a> {
    /// Dropped before the flight ends, so that the next call finds the lock free.
    _held: Held<'a>,
    _flight: InFlight<'a>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let books = self.books();
        f.debug_struct("Sim")
            .field("geometry", &self.geometry)
            .field("calls", &self.calls.read())
            .field("tables", &books.tables.count())
            .field("frames", &books.frames)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        geometry: Geometry,
        tables: Tables,
        frames: Frames,
        zeroed_frames: bool,
        traps: bool,
    ) -> Self {
        Self {
            geometry,
            zeroed_frames,
            traps,
            calls: CallCounters::default(),
            gate: Gate::default(),
            windows: Windows::new(),
            busy: Mutex::default(),
            hook: RwLock::new(None),
            flight: Flight::default(),
            books: Mutex::new(Books {
                states: StateMap::default(),
                tables,
                frames,
                failures: Injection::default(),
                occupied: Vec::new(),
            }),
        }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// Enters a call: counts it, checks its range and that no other is in flight, waits for the
    /// machine's lock or finds it busy, and runs the test's hook.
    pub(crate) fn enter(&self, call: Call) -> Result<Entered<'_>, Busy> {
        self.calls.count(call.kind);
        if call.range.is_empty() {
            violation(format_args!("{call}: the range is empty"));
        }
        if !call.range.is_aligned(self.geometry.granule_bytes()) {
            let granule = self.geometry.granule_bytes();
            violation(format_args!(
                "{call}: the range is not a multiple of the granule, {granule} bytes"
            ));
        }
        let flight = self.flight.begin(call);
        let held = self.gate.enter(call.patience, &call)?;
        if call.patience == Patience::Try && lock(&self.busy).fails() {
            return Err(Busy);
        }
        let hook = self
            .hook
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(hook) = hook {
            hook(call);
        }
        Ok(Entered {
            _held: held,
            _flight: flight,
        })
    }

    /// The granules of a call's range. Panics if the range is not one of the address space.
    pub(crate) fn granules(&self, call: Call) -> Range<usize> {
        match self.granules_of(call.range) {
            Some(granules) => granules,
            None => violation(format_args!("{call}: the range leaves the address space")),
        }
    }

    /// The granules of `range`, or `None` if it is not one of the address space.
    pub(crate) fn granules_of(&self, range: VirtRange) -> Option<Range<usize>> {
        if !self.geometry.contains(range) {
            return None;
        }
        let first = self.geometry.offset(range.base())?.value() >> self.geometry.granule_shift;
        Some(first..first + (range.bytes() >> self.geometry.granule_shift))
    }

    /// The address of a granule.
    pub(crate) fn address(&self, granule: usize) -> VirtAddr {
        self.geometry
            .address(Offset::new(granule << self.geometry.granule_shift))
    }

    /// The range of `granules`, or `None` if it would wrap at the top of the address space, as from
    /// the upper half of a space with two halves into its lower one.
    pub(crate) fn range(&self, granules: Range<usize>) -> Option<VirtRange> {
        VirtRange::new(
            self.address(granules.start),
            granules.len() << self.geometry.granule_shift,
        )
    }

    /// The window that holds the call's range. Panics unless all granules of the range are in the
    /// `allowed` states and lie in one window.
    pub(crate) fn check(&self, books: &Books, call: Call, allowed: &[State]) -> &Window {
        let granules = self.granules(call);
        if let Some((granule, state)) = books.states.find_other(granules, allowed) {
            let address = self.address(granule);
            violation(format_args!(
                "{call}: {address} is {state:?}, not {}",
                Names(allowed)
            ));
        }
        match self.windows.holding(call.range) {
            Some(window) => window,
            None => violation(format_args!(
                "{call}: the range reaches from one window into another that is apart on the host"
            )),
        }
    }

    /// The call with these arguments.
    pub(crate) fn call(kind: Kind, range: VirtRange, patience: Patience) -> Call {
        Call {
            kind,
            range,
            patience,
        }
    }
}

/// States as a sentence names them.
struct Names<'a>(&'a [State]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, state) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { " or " };
            write!(f, "{separator}{state:?}")?;
        }
        Ok(())
    }
}
