//! Ranges in pages, and machines as tests make them.

use archipelago_api::{VirtAddr, VirtRange};
use archipelago_paging::{DeallocateFrames, Paging, PagingMode};

/// Bytes of a page and of a frame.
pub const PAGE: usize = 4096;

/// The pages of a range.
pub fn each_page(range: VirtRange) -> impl Iterator<Item = VirtAddr> {
    (0..range.bytes() / PAGE).map(move |i| VirtAddr::new(range.base().value() + i * PAGE))
}

/// A range of `pages` pages.
#[must_use]
pub fn range(base: usize, pages: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), pages * PAGE).expect("does not wrap")
}

/// The machine, which gives frames back if `returning`, and else holds them.
#[must_use]
pub fn giving_back<M, P, F, L, T>(
    paging: Paging<M, P, F, L, T>,
    returning: bool,
) -> Paging<M, P, F, L, T>
where
    M: PagingMode<P>,
    M::Frames: DeallocateFrames<F>,
{
    if returning {
        paging.returning()
    } else {
        paging
    }
}
