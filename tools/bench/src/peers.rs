//! Peers: other heaps, each of one block that was mapped beforehand.

use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use rlsf::Tlsf;
use talc::source::Manual;
use talc::{DefaultBinning, base::Talc as Inner};

use crate::{PAGE, Subject};

/// A block of ordinary memory that begins at a page, for a peer to manage. It is never given back,
/// so that peers may keep it as long as they like.
#[derive(Debug)]
pub struct Block(&'static mut [MaybeUninit<u8>]);

impl Block {
    /// A block of `bytes` bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let memory = Box::leak(vec![MaybeUninit::uninit(); bytes + PAGE].into_boxed_slice());
        let skipped = memory.as_ptr().align_offset(PAGE);
        Self(&mut memory[skipped..skipped + bytes])
    }

    /// The memory, for ever.
    pub(crate) fn into_memory(self) -> &'static mut [MaybeUninit<u8>] {
        self.0
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// `talc`, with its usual bins.
pub struct Talc {
    inner: Inner<Manual, DefaultBinning>,
    bytes: usize,
}

impl Talc {
    /// A heap in `block`.
    #[must_use]
    pub fn new(block: Block) -> Self {
        let bytes = block.len();
        let mut inner = Inner::new(Manual);
        // SAFETY: the block belongs to this heap alone, for ever.
        let claimed = unsafe { inner.claim(block.0.as_mut_ptr().cast(), bytes) };
        claimed.expect("a block large enough for the heap's own state");
        Self { inner, bytes }
    }
}

impl Subject for Talc {
    const NAME: &'static str = "talc";

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the measurements ask for no layout of size zero.
        unsafe { self.inner.allocate(layout) }
    }

    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller passes a live object of this heap with its layout.
        unsafe { self.inner.deallocate(pointer.as_ptr(), layout) };
    }

    fn memory_bytes(&self) -> usize {
        self.bytes
    }
}

impl fmt::Debug for Talc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

/// `linked_list_allocator`.
pub struct LinkedList(linked_list_allocator::Heap);

impl LinkedList {
    /// A heap in `block`.
    #[must_use]
    pub fn new(block: Block) -> Self {
        Self(linked_list_allocator::Heap::from_slice(block.0))
    }
}

impl Subject for LinkedList {
    const NAME: &'static str = "linked_list";

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        self.0.allocate_first_fit(layout).ok()
    }

    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller passes a live object of this heap with its layout.
        unsafe { self.0.deallocate(pointer, layout) };
    }

    fn memory_bytes(&self) -> usize {
        self.0.size()
    }
}

impl fmt::Debug for LinkedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

/// `rlsf`, with the bins that its documentation proposes for a heap of this size.
pub struct Rlsf {
    inner: Tlsf<'static, u32, u32, 28, 32>,
    bytes: usize,
}

impl Rlsf {
    /// A heap in `block`.
    #[must_use]
    pub fn new(block: Block) -> Self {
        let bytes = block.len();
        let mut inner = Tlsf::new();
        inner.insert_free_block(block.0);
        Self { inner, bytes }
    }
}

impl Subject for Rlsf {
    const NAME: &'static str = "rlsf";

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        self.inner.allocate(layout)
    }

    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller passes a live object of this heap with its layout.
        unsafe { self.inner.deallocate(pointer, layout.align()) };
    }

    fn memory_bytes(&self) -> usize {
        self.bytes
    }
}

impl fmt::Debug for Rlsf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}
