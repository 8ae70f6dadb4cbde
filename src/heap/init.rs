//! Initialisation, and windows that come later.

use core::cell::Cell;
use core::fmt;

use archipelago_api::{Kernel, Machine, Offset, VirtRange};

use super::gate::{Closed, Pass};
use super::growth::{Growth, border};
use super::window::{InitError, Window, WindowRule};
use super::{Heap, Opened, certain};
use crate::base::PageRun;
use crate::region::{Leaving, Space};

/// Why the heap was not initialised, and the machine, which the caller gets back.
pub struct InitFailure<M> {
    /// Why.
    pub error: InitError,
    /// The machine, as it was.
    pub machine: M,
}

impl<M> fmt::Debug for InitFailure<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.error, self.error)
    }
}

impl<M> fmt::Display for InitFailure<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M> core::error::Error for InitFailure<M> {}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Gives the heap its windows and its machine; requests are served from them from now on.
    /// Blocks of the early heap stay where they are.
    ///
    /// Metadata comes from the window marked for it, or else from the far end of the first.
    ///
    /// # Errors
    /// The range and the rule it breaks, or why there is no memory. The heap is as it was, every
    /// window is None again, and the machine comes back in the failure.
    pub fn init(&self, windows: &[Window], machine: M) -> Result<(), InitFailure<M>> {
        let mut pass = match self.enter_for_init() {
            Ok(pass) => pass,
            Err(error) => return Err(InitFailure { error, machine }),
        };
        if self.opened.is_completed() {
            return Err(InitFailure {
                error: InitError::AlreadyInitialised,
                machine,
            });
        }
        let unsettled = Cell::new(None);
        let opening = {
            let space = Space::new::<K>(&machine, &self.ledger, pass.patience, &unsettled);
            space
                .map_err(|_| InitError::Busy)
                .and_then(|space| self.open(&space, &mut pass, windows))
        };
        match opening {
            Ok(anchor) => {
                self.opened.call_once(|| Opened { machine, anchor });
                Ok(())
            }
            Err(error) => Err(InitFailure { error, machine }),
        }
    }

    /// Adds a window for objects to an initialised heap.
    ///
    /// # Errors
    /// The range and the rule it breaks, or why there is no memory. The heap is as it was; metadata
    /// that was made for the window stays charged.
    pub fn add_window(&self, window: Window) -> Result<(), InitError> {
        let Some(opened) = self.opened.get() else {
            return Err(InitError::NotInitialised);
        };
        let mut pass = self.enter_for_init()?;
        let unsettled = Cell::new(pass.unsettled.take());
        let space = Space::new::<K>(&opened.machine, &self.ledger, pass.patience, &unsettled);
        let answer = match space {
            Ok(space) => add_window::<M, K>(&space, &mut pass, window),
            Err(archipelago_api::Busy) => Err(InitError::Busy),
        };
        pass.unsettled = unsettled.take();
        answer
    }

    fn enter_for_init(&self) -> Result<Pass<'_, Growth>, InitError> {
        match self.gate.enter::<K>() {
            Ok(pass) => Ok(pass),
            Err(Closed::Busy) => Err(InitError::Busy),
            Err(Closed::Inside) => self.machine_allocates(),
        }
    }

    /// Reserves the windows and makes the first metadata; answers where span handles count from.
    fn open(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        windows: &[Window],
    ) -> Result<Offset, InitError> {
        let Some(first) = windows.iter().find(|window| !window.for_metadata) else {
            return Err(InitError::NoWindow);
        };
        let home = windows
            .iter()
            .find(|window| window.for_metadata)
            .unwrap_or(first);
        let room = home.pages::<M>()?;
        check_together::<M>(windows)?;
        reserve_all(space, windows)?;
        growth.metadata.set_room(room);
        growth.border = border::<M>(room, home.for_metadata);
        growth.keeps_share = !home.for_metadata;
        growth.anchor = Offset::new(room.end().0 << M::GEOMETRY.page_shift);
        match self.add_all(space, growth, windows, home) {
            Ok(()) => Ok(growth.anchor),
            Err(error) => {
                self.close(space, growth, windows);
                Err(error)
            }
        }
    }

    fn add_all(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        windows: &[Window],
        home: &Window,
    ) -> Result<(), InitError> {
        for window in windows {
            let pages = window.pages::<M>()?;
            growth
                .ensure_ranges(space)
                .map_err(|cause| InitError::Metadata { cause })?;
            growth.add::<K>(pages, window == home);
        }
        Ok(())
    }

    /// Undoes an `open` that failed: nothing but metadata was made, and nobody has seen it.
    fn close(&self, space: &Space<'_, M>, growth: &mut Growth, windows: &[Window]) {
        *growth = Growth::new(growth.metadata.extent_bytes());
        for window in windows {
            release(space, *window, Leaving::Mixed);
        }
        self.ledger.clear();
    }
}

