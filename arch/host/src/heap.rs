//! The heap of a process, which takes its window when it is first used.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::fmt;
use core::ops::Deref;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use archipelago::{
    Heap, InitError, Missed, Window, alloc_at_once, alloc_slowly, alloc_soon, alloc_zeroed_slowly,
};
use archipelago_api::{Kernel, ReserveError, VirtRange};

use crate::error::HostError;
use crate::kernel::HostKernel;
use crate::machine::Host;
use crate::mapping;

/// Bytes of address space that a heap takes unless another size is named: 1 TiB, or 512 MiB where
/// pointers have 32 bits.
const WINDOW_BYTES: usize = if usize::BITS == 64 {
    1 << (40 % usize::BITS)
} else {
    1 << 29
};

/// The smallest window that is asked for.
const LEAST_WINDOW_BYTES: usize = 4 << 20;

/// How often another thread may map something in a window that was found, before that is an error.
const TRIES: usize = 16;

/// A heap for the `#[global_allocator]` of a program, or one of several heaps in it.
///
/// There is nothing to call at start: the heap takes a window of address space when it is first
/// used. It dereferences to [`Heap`], whose methods have statistics, runs of pages, the limit and
/// the rest. A heap that is dropped gives its window back.
///
/// [`Stats::refusals`](archipelago::Stats::refusals) counts the request that found no window yet,
/// and was made again.
///
/// ```
/// use archipelago_host::HostHeap;
///
/// #[global_allocator]
/// static HEAP: HostHeap = HostHeap::new();
///
/// let text = "gone".to_owned();
/// let live = HEAP.stats().live_bytes;
/// drop(text);
/// assert!(HEAP.stats().live_bytes < live);
/// ```
pub struct HostHeap<K: Kernel = HostKernel> {
    heap: Heap<Host, K>,
    window_bytes: usize,
    /// Whether a thread is taking the window.
    is_opening: AtomicBool,
    /// A number that no other heap has, from the first attempt to take the window on; 0 before.
    number: AtomicUsize,
}

thread_local! {
    /// The number of the last heap that this thread has seen open after a request was refused.
    static SEEN_OPEN: Cell<usize> = const { Cell::new(0) };
}

impl HostHeap {
    /// A heap that takes a window of 1 TiB, of 512 MiB where pointers have 32 bits, or of what a
    /// limited process has. Address space costs nothing until it is used.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_window(WINDOW_BYTES)
    }

    /// A heap that takes a window of `bytes` bytes, rounded up to whole pages, or of what a limited
    /// process has.
    #[must_use]
    pub const fn with_window(bytes: usize) -> Self {
        Self::with_kernel(bytes)
    }
}

impl<K: Kernel> HostHeap<K> {
    /// A heap in the kernel `K`, such as one that a test stands in for, with a window of `bytes`
    /// bytes, rounded up to whole pages, or of what a limited process has.
    #[must_use]
    pub const fn with_kernel(bytes: usize) -> Self {
        Self {
            heap: Heap::new(),
            window_bytes: bytes,
            is_opening: AtomicBool::new(false),
            number: AtomicUsize::new(0),
        }
    }

    /// Takes the window, unless the heap has it. Requests do this by themselves; a program that
    /// wants to know why its heap has none asks here.
    ///
    /// # Errors
    /// Why there is no window. The next request tries again.
    pub fn open(&self) -> Result<(), HostError> {
        while self.heap.machine().is_none() {
            if self.is_opening.swap(true, Ordering::Acquire) {
                K::relax(); // Another thread opens it.
                continue;
            }
            if self.number.load(Ordering::Relaxed) == 0 {
                // The address of a heap would not do: another one may have been there before.
                static HEAPS: AtomicUsize = AtomicUsize::new(0);
                let number = HEAPS.fetch_add(1, Ordering::Relaxed) + 1;
                self.number.store(number, Ordering::Relaxed);
            }
            let opened = self.take_window();
            self.is_opening.store(false, Ordering::Release);
            opened?;
        }
        Ok(())
    }

