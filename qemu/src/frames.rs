//! The kernel's frames: which of the machine's real memory is free, and an exact count.
//!
//! State is kept in two bitmaps outside of the frames it describes, so that a freed frame holds
//! nothing. Every frame is filled with [`FILL`] before it is handed out: memory that the heap
//! takes to be zero without knowing is found at once.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::info::BootInfo;
use crate::info::REGIONS_MAX;
use crate::machine::{FRAME_BYTES, physmap};
use crate::memory::{MemoryRegion, PhysRange};

/// Bytes of a frame, in the type of physical addresses.
const FRAME: u64 = FRAME_BYTES as u64;

/// The value of every byte of a frame that is handed out.
pub const FILL: u8 = 0xa5;

/// Whether a pool is handing out a frame or taking one back.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Whether this code interrupts code that takes or returns a frame.
#[must_use]
pub fn frames_are_busy() -> bool {
    BUSY.load(Ordering::Relaxed)
}

/// Says that a pool is busy, for as long as it lives.
struct Work;

impl Work {
    fn start() -> Self {
        BUSY.store(true, Ordering::Relaxed);
        Self
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Relaxed);
    }
}

/// The requests for a frame that are refused, counted from 1 since the refusal was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No request, as long as a frame is free.
    Never,
    /// The n-th one only.
    Once(u64),
    /// The n-th one and all that follow.
    From(u64),
}

/// Why there is no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramePoolError {
    /// No usable range of memory holds the pool's own bitmaps.
    NoRoom {
        /// Bytes that the bitmaps need.
        bytes: u64,
    },
}

impl fmt::Display for FramePoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom { bytes } => write!(f, "no room for {bytes} bytes of frame bitmaps"),
        }
    }
}

impl core::error::Error for FramePoolError {}

/// The machine's free frames, handed out lowest address first.
#[derive(Debug)]
pub struct FramePool {
    free: Bitmap,
    /// Frames that were free at the start: the only ones that may be given back.
    managed: Bitmap,
    /// The number of the frame whose bit is the first.
    first_frame: u64,
    /// No word of `free` below this one has a bit set.
    search_word: usize,
    managed_frames: u64,
    taken: u64,
    returned: u64,
    /// Frames that may be in use at once.
    most_in_use: u64,
    refusal: Refusal,
    requests: u64,
}

impl FramePool {
    /// A pool of every whole frame in the `usable` ranges that touches none of the `kept` ones.
    ///
    /// The pool's bitmaps live in the first usable range that has room for them, and are never
    /// handed out.
    ///
    /// # Safety
    /// - [`physmap`] gives, for every address in the usable ranges, a pointer to that byte, which
    ///   is always valid for reads and writes up to the range's end.
    /// - Nothing else uses memory in the usable ranges outside of the kept ones.
    ///
    /// # Errors
    /// [`FramePoolError::NoRoom`] when no usable range has room for the bitmaps.
    pub unsafe fn new(usable: &[PhysRange], kept: &[PhysRange]) -> Result<Self, FramePoolError> {
        let starts = usable.iter().map(|range| range.start / FRAME);
        let first_frame = starts.min().unwrap_or(0);
        let ends = usable.iter().map(|range| range.end / FRAME);
        let frames = ends.max().unwrap_or(0).saturating_sub(first_frame);
        let words = frames.div_ceil(u64::from(u64::BITS));
        let home = place(usable, kept, 2 * words * 8)?;
        let words = frame_index(words);
        let first: *mut u64 = physmap(home.start).cast();
        // SAFETY:
        // - `place` found room for both bitmaps in a usable range that holds nothing kept, so
        //   `physmap` gives a pointer that is valid for that many bytes, which nothing else uses.
        // - The pointer is aligned to a frame.
        // - The bytes are initialised because they are memory of the machine.
        let free = unsafe { core::slice::from_raw_parts_mut(first, words) };
        // SAFETY: the room holds two bitmaps, so the second begins `words` words after the first.
        let second = unsafe { first.add(words) };
        // SAFETY:
        // - The second half of the room is valid, aligned and initialised like the first.
        // - The two slices do not overlap, and nothing else uses the second.
        let managed = unsafe { core::slice::from_raw_parts_mut(second, words) };

        let mut pool = Self {
            free: Bitmap::new(free),
            managed: Bitmap::new(managed),
            first_frame,
            search_word: 0,
            managed_frames: 0,
            taken: 0,
            returned: 0,
            most_in_use: u64::MAX,
            refusal: Refusal::Never,
            requests: 0,
        };
        let index =
            |frame: u64| frame_index(frame.clamp(first_frame, first_frame + frames) - first_frame);
        for range in usable {
            let whole = index(range.start.div_ceil(FRAME))..index(range.end / FRAME);
            whole.for_each(|frame| pool.managed.set(frame));
        }
        for range in kept.iter().chain([&home]) {
            let touched = index(range.start / FRAME)..index(range.end.div_ceil(FRAME));
            touched.for_each(|frame| pool.managed.clear(frame));
        }
        pool.free.copy_from(&pool.managed);
        pool.managed_frames = pool.managed.count();
        Ok(pool)
    }

