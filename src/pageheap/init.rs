//! Coming online, and windows that come later.

use core::cell::Cell;
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::{Busy, Kernel, Machine, Offset, VirtRange};

use super::gate::{Closed, GateGuard};
use super::limit::admit;
use super::page_heap::{Gated, PageHeap};
use super::window::{InitError, Window, WindowRule};
use crate::base::PageRun;
use crate::base::invariant::expect_invariant;
use crate::region::token::Reserved;
use crate::region::{Cause, Ledger, PendingUndo, Space, Windows};

/// A failed initialisation: the error, and the machine, which the caller gets back.
#[non_exhaustive]
pub struct InitFailure<M> {
    /// The error.
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

/// The machine on loan to a heap that is coming online, which it may not do: the machine refuses,
/// or a panic of the machine or of the kernel unwinds.
struct Opening<'a, M> {
    gated: GateGuard<'a, Gated>,
    ledger: &'a Ledger,
    given: *mut M,
    place: *mut M,
    /// Whether the heap is online, and the machine its own.
    is_open: bool,
}

impl<M> Drop for Opening<'_, M> {
    fn drop(&mut self) {
        if self.is_open {
            return;
        }
        // No record may name memory of a machine that is not the heap's.
        self.gated.windows.clear();
        self.ledger.clear();
        // SAFETY: the machine is valid where it is; nothing borrows it any more, and the place
        // counts as empty from now on.
        unsafe { self.given.copy_from_nonoverlapping(self.place, 1) };
    }
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Brings the heap online with `windows` and `machine`, which is copied to where it stays.
    ///
    /// Machines are large, so none is passed by value: in a build without optimisation each such
    /// pass takes its size of stack.
    ///
    /// # Errors
    /// The window and the rule it breaks, or why there is no memory. The heap is as it was, every
    /// window is None again, and the machine is the caller's.
    /// # Safety
    /// After a success the caller neither uses nor drops `machine`.
    pub(crate) unsafe fn init(&self, windows: &[Window], machine: &mut M) -> Result<(), InitError> {
        let Ok(gated) = self.enter_for_init() else {
            return Err(InitError::Busy);
        };
        if self.online.get().is_some() {
            return Err(InitError::AlreadyInitialised);
        }
        let online = self.online.place();
        // SAFETY: the place is valid memory; only its address is taken.
        let place = unsafe { &raw mut (*online).machine };
        let given = &raw mut *machine;
        // SAFETY:
        // - the machine is valid, and until the copy goes back it is used at its new place alone;
        // - the place is empty, so only the holder of the gate uses it.
        unsafe { place.copy_from_nonoverlapping(given, 1) };
        let mut opening = Opening {
            gated,
            ledger: &self.ledger,
            given,
            place,
            is_open: false,
        };
        // SAFETY: the machine was copied there just now, and stays as long as it is borrowed.
        let anchor = self.open_on(unsafe { &*place }, &mut opening.gated, windows)?;
        // SAFETY: the place is valid memory; only its address is taken.
        let place = unsafe { &raw mut (*online).anchor };
        // SAFETY: as for the machine, beside which it lies.
        unsafe { place.write(anchor) };
        let is_apart = windows.iter().any(|window| window.for_metadata);
        self.pool.metadata_is_apart.store(is_apart, Relaxed);
        opening.is_open = true;
        // SAFETY:
        // - machine and anchor are there, which are all;
        // - a place that is full is not written to.
        unsafe { self.online.publish() };
        Ok(())
    }

    /// Opens the windows on a machine that is to be the heap's. Returns the offset that span
    /// handles count from.
    #[inline(never)]
    fn open_on(
        &self,
        machine: &M,
        gated: &mut GateGuard<'_, Gated>,
        windows: &[Window],
    ) -> Result<Offset, InitError> {
        let pending_undo = Cell::new(PendingUndo::default());
        let heap = gated.heap;
        // SAFETY: the account is this heap's, the machine is to be, and the gate is held until the
        // space is gone.
        let space = unsafe { Space::new::<K>(machine, &self.ledger, heap, admit, &pending_undo) };
        match &space {
            Ok(space) => self.open(space, &mut gated.windows, windows),
            Err(Busy) => Err(InitError::Busy),
        }
    }

    /// Adds a window for objects to a heap that is online.
    ///
    /// # Errors
    /// The window and the rule it breaks, or why there is no memory. The heap is as it was;
    /// metadata that was made for the window stays charged.
    pub(crate) fn add_window(&self, window: Window) -> Result<(), InitError> {
        let Some(online) = self.online.get() else {
            return Err(InitError::NotInitialised);
        };
        let Ok(mut gated) = self.enter_for_init() else {
            return Err(InitError::Busy);
        };
        let pending_undo = Cell::new(core::mem::take(&mut gated.pending_undo));
        let (machine, heap) = (&online.machine, gated.heap);
        // SAFETY: the machine and the account are this heap's, whose gate is held until the space
        // is gone.
        let space = unsafe { Space::new::<K>(machine, &self.ledger, heap, admit, &pending_undo) };
        let result = match space {
            Ok(space) => add_window::<M, K>(&space, &mut gated.windows, window),
            Err(Busy) => Err(InitError::Busy),
        };
        gated.pending_undo = pending_undo.take();
        result
    }

    fn enter_for_init(&self) -> Result<GateGuard<'_, Gated>, Busy> {
        match self.gate.enter::<K>(self.pool.side.heap()) {
            Ok(gated) => Ok(gated),
            Err(Closed::Busy) => Err(Busy),
            Err(Closed::Inside) => self.stop_machine_allocates(),
        }
    }

    /// Reserves the windows and makes the first metadata. Returns the offset that span handles
    /// count from.
    fn open(
        &self,
        space: &Space<'_, M>,
        all: &mut Windows,
        given: &[Window],
    ) -> Result<Offset, InitError> {
        match reserve_home::<M, K>(space, all, given) {
            Ok((home, anchor)) => match add_all::<M, K>(space, all, given, &home) {
                Ok(()) => Ok(anchor),
                Err(cause) => {
                    all.clear();
                    abandon_all(space, given);
                    Err(InitError::Metadata { cause })
                }
            },
            Err(error) => Err(error),
        }
    }
}