impl Growth {
    /// Enters the pages of a window that is Reserved.
    fn add<K: Kernel>(&mut self, pages: PageRun, is_home: bool) {
        certain::<K, _, _>(self.windows.add(pages), "windows do not overlap");
        if !is_home {
            certain::<K, _, _>(self.unused.add(pages), "windows do not overlap");
        }
    }
}

fn add_window<M: Machine, K: Kernel>(
    space: &Space<'_, M>,
    growth: &mut Growth,
    window: Window,
) -> Result<(), InitError> {
    let pages = window.pages::<M>()?;
    if window.for_metadata {
        return Err(broken(window, WindowRule::SecondForMetadata));
    }
    let ranges = growth.windows.iter().filter_map(PageRun::range::<M>);
    if let Some(other) = find_overlap(window, ranges) {
        return Err(broken(window, WindowRule::Overlaps { other }));
    }
    growth
        .with_metadata::<M, K>(|growth| growth.ensure_ranges(space))
        .map_err(|cause| InitError::Metadata { cause })?;
    reserve(space, window)?;
    growth.add::<K>(pages, false);
    Ok(())
}

/// Checks every window, and every pair of them.
fn check_together<M: Machine>(windows: &[Window]) -> Result<(), InitError> {
    for (index, window) in windows.iter().enumerate() {
        window.pages::<M>()?;
        let before = &windows[..index];
        if window.for_metadata && before.iter().any(|before| before.for_metadata) {
            return Err(broken(*window, WindowRule::SecondForMetadata));
        }
        let ranges = before.iter().filter_map(|before| before.range());
        if let Some(other) = find_overlap(*window, ranges) {
            return Err(broken(*window, WindowRule::Overlaps { other }));
        }
    }
    Ok(())
}

/// The first of `ranges` that shares an address with `window`.
fn find_overlap(window: Window, mut ranges: impl Iterator<Item = VirtRange>) -> Option<VirtRange> {
    let range = window.range()?;
    ranges.find(|other| range.overlaps(*other))
}

const fn broken(window: Window, rule: WindowRule) -> InitError {
    InitError::Window { window, rule }
}

/// Reserves all windows, or none.
fn reserve_all<M: Machine>(space: &Space<'_, M>, windows: &[Window]) -> Result<(), InitError> {
    for (index, window) in windows.iter().enumerate() {
        if let Err(error) = reserve(space, *window) {
            for before in &windows[..index] {
                release(space, *before, Leaving::Reserved);
            }
            return Err(error);
        }
    }
    Ok(())
}

fn reserve<M: Machine>(space: &Space<'_, M>, window: Window) -> Result<(), InitError> {
    match window.pages::<M>()?.range::<M>() {
        Some(range) => space
            .reserve(range)
            .map_err(|error| InitError::Reserve { window, error }),
        None => Err(broken(window, WindowRule::Wraps)),
    }
}

fn release<M: Machine>(space: &Space<'_, M>, window: Window, from: Leaving) {
    if let Some(range) = window.pages::<M>().ok().and_then(PageRun::range::<M>) {
        space.release(range, from);
    }
}