    /// A pool of the machine's usable memory below the physical address `reach`, which
    /// [`physmap`](crate::physmap) maps.
    ///
    /// # Safety
    /// As for [`new`](Self::new), for usable memory below `reach`.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub unsafe fn of(
        info: &BootInfo,
        reach: u64,
        kept: &[PhysRange],
    ) -> Result<Self, FramePoolError> {
        let mut usable = [PhysRange::EMPTY; REGIONS_MAX];
        let mut count = 0;
        for region in info.memory_map().filter(MemoryRegion::is_usable) {
            let PhysRange { start, end } = region.range;
            usable[count] = PhysRange {
                start: start.min(reach),
                end: end.min(reach),
            };
            count += 1;
        }
        // SAFETY: the caller promises it of all usable memory that is reached.
        unsafe { Self::new(&usable[..count], kept) }
    }

    /// Takes the lowest free frame, filled with [`FILL`], and returns its physical address.
    ///
    /// `None` when no frame is free or the request is one to refuse.
    pub fn take(&mut self) -> Option<u64> {
        let _work = Work::start();
        if !self.admits(1) {
            return None;
        }
        let frame = self.free.first_set_from(self.search_word)?;
        self.search_word = frame / Bitmap::WORD_BITS;
        Some(self.hand_out(frame, 1))
    }

    /// Takes the lowest `count` free frames that follow one another and begin at a multiple of
    /// `align` bytes, filled with [`FILL`], and returns the physical address of the first.
    ///
    /// `None` when there are no such frames or the request is one to refuse.
    pub fn take_adjacent(&mut self, count: usize, align: usize) -> Option<u64> {
        let _work = Work::start();
        if !self.admits(count as u64) {
            return None;
        }
        let is_aligned = |frame| self.address(frame) % align as u64 == 0;
        let first = self.free.first_run(count, is_aligned)?;
        Some(self.hand_out(first, count))
    }

    /// Counts a request for so many frames. Returns whether it is one to serve.
    fn admits(&mut self, count: u64) -> bool {
        self.requests += 1;
        let refused = match self.refusal {
            Refusal::Never => false,
            Refusal::Once(request) => self.requests == request,
            Refusal::From(request) => self.requests >= request,
        };
        !refused && self.most_in_use.saturating_sub(self.in_use()) >= count
    }

    /// Hands out free frames that follow one another, and returns the address of the first.
    fn hand_out(&mut self, first: usize, count: usize) -> u64 {
        for frame in first..first + count {
            self.free.clear(frame);
            let bytes = physmap(self.address(frame));
            // SAFETY: the physmap maps the frame, which was free, so that nothing uses it.
            unsafe { bytes.write_bytes(FILL, FRAME_BYTES) };
        }
        self.taken += count as u64;
        self.address(first)
    }

    /// The address of the frame with that bit.
    fn address(&self, frame: usize) -> u64 {
        (self.first_frame + frame as u64) * FRAME
    }

    /// Takes back the frame at a physical address.
    ///
    /// # Panics
    /// If the pool did not hand out that frame, or has it already: the kernel is broken, and its
    /// tests must stop.
    pub fn give_back(&mut self, address: u64) {
        let _work = Work::start();
        assert!(
            address % FRAME == 0,
            "{address:#x} is not the address of a frame"
        );
        let number = (address / FRAME).checked_sub(self.first_frame);
        let frame = number.map_or(usize::MAX, frame_index);
        assert!(
            self.managed.get(frame),
            "the frame at {address:#x} is not the pool's"
        );
        assert!(
            !self.free.get(frame),
            "the frame at {address:#x} was given back twice"
        );
        self.free.set(frame);
        self.search_word = self.search_word.min(frame / Bitmap::WORD_BITS);
        self.returned += 1;
    }

    /// Takes frames for `bytes` bytes that follow one another, the highest there are, out of the
    /// pool for good: they are managed no more, and count as neither taken nor returned.
    ///
    /// `None` when no free frames in a row suffice.
    pub fn carve(&mut self, bytes: usize) -> Option<PhysRange> {
        let count = bytes.div_ceil(FRAME_BYTES);
        let end = self.free.last_run(count)?;
        for frame in end - count..end {
            self.free.clear(frame);
            self.managed.clear(frame);
        }
        self.managed_frames -= count as u64;
        Some(PhysRange {
            start: self.address(end - count),
            end: self.address(end),
        })
    }

    /// Sets which requests from now on are refused.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusal = refusal;
        self.requests = 0;
    }

    /// From now on, hands out `frames` frames more at most, those that come back not counted;
    /// `u64::MAX` is no limit.
    pub fn set_available(&mut self, frames: u64) {
        self.most_in_use = self.in_use().saturating_add(frames);
    }

    /// Frames that are handed out now.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.taken - self.returned
    }

    /// Frames handed out since the start, those given back included.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Frames given back since the start.
    #[must_use]
    pub fn returned(&self) -> u64 {
        self.returned
    }

    /// Frames that are free now.
    #[must_use]
    pub fn free_frames(&self) -> u64 {
        self.managed_frames - self.in_use()
    }

    /// Frames that were free at the start.
    #[must_use]
    pub fn managed_frames(&self) -> u64 {
        self.managed_frames
    }
}

