//! The share of the windows that is left to the heap bitmap.

/// The share of the windows that growth leaves to the heap bitmap.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct BitmapShare {
    /// One page in this many; 0 while there is no bitmap, which costs nothing.
    one_in: usize,
}

impl BitmapShare {
    /// No share.
    pub(in super::super) const NONE: Self = Self { one_in: 0 };

    /// One page in `pages`.
    pub(in super::super) const fn one_in(pages: usize) -> Self {
        Self { one_in: pages }
    }

    /// How many of `pages` pages are left to the bitmap.
    pub(in super::super) const fn of(self, pages: usize) -> usize {
        match self.one_in {
            0 => 0,
            one_in => pages.div_ceil(one_in),
        }
    }
}
