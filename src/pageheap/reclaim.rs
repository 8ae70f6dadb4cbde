//! The seam between the page heap and its user.

use super::page_heap::Online;

/// A user of the page heap that keeps pages back.
///
/// The page heap asks for them before it grows, before it refuses a request for want of memory, and
/// before it scavenges. Whatever keeps pages without an object in them implements this, and gives
/// them back to the page heap.
pub(crate) trait Reclaim<M> {
    /// Gives back all pages that are kept without need.
    ///
    /// # Locks
    /// Called inside the growth gate, with no lock held; must not enter the gate again.
    fn reclaim(&self, online: &Online<M>);

    /// Gives back the pages that the CPU keeps for its next spans: asked for before free pages get
    /// memory, so that what is kept makes no heap larger. Returns whether there were some.
    ///
    /// # Locks
    /// Called outside the growth gate, with no lock held.
    fn reclaim_kept(&self, online: &Online<M>) -> bool;

    /// Called between two steps of a long request, with interrupts on, outside the growth gate and
    /// with no lock held: handlers may have used up what the user keeps for them.
    fn between_steps(&self, online: &Online<M>);
}
