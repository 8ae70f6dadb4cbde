//! Heaps with memory of their own, for firmware that leaves a fixed part of its RAM to its heap.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Deref;

use crate::Kernel;

/// A heap that is given one block of RAM.
///
/// # Safety
/// [`give`](Self::give) restores the interrupts that it masks: when it returns, every call of
/// [`Kernel::disable_interrupts`] in it is undone.
pub unsafe trait OneBlock: GlobalAlloc {
    /// The kernel that masks interrupts while the heap is given its block.
    type Kernel: Kernel;

    /// A type with the alignment of a page.
    type Page;

    /// Bytes of a block that serves a small object at least.
    const LEAST: usize;

    /// Gives the heap a block, unless it has one. [`Kernel`](Self::Kernel) has masked interrupts,
    /// so that no handler that uses the heap for the first time, too, comes in between.
    ///
    /// # Safety
    /// The `bytes` bytes from `start` can be read and written, and nothing else uses them, for as
    /// long as the heap or one of its objects is in use.
    unsafe fn give(&self, start: *mut u8, bytes: usize);
}

/// A heap and its memory, `BYTES` bytes in `.bss`, which the heap is given when it is first used.
/// The macros `heap!` of `archipelago-firmware` and `archipelago-flat` make one.
pub struct OwnMemory<H: OneBlock, const BYTES: usize> {
    memory: UnsafeCell<MaybeUninit<[u8; BYTES]>>,
    heap: H,
    _aligned: [H::Page; 0],
}

// SAFETY: only the heap accesses the memory.
unsafe impl<H: OneBlock + Sync, const BYTES: usize> Sync for OwnMemory<H, BYTES> {}

impl<H: OneBlock, const BYTES: usize> OwnMemory<H, BYTES> {
    /// The heap, which has no memory yet.
    ///
    /// # Safety
    /// The value is that of a static, so that it is never moved.
    #[must_use]
    pub const unsafe fn new(heap: H) -> Self {
        const { assert!(BYTES >= H::LEAST, "a heap needs more memory than this") }
        Self {
            memory: UnsafeCell::new(MaybeUninit::uninit()),
            heap,
            _aligned: [],
        }
    }

    /// Gives the heap its memory, unless it has it. Handlers may call this at any time.
    fn give(&self) {
        // A handler that uses the heap for the first time, too, must not come in between.
        let interrupts = H::Kernel::disable_interrupts();
        // SAFETY:
        // - the memory is a part of this static, which is never moved and lives for ever;
        // - it is private, and nothing but the heap is given it.
        unsafe { self.heap.give(self.memory.get().cast(), BYTES) };
        // SAFETY: the state is of the call above, and every call in between was undone, as the heap
        // promises.
        unsafe { H::Kernel::restore_interrupts(interrupts) };
    }

    /// Makes a request that a heap without memory refuses: again, once the heap has its memory.
    fn request(&self, request: impl Fn() -> *mut u8) -> *mut u8 {
        let mut was_given = false;
        loop {
            let memory = request();
            if !memory.is_null() || was_given {
                return memory;
            }
            self.give();
            was_given = true;
        }
    }
}

/// The heap, for statistics and the like. It has its memory.
impl<H: OneBlock, const BYTES: usize> Deref for OwnMemory<H, BYTES> {
    type Target = H;

    fn deref(&self) -> &H {
        self.give();
        &self.heap
    }
}

// SAFETY: every request goes to the heap, which keeps the contract; one that it refused has changed
// nothing.
unsafe impl<H: OneBlock, const BYTES: usize> GlobalAlloc for OwnMemory<H, BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of at least one byte.
        self.request(|| unsafe { self.heap.alloc(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.heap.dealloc(pointer, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of at least one byte.
        self.request(|| unsafe { self.heap.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { self.heap.realloc(pointer, layout, new_size) }
    }
}

impl<H: OneBlock + fmt::Debug, const BYTES: usize> fmt::Debug for OwnMemory<H, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heap.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::Cell;
    use core::ptr;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::{InterruptState, Report};

    std::thread_local! {
        static ARE_MASKED: Cell<bool> = const { Cell::new(false) };
    }

    /// A kernel on which every thread is a CPU.
    struct PerThread;

    impl Kernel for PerThread {
        fn disable_interrupts() -> InterruptState {
            if ARE_MASKED.replace(true) {
                InterruptState::Masked
            } else {
                InterruptState::Enabled
            }
        }

        unsafe fn restore_interrupts(state: InterruptState) {
            ARE_MASKED.set(state == InterruptState::Masked);
        }

        fn interrupts_enabled() -> bool {
            !ARE_MASKED.get()
        }

        fn stop(report: &Report) -> ! {
            panic!("{report}")
        }
    }

    /// A heap with one byte, which a handler may give its block.
    struct One {
        start: AtomicUsize,
        given: AtomicUsize,
        /// Refused requests before the one after which a handler gives the heap its block.
        handler_after: usize,
        refused: AtomicUsize,
    }

    impl One {
        const fn new(handler_after: usize) -> Self {
            Self {
                start: AtomicUsize::new(0),
                given: AtomicUsize::new(0),
                handler_after,
                refused: AtomicUsize::new(0),
            }
        }
    }

    // SAFETY: no pointer that it returns is used.
    unsafe impl GlobalAlloc for One {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            let start = self.start.load(Relaxed);
            if start == 0 && self.refused.fetch_add(1, Relaxed) == self.handler_after {
                self.start.store(4096, Relaxed);
            }
            ptr::without_provenance_mut(start)
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    // SAFETY: `give` masks no interrupts.
    unsafe impl OneBlock for One {
        type Kernel = PerThread;

        type Page = u64;
        const LEAST: usize = 16;

        unsafe fn give(&self, start: *mut u8, bytes: usize) {
            assert!(start.cast::<u64>().is_aligned() && bytes == 100);
            assert!(!PerThread::interrupts_enabled(), "a handler may come in");
            if self.start.load(Relaxed) == 0 {
                self.given.fetch_add(1, Relaxed);
                self.start.store(start.addr(), Relaxed);
            }
        }
    }

    fn start(heap: &OwnMemory<One, 100>) -> usize {
        // SAFETY: the layout has a byte.
        let object = unsafe { heap.alloc(Layout::new::<u8>()) };
        assert!(PerThread::interrupts_enabled(), "they stay masked");
        object.addr()
    }

    #[test]
    fn the_first_request_is_served_in_the_heaps_own_memory() {
        // SAFETY: this is a static.
        static HEAP: OwnMemory<One, 100> = unsafe { OwnMemory::new(One::new(usize::MAX)) };
        for _ in 0..2 {
            assert_eq!(start(&HEAP), HEAP.memory.get().addr());
        }
        assert_eq!(HEAP.heap.given.load(Relaxed), 1);
    }

    #[test]
    fn a_request_that_a_handler_was_faster_than_is_served_too() {
        // SAFETY: this is a static.
        static HEAP: OwnMemory<One, 100> = unsafe { OwnMemory::new(One::new(0)) };
        assert_eq!(start(&HEAP), 4096);
        assert_eq!(HEAP.heap.given.load(Relaxed), 0);
    }

    #[test]
    fn the_heap_has_its_memory_when_it_is_asked_otherwise() {
        // SAFETY: this is a static.
        static HEAP: OwnMemory<One, 100> = unsafe { OwnMemory::new(One::new(usize::MAX)) };
        assert_eq!(HEAP.start.load(Relaxed), HEAP.memory.get().addr());
    }
}
