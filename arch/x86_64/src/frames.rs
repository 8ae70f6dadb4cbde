//! Frames on their way: chains of them, and where the machine takes them from and gives them back
//! to.

use core::ptr::NonNull;

use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

use crate::PageTables;

/// How a frame source takes a frame back.
///
/// # Safety
/// The frame came from this source and nobody uses it.
pub(crate) type GiveBack<F> = unsafe fn(&mut F, PhysFrame);

/// Frames that nobody uses, linked through their own first words: any number of them, in no memory
/// but their own. Invariant: every frame of the chain belongs to the chain alone.
///
/// The link is an address of a frame, so read as a page-table entry it is not present: a frame that
/// was a table may join a chain while a CPU still holds on to it.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Meaningless unless `len` is above 0.
    head: u64,
    len: usize,
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { head: 0, len: 0 };

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `frame`.
    ///
    /// # Safety
    /// Nobody else uses the frame or writes to it.
    pub(crate) unsafe fn push<P: PageTables>(&mut self, mapper: &P, frame: PhysFrame) {
        // SAFETY: the caller hands the frame over.
        let link = unsafe { link(mapper, frame) };
        // SAFETY: the frame is ours alone, and a pointer to its start is aligned for a word.
        unsafe { link.write_volatile(self.head) };
        self.head = frame.start_address().as_u64();
        self.len += 1;
    }

    /// Takes a frame out.
    pub(crate) fn pop<P: PageTables>(&mut self, mapper: &P) -> Option<PhysFrame> {
        self.len = self.len.checked_sub(1)?;
        let frame = PhysFrame::containing_address(PhysAddr::new_truncate(self.head));
        // SAFETY: by the invariant the frame is the chain's alone.
        let link = unsafe { link(mapper, frame) };
        // SAFETY: as above; `push` wrote the word, and nobody has since.
        self.head = unsafe { link.read_volatile() };
        Some(frame)
    }

    /// Takes a frame out and makes an empty table of it.
    pub(crate) fn pop_zeroed<P: PageTables>(&mut self, mapper: &P) -> Option<PhysFrame> {
        let frame = self.pop(mapper)?;
        // SAFETY: the frame was the chain's alone, and now is ours.
        let table = unsafe { mapper.table(frame) };
        // SAFETY: the frame is ours and mapped in full; all zeroes is an empty table.
        unsafe { table.write_bytes(0, 1) };
        Some(frame)
    }
}

/// The first word of a frame.
///
/// # Safety
/// The caller alone uses the frame.
unsafe fn link<P: PageTables>(mapper: &P, frame: PhysFrame) -> NonNull<u64> {
    // SAFETY: the caller alone uses the frame; that the source has no frame which is mapped at
    // address 0 was promised when it was handed over.
    unsafe { mapper.table(frame) }.cast()
}

/// A frame, and whether it came straight from the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) frame: PhysFrame,
    pub(crate) fresh: bool,
}

/// The kernel's frame source with the stock of frames that it would not take back.
#[derive(Debug)]
pub(crate) struct Supply<'a, P, F> {
    pub(crate) mapper: &'a P,
    pub(crate) source: &'a mut F,
    pub(crate) give_back: Option<GiveBack<F>>,
    pub(crate) stock: &'a mut Chain,
}

impl<P: PageTables, F: FrameAllocator<Size4KiB>> Supply<'_, P, F> {
    /// Takes a frame, out of the stock while there is one.
    pub(crate) fn take(&mut self) -> Option<Taken> {
        if let Some(frame) = self.stock.pop(self.mapper) {
            return Some(Taken {
                frame,
                fresh: false,
            });
        }
        let frame = self.source.allocate_frame()?;
        Some(Taken { frame, fresh: true })
    }

    /// Takes `count` frames, or none and says how many there were.
    pub(crate) fn take_all(&mut self, count: usize) -> Result<Chain, usize> {
        let mut chain = Chain::EMPTY;
        while chain.len() < count {
            let Some(Taken { frame, .. }) = self.take() else {
                let available = chain.len();
                self.return_all(chain);
                return Err(available);
            };
            // SAFETY: the frame was just taken, and sources hand out frames that nobody uses.
            unsafe { chain.push(self.mapper, frame) };
        }
        Ok(chain)
    }

    /// Gives a frame back to the source, or stocks it if the source takes none.
    ///
    /// # Safety
    /// The frame was taken from this supply, and nobody uses it or can translate to it.
    pub(crate) unsafe fn put(&mut self, frame: PhysFrame) {
        match self.give_back {
            // SAFETY: it came from this source, since the stock is filled with nothing else; the
            // caller promises the rest.
            Some(give_back) => unsafe { give_back(self.source, frame) },
            // SAFETY: nobody uses the frame.
            None => unsafe { self.stock.push(self.mapper, frame) },
        }
    }

    /// Gives back every frame of `chain`.
    pub(crate) fn return_all(&mut self, mut chain: Chain) {
        while let Some(frame) = chain.pop(self.mapper) {
            // SAFETY: chains hold frames that were taken from this supply and belong to the chain
            // alone.
            unsafe { self.put(frame) };
        }
    }
}
