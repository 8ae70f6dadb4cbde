//! Requests: what a layout asks for, and the way from a request to an object.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::Heap;
use super::runs::Want;
use crate::region::Cause;
use crate::span::{CLASSES, ClassTable, SizeClass, SpanClass, table};

/// Why a request was refused. The heap is as it was before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError {
    /// What was asked for.
    pub layout: Layout,
    /// Which step refused, with figures.
    pub cause: Cause,
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, align) = (self.layout.size(), self.layout.align());
        write!(
            f,
            "cannot allocate {size} bytes aligned to {align}: {}",
            self.cause
        )
    }
}

impl core::error::Error for AllocError {}

/// How a layout is served. It follows from the layout alone, so that a free can be checked against
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// By a slot of this class.
    Small(SizeClass),
    /// By a run of its own.
    Large(Want),
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// The size classes for this machine's page.
    pub(super) const TABLE: &'static ClassTable = match table(M::GEOMETRY.page_shift) {
        Some(table) => {
            assert!(
                table.len() <= CLASSES as usize,
                "the central lists have a place for every class"
            );
            table
        }
        None => panic!("there are size classes for pages of 256 bytes to 8 KiB"),
    };

    /// How `layout`, which is not empty, is served.
    pub(super) fn served(layout: Layout) -> Result<Served, Cause> {
        match Self::TABLE.class_for(layout.size(), layout.align()) {
            Some(class) => Ok(Served::Small(class)),
            None => Self::wanted(layout).map(Served::Large),
        }
    }

    /// The run that `layout`, which no class serves, needs.
    pub(super) fn wanted(layout: Layout) -> Result<Want, Cause> {
        let page_bytes = M::GEOMETRY.page_bytes();
        let pages = layout.size().div_ceil(page_bytes);
        let align_pages = (layout.align() / page_bytes).max(1);
        let space_pages = M::GEOMETRY.last_offset().value() >> M::GEOMETRY.page_shift;
        // A Rust object has at most `isize::MAX` bytes, and so has the slice that is handed out for
        // one.
        let most = space_pages.min(isize::MAX.unsigned_abs() >> M::GEOMETRY.page_shift);
        // Summaries count pages in 32 bits.
        if pages > most || u32::try_from(pages).is_err() || align_pages > space_pages {
            return Err(Cause::TooLarge {
                bytes: layout.size().max(layout.align()),
            });
        }
        Ok(Want {
            align_pages,
            ..Want::pages(pages)
        })
    }

    /// Allocates memory for `layout` as `flags` allow. A layout of size zero gets a dangling
    /// pointer of its alignment.
    ///
    /// The slice may be longer than asked for; all of it can be used.
    ///
    /// # Errors
    /// [`AllocError`] with the step that refused and its figures. Objects, free pages and ranges
    /// are as before.
    /// # Locks
    /// Takes central, page, and unless [`AllocFlags::NO_GROW`] is set the growth gate. With
    /// interrupts masked it waits for no lock of the machine: where one is busy, the request is
    /// served as [`AllocFlags::ATOMIC`].
    /// # Cost
    /// A few dozen instructions where a span of the class has a free slot; otherwise a search for
    /// free pages, logarithmic in the address space, and calls of the machine for what is not
    /// Ready.
    pub fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, AllocError> {
        let refused = |cause| AllocError { layout, cause };
        if layout.size() == 0 {
            return Ok(NonNull::slice_from_raw_parts(dangling(layout), 0));
        }
        if !flags.contains(AllocFlags::ATOMIC) && self.gate.is_inside::<K>() {
            self.machine_allocates();
        }
        let Some(opened) = self.opened.get() else {
            return self.allocate_early(layout, flags).map_err(refused);
        };
        if !flags.contains(AllocFlags::NO_GROW) && self.reserve_low.load(Ordering::Relaxed) {
            self.refill_reserve(opened);
        }
        let Some(class) = Self::TABLE.class_for(layout.size(), layout.align()) else {
            return self.allocate_large(opened, layout, flags).map_err(refused);
        };
        let class = SpanClass::noscan(class);
        match self.allocate_slot(opened, class, flags) {
            Some(memory) => Ok(memory),
            None => self
                .allocate_in_new_span(opened, class, flags)
                .map_err(refused),
        }
    }
}

/// A pointer for an object without bytes: never null, aligned, and not to be dereferenced.
pub(super) fn dangling(layout: Layout) -> NonNull<u8> {
    let pointer = core::ptr::without_provenance_mut(layout.align());
    // An alignment is at least 1, so it is never null.
    NonNull::new(pointer).unwrap_or(NonNull::dangling())
}
