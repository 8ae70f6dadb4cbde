//! Requests: how a layout is served, and why it is refused.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine, Report};

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

/// An object that was not reallocated. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReallocError {
    /// The caller has no such object: what was found in its place.
    Misuse(Report),
    /// The request was refused.
    Refused(AllocError),
}

impl fmt::Display for ReallocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse(report) => report.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ReallocError {}

/// The error of a request that is refused, which is counted.
#[inline(always)]
pub(super) fn refusal<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    layout: Layout,
    cause: Cause,
) -> AllocError {
    count_refusal(heap);
    AllocError { layout, cause }
}

// Apart from the error, which nobody looks at who wants a pointer or null.
#[cold]
#[inline(never)]
fn count_refusal<M: Machine, K: Kernel>(heap: &Heap<M, K>) {
    heap.central.lock().count_refusal();
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Stops the machine if the machine itself makes a request that could call it again.
    #[inline(always)]
    pub(super) fn reject_machine(&self, flags: AllocFlags) {
        if !flags.contains(AllocFlags::ATOMIC) && self.pages.is_called_by_machine() {
            self.pages.stop_machine_allocates();
        }
    }

    /// The class that serves `layout`; `None` for a large object.
    // In line where that pays.
    #[inline(always)]
    pub(super) fn class_of(layout: Layout) -> Option<SizeClass> {
        if Self::SAVES_CODE {
            Self::TABLE.class_for_any(layout.size(), layout.align())
        } else {
            Self::TABLE.class_for(layout.size(), layout.align())
        }
    }

    /// The run that `layout` needs if no class serves it.
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
            ..Want::pages(pages).that_grows()
        })
    }
}

/// A pointer for an object without bytes: never null, aligned, and not to be dereferenced.
pub(super) fn dangling(layout: Layout) -> NonNull<u8> {
    let pointer = core::ptr::without_provenance_mut(layout.align());
    // An alignment is at least 1, so it is never null.
    NonNull::new(pointer).unwrap_or(NonNull::dangling())
}
