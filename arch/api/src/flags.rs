//! The flags of a request.

bitflags::bitflags! {
    /// The flags of a request. The empty set is an ordinary request: it may grow the heap, and it
    /// waits for its turn to do so.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AllocFlags: u8 {
        /// The memory is zero when it is handed out.
        const ZEROED = 1 << 0;
        /// Never call the machine: serve the request from memory that is Ready, or refuse it.
        const NO_GROW = 1 << 1;
        /// `NO_GROW`, and the reserve of Ready pages and span records may be used. For interrupt
        /// handlers, and for the mapper and the frame allocator themselves.
        const ATOMIC = Self::NO_GROW.bits() | 1 << 2;
    }
}
