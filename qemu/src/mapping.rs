//! How pages are mapped, on machines with an MMU.

/// How a page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Whether the page can be written.
    pub writable: bool,
    /// Whether the page can be executed. Where the processor cannot forbid that, it always can.
    pub executable: bool,
}

/// The translation of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address of its frame.
    pub frame: u64,
    /// The kernel's rights to the page.
    pub permissions: Permissions,
    /// Whether user programs can touch it.
    pub user: bool,
}
