//! Ranges of physical memory, as the boot loader describes them.

/// A range of physical memory, in bytes; `end` is the first byte after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysRange {
    /// The first byte.
    pub start: u64,
    /// The first byte after the range.
    pub end: u64,
}

impl PhysRange {
    /// No memory.
    pub const EMPTY: Self = Self { start: 0, end: 0 };
}

/// The use of a range of the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Memory for the kernel to use.
    Usable,
    /// Any other use, as the firmware's number for it.
    Other(u32),
}

/// An entry of the machine's memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// The entry's memory.
    pub range: PhysRange,
    /// The range's use.
    pub kind: MemoryKind,
}

impl MemoryRegion {
    /// Whether the kernel may use it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.kind == MemoryKind::Usable
    }
}

/// A file that was loaded beside the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// The physical memory that holds the file.
    pub range: PhysRange,
    /// The file's bytes.
    pub bytes: &'static [u8],
}