/// The lowest room for `bytes` in a usable range, aligned to a frame and clear of the kept ones.
fn place(
    usable: &[PhysRange],
    kept: &[PhysRange],
    bytes: u64,
) -> Result<PhysRange, FramePoolError> {
    for range in usable {
        let mut start = range.start.next_multiple_of(FRAME);
        while start + bytes <= range.end {
            let home = PhysRange {
                start,
                end: start + bytes,
            };
            match kept
                .iter()
                .find(|kept| kept.start < home.end && home.start < kept.end)
            {
                Some(kept) => start = kept.end.next_multiple_of(FRAME),
                None => return Ok(home),
            }
        }
    }
    Err(FramePoolError::NoRoom { bytes })
}

fn frame_index(number: u64) -> usize {
    usize::try_from(number).expect("a frame number fits the machine's word")
}

/// A bitmap with a bit for each frame.
#[derive(Debug)]
struct Bitmap(&'static mut [u64]);

impl Bitmap {
    const WORD_BITS: usize = u64::BITS as usize;

    /// All bits clear.
    fn new(words: &'static mut [u64]) -> Self {
        words.fill(0);
        Self(words)
    }

    /// The bit; clear beyond the last word.
    fn get(&self, bit: usize) -> bool {
        self.0
            .get(bit / Self::WORD_BITS)
            .is_some_and(|word| word >> (bit % Self::WORD_BITS) & 1 == 1)
    }

    fn set(&mut self, bit: usize) {
        self.0[bit / Self::WORD_BITS] |= 1 << (bit % Self::WORD_BITS);
    }

    fn clear(&mut self, bit: usize) {
        self.0[bit / Self::WORD_BITS] &= !(1 << (bit % Self::WORD_BITS));
    }

    fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(other.0);
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The end of the highest run of `count` set bits.
    fn last_run(&self, count: usize) -> Option<usize> {
        let mut end = self.0.len() * Self::WORD_BITS;
        let mut first = end;
        while end - first < count {
            first = first.checked_sub(1)?;
            if !self.get(first) {
                end = first;
            }
        }
        Some(end)
    }

    /// The first bit of the lowest run of `count` set bits that may begin there.
    fn first_run(&self, count: usize, may_begin: impl Fn(usize) -> bool) -> Option<usize> {
        let end = self.0.len() * Self::WORD_BITS;
        let mut first = 0;
        let mut next = 0;
        while next - first < count {
            if next >= end {
                return None;
            }
            let goes_on = self.get(next) && (next > first || may_begin(first));
            next += 1;
            if !goes_on {
                first = next;
            }
        }
        Some(first)
    }

    /// The lowest set bit in the words from `first_word` on.
    fn first_set_from(&self, first_word: usize) -> Option<usize> {
        let words = self.0.get(first_word..)?;
        let (skipped, word) = words.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some((first_word + skipped) * Self::WORD_BITS + word.trailing_zeros() as usize)
    }
}
