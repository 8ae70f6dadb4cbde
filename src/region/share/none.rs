//! Without a heap bitmap: no share is left to it.

/// The empty twin of the share that growth leaves to the heap bitmap.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct BitmapShare;

impl BitmapShare {
    pub(in super::super) const NONE: Self = Self;

    #[inline(always)]
    #[expect(clippy::unused_self, reason = "with a bitmap the share is a number")]
    pub(in super::super) const fn of(self, _: usize) -> usize {
        0
    }
}
