//! The **credit** of a span that a CPU owns: so many frees until somebody looks at it.
//!
//! The credit of a span in the queue is the number of its live slots, so that the free which
//! empties it finds it empty. A full span is on no list, and comes into the queue when its credit
//! is spent. The current span is looked at now and then.

/// Frees after which a current span is looked at that may be empty.
pub(super) const LOOK: u16 = 4;
/// Spans of so many slots or fewer are queued at their first free, others after a quarter.
pub(super) const FEW_SLOTS: u16 = 16;
/// The link back of a span that is full and not in the queue.
pub(super) const FULL: u32 = u32::MAX;

/// The frees after which a full span of `slots` slots comes into the queue.
#[inline(always)]
pub(super) const fn credit_of_full(slots: u16) -> u16 {
    if slots <= FEW_SLOTS { 1 } else { slots / 4 }
}

/// The frees after which a current span with `live` live slots of `slots` is looked at: when it may
/// be empty, or, where looking costs more than the memory is worth, a little later.
#[inline(always)]
pub(super) const fn credit_of_current(live: u16, slots: u16) -> u16 {
    if slots > FEW_SLOTS {
        return live + live / 2 + LOOK;
    }
    if live > 0 { live } else { 1 }
}
