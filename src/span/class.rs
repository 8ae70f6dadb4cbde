//! Temporary.
use core::fmt;
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeClass(u8);
impl SizeClass {
    pub(crate) const fn new(i: u8) -> Self {
        Self(i)
    }
    pub(crate) const fn index(self) -> u8 {
        self.0
    }
}
impl fmt::Debug for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "class {}", self.0)
    }
}
pub(crate) struct ClassTable {
    page: usize,
}
pub(crate) const fn table(shift: u32) -> &'static ClassTable {
    match shift {
        10 => &ClassTable { page: 1024 },
        13 => &ClassTable { page: 8192 },
        _ => &ClassTable { page: 4096 },
    }
}
impl ClassTable {
    pub(crate) fn len(&self) -> usize {
        13
    }
    pub(crate) fn class_for(&self, size: usize, align: usize) -> Option<SizeClass> {
        let b = size.max(align).max(8).next_power_of_two();
        if b > 8 * self.page || align > self.page {
            return None;
        }
        Some(SizeClass(u8::try_from(b.trailing_zeros() - 3).unwrap_or(0)))
    }
    pub(crate) fn bytes(&self, c: SizeClass) -> usize {
        8 << c.0
    }
    pub(crate) fn pages(&self, c: SizeClass) -> usize {
        (self.bytes(c) / self.page).max(1)
    }
    pub(crate) fn slots(&self, c: SizeClass) -> usize {
        self.pages(c) * self.page / self.bytes(c)
    }
    pub(crate) fn slot_of(&self, c: SizeClass, offset: usize) -> usize {
        offset / self.bytes(c)
    }
}
