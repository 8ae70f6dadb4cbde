//! Requests: how a layout is served, and why it is refused.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::Want;
use crate::region::Cause;
use crate::span::SizeClass;

/// A refused request. The heap is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllocError {
    /// The layout that was asked for.
    pub layout: Layout,
    /// The step that refused, with figures.
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
    /// How `layout`, which is not empty, is served.
    pub(super) fn served(layout: Layout) -> Result<Served, Cause> {
        match Self::TABLE.class_for(layout.size(), layout.align()) {
            Some(class) => Ok(Served::Small(class)),
            None => Self::wanted(layout).map(Served::Large),
        }
    }

    /// The run that `layout`, which no class serves, needs.
    ///
    /// # Errors
    /// [`Cause::TooLarge`].
    pub(super) fn wanted(layout: Layout) -> Result<Want, Cause> {
        let page_bytes = M::GEOMETRY.page_bytes();
        let pages = layout.size().div_ceil(page_bytes);
        let align_pages = (layout.align() / page_bytes).max(1);
        let space_pages = M::GEOMETRY.last_offset().value() >> M::GEOMETRY.page_shift;
        // A Rust object has at most `isize::MAX` bytes, and so has the slice that is handed out for
        // one. Summaries count pages in 32 bits.
        let most = space_pages
            .min(isize::MAX.unsigned_abs() >> M::GEOMETRY.page_shift)
            .min(u32::MAX as usize);
        if pages > most || align_pages > space_pages {
            return Err(Cause::TooLarge {
                bytes: layout.size().max(layout.align()),
                most: most << M::GEOMETRY.page_shift,
            });
        }
        Ok(Want {
            align_pages,
            ..Want::pages(pages)
        })
    }
}

/// A pointer for an object without bytes: never null, aligned, and not to be dereferenced.
pub(super) fn dangling(layout: Layout) -> NonNull<u8> {
    let pointer = core::ptr::without_provenance_mut(layout.align());
    // An alignment is at least 1, so it is never null.
    NonNull::new(pointer).unwrap_or(NonNull::dangling())
}
