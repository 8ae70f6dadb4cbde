//! Memory whose accesses loom orders.
//!
//! The heap's atomics lie in memory that becomes zero by other means than a constructor, and that
//! can go. So an atomic of [`sync`](crate::base::sync) is a number at an address, as it is on a
//! machine, and loom's atomic for that address is found here. Making memory fresh makes loom's
//! atomics; withdrawing it ends their lives. Loom reports an access that neither happens after the
//! first nor before the second.
//!
//! An address that was never made fresh is outside of the model: counters of the account, which
//! order nothing.

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::alloc::Layout;
use core::cell::RefCell;
use core::ops::Deref;
use core::panic::Location;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use loom::sync::Mutex;
use loom::sync::atomic::AtomicUsize;

/// The smallest atomic of the heap, in bytes. Each address of an atomic is a multiple.
const STEP: usize = 4;

/// Loom's atomic, and its gate.
#[derive(Debug)]
pub(crate) struct Modelled {
    atomic: AtomicUsize,
    gate: AtomicUsize,
}

std::thread_local! {
    /// Loom's atomics by address; `None` for memory that was withdrawn. All threads of a model run
    /// on one thread of the host.
    static MEMORY: RefCell<BTreeMap<usize, Option<Rc<Modelled>>>> =
        const { RefCell::new(BTreeMap::new()) };
    /// Loom's locks by the addresses of the library's.
    static LOCKS: RefCell<BTreeMap<usize, &'static Mutex<()>>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// Forgets all memory and all locks, before an execution of a model.
pub(crate) fn forget_all() {
    MEMORY.with_borrow_mut(BTreeMap::clear);
    LOCKS.with_borrow_mut(BTreeMap::clear);
}

/// Loom's lock for the library's at `address`. A lock has a constructor that is a constant, and
/// loom's has none, so it is made when it is first taken. It is never freed, so that its guard
/// borrows nothing.
pub(crate) fn lock_at(address: usize) -> &'static Mutex<()> {
    LOCKS.with_borrow_mut(|locks| {
        let new = || &*Box::leak(Box::new(Mutex::new(())));
        *locks.entry(address).or_insert_with(new)
    })
}

impl Modelled {
    /// Comes by the gate.
    pub(crate) fn pass_gate(&self) {
        self.gate.fetch_or(0, Relaxed);
    }
}

impl Deref for Modelled {
    type Target = AtomicUsize;

    fn deref(&self) -> &AtomicUsize {
        &self.atomic
    }
}

/// The memory is zero, and becomes the model's: every access happens after this.
pub(crate) fn make_fresh(start: usize, bytes: usize) {
    assert_eq!(start % STEP, 0, "memory is aligned for its atomics");
    make_each_fresh((start..start + bytes).step_by(STEP));
}

/// The atomics at these addresses are zero, and become the model's.
pub(crate) fn make_each_fresh(addresses: impl IntoIterator<Item = usize>) {
    for address in addresses {
        let fresh = Some(Rc::new(Modelled {
            atomic: AtomicUsize::new(0),
            gate: AtomicUsize::new(0),
        }));
        MEMORY.with_borrow_mut(|memory| memory.insert(address, fresh));
    }
}

/// The memory goes: every access happened before this.
pub(crate) fn withdraw(start: usize, bytes: usize) {
    withdraw_each((start..start + bytes).step_by(STEP));
}

/// The atomics at these addresses go.
pub(crate) fn withdraw_each(addresses: impl IntoIterator<Item = usize>) {
    for address in addresses {
        let gone = MEMORY.with_borrow_mut(|memory| memory.insert(address, None));
        if let Some(mut atomic) = gone
            .flatten()
            .and_then(|atomic| Rc::try_unwrap(atomic).ok())
        {
            // An exclusive access, which loom holds against all others.
            atomic.atomic.with_mut(|value| *value = 0);
        }
    }
}

/// Loom's atomic at `address`, or `None` outside of the model.
///
/// # Panics
/// The memory was withdrawn.
pub(crate) fn at(address: usize, accessed_by: &Location<'_>) -> Option<Rc<Modelled>> {
    let found = MEMORY.with_borrow(|memory| memory.get(&address).cloned())?;
    assert!(
        found.is_some(),
        "memory is used after it was withdrawn, by {accessed_by}"
    );
    found
}

/// Memory that lasts as long as this value, none of it fresh yet.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: memory may be used by any thread; what it is used for is the model's.
unsafe impl Send for Memory {}
// SAFETY: references to this value read its fields alone.
unsafe impl Sync for Memory {}

impl Memory {
    /// So many bytes, more than none, aligned.
    pub(crate) fn aligned(bytes: usize, align: usize) -> Self {
        let layout = Layout::from_size_align(bytes, align).expect("a power of two");
        // SAFETY: `alloc_zeroed` needs a layout that is not empty.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        Self { start, layout }
    }

    /// The first byte.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Makes a piece of it fresh, and returns the first byte of the piece.
    pub(crate) fn fresh(&self, offset: usize, bytes: usize) -> NonNull<u8> {
        let end = offset.checked_add(bytes);
        assert!(
            end.is_some_and(|end| end <= self.layout.size()),
            "{bytes} bytes from {offset} end outside of the memory"
        );
        // SAFETY: the piece lies in the memory.
        let piece = unsafe { self.start.add(offset) };
        make_fresh(piece.addr().get(), bytes);
        piece
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout, and nothing outlives this value.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
