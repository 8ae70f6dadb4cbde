//! What the transitions need of a machine's page tables.

use core::fmt::Debug;
use core::ops::ControlFlow;
use core::ptr::NonNull;

use archipelago_api::{Geometry, IndexRoot, PhysAddr, VirtRange};

use crate::{Chain, Change, Leaf};

/// How a machine translates addresses: the shape of its page tables, which are reached through the
/// kernel's `P`. A type without values.
///
/// [`TwoLevel`](crate::TwoLevel) is one for 32-bit machines.
///
/// # Safety
/// An implementor promises that:
/// - what is [`Leaf::Ready`] is read-write memory to the kernel on every CPU that uses the tables
///   and has heard of it, and what is any other leaf but [`Leaf::Kernel`] is no memory;
/// - [`pages`](Self::pages) visits every page of the range whose last-level table is there, and
///   after [`install`](Self::install) it is there for every page, until it is pruned;
/// - only tables that `install` made are pruned, and none with an entry that is not
///   [`Leaf::Empty`];
/// - [`memory`](Self::memory) answers a frame's memory and nothing else, aligned to 8 bytes.
pub unsafe trait Scheme<P>: 'static {
    /// The shape of the address space.
    const GEOMETRY: Geometry;

    /// Storage for the first level of the arena index.
    type IndexRoot: IndexRoot;

    /// What the machine remembers of the tables that it made.
    type Made: Debug + Send;

    /// No table made.
    const NONE_MADE: Self::Made;

    /// What makes CPUs forget translations unless the kernel brings something else.
    type LocalTlb;

    /// The value of it.
    const LOCAL_TLB: Self::LocalTlb;

    /// The lowest part of `range` that something lives in, or `None` if nothing does.
    fn occupied(tables: &mut P, range: VirtRange) -> Option<VirtRange>;

    /// How many tables the pages of `range` need that are not there.
    fn missing(tables: &mut P, range: VirtRange) -> usize;

    /// Links the tables that `range` needs, out of `spare`, and makes its pages Prepared. Cannot
    /// fail: `spare` holds as many as [`missing`](Self::missing) counted.
    fn install(tables: &mut P, made: &mut Self::Made, range: VirtRange, spare: &mut Chain);

    /// Applies `change` to every page of `range` whose last-level table is there, in the order of
    /// addresses, until it answers [`Change::Stop`].
    fn pages(
        tables: &mut P,
        range: VirtRange,
        change: impl FnMut(&P, Leaf) -> Change,
    ) -> ControlFlow<()>;

    /// Unlinks every table that `install` made, that serves addresses of `range` and that is empty.
    /// A flush of all that is [`served`](Self::served) must follow before the frames are used
    /// again: CPUs may still walk the tables in the meantime, and find nothing there.
    fn prune(tables: &mut P, made: &mut Self::Made, range: VirtRange) -> Chain;

    /// The addresses of which CPUs must forget what they remember when tables of `range` are gone.
    fn served(range: VirtRange) -> VirtRange;

    /// The memory of `frame`.
    ///
    /// # Safety
    /// The frame is one of the kernel's frame source, or a table of this scheme.
    unsafe fn memory(tables: &P, frame: PhysAddr) -> NonNull<u8>;
}

/// How frames are taken from the kernel's frame source `F`: each of a granule, aligned to it, and
/// in use by nobody.
///
/// # Safety
/// Implementors promise that a frame is handed out once, until it is given back.
pub unsafe trait Takes<F>: 'static {
    /// Takes a frame.
    fn take(source: &mut F) -> Option<PhysAddr>;
}

/// How frames are given back to the kernel's frame source `F`.
pub trait Returns<F>: Takes<F> {
    /// Gives a frame back.
    ///
    /// # Safety
    /// The frame was taken from this source, and nobody uses it.
    unsafe fn give_back(source: &mut F, frame: PhysAddr);
}