    fn take_window(&self) -> Result<(), HostError> {
        let mut machine = Host::new()?;
        for _ in 0..TRIES {
            let window = self.find_window()?;
            let window = Window::new(window.base().value(), window.bytes());
            let failure = match self.heap.init(&[window], machine) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            machine = failure.machine;
            match failure.error {
                // Another thread that opened the heap before this one was asked to.
                InitError::AlreadyInitialised => return Ok(()),
                // Another thread has mapped something there meanwhile.
                InitError::Reserve {
                    error: ReserveError::Occupied { .. },
                    ..
                } => {}
                error => return Err(error.into()),
            }
        }
        let bytes = LEAST_WINDOW_BYTES;
        Err(HostError::AddressSpace { bytes })
    }

    /// A window of the size that is wanted. A process that has less address space keeps at least
    /// half of it for its stacks and files.
    fn find_window(&self) -> Result<VirtRange, HostError> {
        let page = 1 << 12;
        let wanted = self
            .window_bytes
            .max(LEAST_WINDOW_BYTES)
            .next_multiple_of(page);
        if let Some(window) = mapping::find_free(wanted) {
            return Ok(window);
        }
        let mut bytes = wanted.next_power_of_two() / 2;
        while bytes > LEAST_WINDOW_BYTES {
            if mapping::find_free(bytes).is_some() {
                bytes /= 2;
                break;
            }
            bytes /= 2;
        }
        mapping::find_free(bytes).ok_or(HostError::AddressSpace { bytes })
    }

    /// Allocates memory that is not at hand, of the thread's next span or in any other way.
    ///
    /// # Safety
    /// The heap has returned `missed` for this layout.
    // Out of line, as is what comes then: each saves as few registers as it needs.
    #[inline(never)]
    unsafe fn soon(&self, layout: Layout, missed: Missed<'_>) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        match unsafe { alloc_soon(&self.heap, missed) } {
            Some(start) => start.as_ptr(),
            None => self.slowly(|| alloc_slowly(&self.heap, layout)),
        }
    }

    /// [`soon`](Self::soon), of memory that is zero.
    ///
    /// # Safety
    /// As there.
    #[inline(never)]
    unsafe fn zeroed_soon(&self, layout: Layout, missed: Missed<'_>) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        let Some(start) = (unsafe { alloc_soon(&self.heap, missed) }) else {
            return self.slowly(|| alloc_zeroed_slowly(&self.heap, layout));
        };
        // SAFETY: the object is the caller's, and as long as the layout.
        unsafe { start.write_bytes(0, layout.size()) };
        start.as_ptr()
    }

    /// Makes a request, and makes it again if it is refused and may have come before the window. A
    /// refused request has changed nothing.
    #[inline(never)]
    fn slowly(&self, request: impl Fn() -> *mut u8) -> *mut u8 {
        let memory = request();
        if !memory.is_null() {
            return memory;
        }
        // A thread that has seen the heap open made this request later.
        let number = || self.number.load(Ordering::Relaxed);
        let is_refused = SEEN_OPEN.get() != 0 && SEEN_OPEN.get() == number();
        if is_refused || self.open().is_err() {
            return ptr::null_mut();
        }
        SEEN_OPEN.set(number());
        request()
    }
}

// SAFETY: every request goes to the heap, which keeps the contract; one that is made again was
// refused, and has changed nothing.
unsafe impl<K: Kernel> GlobalAlloc for HostHeap<K> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match alloc_at_once(&self.heap, layout) {
            Ok(start) => start.as_ptr(),
            // SAFETY: the request is this one.
            Err(missed) => unsafe { self.soon(layout, missed) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.heap.dealloc(pointer, layout) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match alloc_at_once(&self.heap, layout) {
            Ok(start) => {
                // SAFETY: the object is the caller's, and as long as the layout.
                unsafe { start.write_bytes(0, layout.size()) };
                start.as_ptr()
            }
            // SAFETY: the request is this one.
            Err(missed) => unsafe { self.zeroed_soon(layout, missed) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same. The heap that the object is from is open.
        unsafe { self.heap.realloc(pointer, layout, new_size) }
    }
}

/// The heap, which has its window, unless there is none to be had: then it refuses every request.
impl<K: Kernel> Deref for HostHeap<K> {
    type Target = Heap<Host, K>;

    fn deref(&self) -> &Self::Target {
        // Why there is none is asked of `open`.
        let _ = self.open();
        &self.heap
    }
}

impl Default for HostHeap {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Kernel> fmt::Debug for HostHeap<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heap.fmt(f)
    }
}