/// Reserves all windows, and says where metadata lives: in the window that is returned, with the
/// offset that span handles count from. The checks have ended, and their stack is free again, when
/// the windows are entered.
///
/// # Errors
/// The window and the rule it breaks. Every window is None again.
#[inline(never)]
fn reserve_home<M: Machine, K: Kernel>(
    space: &Space<'_, M>,
    all: &mut Windows,
    given: &[Window],
) -> Result<(Window, Offset), InitError> {
    if given.iter().all(|window| window.for_metadata) {
        return Err(InitError::NoWindow);
    }
    check_together::<M>(given)?;
    let home = PageHeap::<M, K>::choose_home(given)?;
    let at = PageHeap::<M, K>::home_at(home)?;
    reserve_all(space, given)?;
    // SAFETY: the room is the home window, which was reserved just now and is on no record yet.
    unsafe { all.set_home::<M>(at) };
    Ok((home, at.anchor))
}

/// Enters all windows, which were checked and are reserved.
fn add_all<M: Machine, K: Kernel>(
    space: &Space<'_, M>,
    all: &mut Windows,
    given: &[Window],
    home: &Window,
) -> Result<(), Cause> {
    for window in given {
        all.ensure_ranges(space)?;
        enter::<M, K>(all, window, window == home);
    }
    Ok(())
}

/// Enters one window, for which there is room in the arrays of ranges.
#[inline(never)]
fn enter<M: Machine, K: Kernel>(all: &mut Windows, window: &Window, is_home: bool) {
    let pages = window.pages::<M>();
    let pages = expect_invariant::<K, _, _>(pages, "windows are checked before they are entered");
    let added = match pages.range::<M>() {
        Some(range) if !is_home => {
            // SAFETY: the window was reserved with all others, and no record has it yet.
            all.add::<M>(unsafe { Reserved::assume(range) })
        }
        _ => all.add_home(pages),
    };
    expect_invariant::<K, _, _>(added, "windows do not overlap");
}

fn add_window<M: Machine, K: Kernel>(
    space: &Space<'_, M>,
    all: &mut Windows,
    window: Window,
) -> Result<(), InitError> {
    window.pages::<M>()?;
    if window.for_metadata {
        return Err(broken(window, WindowRule::SecondForMetadata));
    }
    let ranges = all.all().iter().filter_map(PageRun::range::<M>);
    if let Some(other) = find_overlap(window, ranges) {
        return Err(broken(window, WindowRule::Overlaps { other }));
    }
    all.with_metadata::<M, K, _>(|all| all.ensure_ranges(space))
        .map_err(|cause| InitError::Metadata { cause })?;
    let reserved = reserve(space, window)?;
    expect_invariant::<K, _, _>(all.add::<M>(reserved), "windows do not overlap");
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

/// Reserves all windows, or none. Nothing records them yet but the slice.
fn reserve_all<M: Machine>(space: &Space<'_, M>, windows: &[Window]) -> Result<(), InitError> {
    for (index, window) in windows.iter().enumerate() {
        match reserve(space, *window) {
            Ok(reserved) => {
                reserved.record();
            }
            Err(error) => {
                for before in windows[..index].iter().filter_map(range_of::<M>) {
                    // SAFETY: the window was reserved just now, and no record has it yet.
                    space.release(unsafe { Reserved::assume(before) });
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Gives back all windows of a heap that did not come online. The caller clears the account.
fn abandon_all<M: Machine>(space: &Space<'_, M>, windows: &[Window]) {
    for range in windows.iter().filter_map(range_of::<M>) {
        // SAFETY: `abandon` needs the range
        // - reserved: all windows were;
        // - unused: nobody has seen the heap online, and the records of the metadata in it are
        //   gone.
        unsafe { space.abandon(range) };
    }
}

fn reserve<M: Machine>(space: &Space<'_, M>, window: Window) -> Result<Reserved, InitError> {
    window.pages::<M>()?;
    match range_of::<M>(&window) {
        Some(range) => space
            .reserve(range)
            .map_err(|error| InitError::Reserve { window, error }),
        None => Err(broken(window, WindowRule::Wraps)),
    }
}

/// The addresses of the pages of a window.
fn range_of<M: Machine>(window: &Window) -> Option<VirtRange> {
    window.pages::<M>().ok().and_then(PageRun::range::<M>)
}
