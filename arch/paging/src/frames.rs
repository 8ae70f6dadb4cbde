//! Frames on their way: chains of them, and where a machine takes them from and gives them back to.

use core::ptr::NonNull;

use archipelago_api::PhysAddr;

use crate::{Scheme, Takes};

/// How a frame source takes a frame back.
///
/// # Safety
/// The frame came from this source and nobody uses it.
pub(crate) type GiveBack<F> = unsafe fn(&mut F, PhysAddr);

/// Frames that nobody uses, linked through their own first words: any number of them, in no memory
/// but their own. Invariant: every frame of the chain belongs to the chain alone.
///
/// The link is a number of whole frames, so that its low bits, where page-table entries say that
/// they are valid, are 0: a frame that was a table may join a chain while a CPU still walks it.
#[derive(Debug)]
pub struct Chain {
    /// Meaningless unless `len` is above 0.
    head: PhysAddr,
    len: usize,
}

impl Chain {
    /// No frames.
    pub const EMPTY: Self = Self {
        head: PhysAddr::new(0),
        len: 0,
    };

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `frame`.
    ///
    /// # Safety
    /// The frame is one that `S` reaches through `tables`, and nobody else uses it or writes to it.
    pub unsafe fn push<S: Scheme<P>, P>(&mut self, tables: &P, frame: PhysAddr) {
        // SAFETY: the caller hands over a frame that the scheme reaches.
        let link = unsafe { link::<S, P>(tables, frame) };
        // SAFETY: the frame is ours alone, and its memory is aligned for a word.
        unsafe { link.write_volatile(self.head.value()) };
        self.head = frame;
        self.len += 1;
    }

    /// Takes a frame out, through the same tables that it was pushed through.
    pub fn pop<S: Scheme<P>, P>(&mut self, tables: &P) -> Option<PhysAddr> {
        self.len = self.len.checked_sub(1)?;
        let frame = self.head;
        // SAFETY: by the invariant the frame is the chain's alone, and `push` reached it.
        let link = unsafe { link::<S, P>(tables, frame) };
        // SAFETY: as above; `push` wrote the word, and nobody has since.
        self.head = PhysAddr::new(unsafe { link.read_volatile() });
        Some(frame)
    }
}

/// The first word of a frame.
///
/// # Safety
/// The frame is one that `S` reaches through `tables`, and the caller alone uses it.
unsafe fn link<S: Scheme<P>, P>(tables: &P, frame: PhysAddr) -> NonNull<u64> {
    // SAFETY: the caller promises that the scheme reaches the frame.
    unsafe { S::memory(tables, frame) }.cast()
}

/// A frame, and whether it came straight from the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) frame: PhysAddr,
    pub(crate) fresh: bool,
}

/// The kernel's frame source with the stock of frames that it would not take back.
#[derive(Debug)]
pub(crate) struct Supply<'a, F> {
    pub(crate) source: &'a mut F,
    pub(crate) give_back: Option<GiveBack<F>>,
    pub(crate) stock: &'a mut Chain,
}

impl<F> Supply<'_, F> {
    /// Takes a frame, out of the stock while there is one.
    pub(crate) fn take<S: Scheme<P> + Takes<F>, P>(&mut self, tables: &P) -> Option<Taken> {
        if let Some(frame) = self.stock.pop::<S, P>(tables) {
            return Some(Taken {
                frame,
                fresh: false,
            });
        }
        let frame = S::take(self.source)?;
        Some(Taken { frame, fresh: true })
    }

    /// Takes `count` frames, or none and says how many there were.
    pub(crate) fn take_all<S: Scheme<P> + Takes<F>, P>(
        &mut self,
        tables: &P,
        count: usize,
    ) -> Result<Chain, usize> {
        let mut chain = Chain::EMPTY;
        while chain.len() < count {
            let Some(Taken { frame, .. }) = self.take::<S, P>(tables) else {
                let available = chain.len();
                self.return_all::<S, P>(tables, chain);
                return Err(available);
            };
            // SAFETY: the frame was just taken, and sources hand out frames that nobody uses.
            unsafe { chain.push::<S, P>(tables, frame) };
        }
        Ok(chain)
    }

    /// Gives a frame back to the source, or stocks it if the source takes none.
    ///
    /// # Safety
    /// The frame was taken from this supply, and nobody uses it or can translate to it.
    pub(crate) unsafe fn put<S: Scheme<P>, P>(&mut self, tables: &P, frame: PhysAddr) {
        match self.give_back {
            // SAFETY: it came from this source, since the stock is filled with nothing else; the
            // caller promises the rest.
            Some(give_back) => unsafe { give_back(self.source, frame) },
            // SAFETY: nobody uses the frame, and what is taken is reached through the tables.
            None => unsafe { self.stock.push::<S, P>(tables, frame) },
        }
    }

    /// Gives back every frame of `chain`.
    pub(crate) fn return_all<S: Scheme<P>, P>(&mut self, tables: &P, mut chain: Chain) {
        while let Some(frame) = chain.pop::<S, P>(tables) {
            // SAFETY: chains hold frames that were taken from this supply and belong to the chain
            // alone.
            unsafe { self.put::<S, P>(tables, frame) };
        }
    }
}
