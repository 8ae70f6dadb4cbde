//! The driver: one record after another, each a request of the target.

use core::alloc::Layout;
use core::num::NonZeroU64;
use core::ptr::NonNull;

use super::memory::{readable, writable};
use super::pattern::{self, Difference};
use super::{ContentError, Failure, Fault, Mode, Moment, Progress, Target, When};
use crate::blocks::{Block, Blocks, at};
use crate::trace::{Operation, Record, Trace, TraceError, TraceErrorKind, Workspace};

/// A replay: the trace, the memory it needs, and the checks.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The trace, gzip or plain.
    pub file: &'a [u8],
    /// Memory to unpack the trace in.
    pub workspace: &'a mut Workspace,
    /// Room for the trace's blocks; its former contents do not matter.
    pub table: &'a mut [Block],
    /// The checks beside the requests.
    pub mode: Mode,
    /// The trace's peak of live bytes, as [`validate`](crate::trace::validate) finds it: the
    /// observer is called when it is reached.
    pub peak_live_bytes: u64,
    /// Operations after which the observer is called again and again, if any.
    pub every: Option<NonZeroU64>,
}

/// Replays a trace against `target`, and frees the blocks that it leaves live.
///
/// The replay goes on without a block that cannot be allocated: its free does nothing, its
/// reallocation tries to allocate it. A block that cannot be reallocated stays as it is. A block of
/// no bytes is asked for as one byte, as `malloc` does.
///
/// # Errors
///
/// The trace cannot be used. All blocks are freed, as at the end.
pub fn replay<T: Target>(
    replay: Replay<'_>,
    target: &mut T,
    observe: impl FnMut(Moment, &Progress, &T),
) -> Result<Progress, TraceError> {
    let mut trace = Trace::new(replay.file, replay.workspace)?;
    let mut driver = Driver {
        target,
        mode: replay.mode,
        blocks: Blocks::new(replay.table),
        progress: Progress::default(),
        offset: 0,
    };
    let mut observer = Observer {
        observe,
        peak: Some(replay.peak_live_bytes),
        every: replay.every,
        left: replay.every,
    };
    let run = driver.run(&mut trace, &mut observer);
    let mut progress = driver.progress();
    driver.free_all();
    // Content errors that the last frees found count; live blocks are counted before these frees.
    progress.content_errors = driver.progress.content_errors;
    progress.first_content_error = driver.progress.first_content_error;
    run.map(|()| progress)
}

/// Calls the observer at the peak and periodically.
struct Observer<F> {
    observe: F,
    /// The trace's peak, until it is reached.
    peak: Option<u64>,
    every: Option<NonZeroU64>,
    /// Operations until the next call, if there will be one.
    left: Option<NonZeroU64>,
}

impl<F> Observer<F> {
    /// Follows one operation.
    #[inline]
    fn step<T: Target>(&mut self, driver: &Driver<'_, T>)
    where
        F: FnMut(Moment, &Progress, &T),
    {
        if self
            .peak
            .is_some_and(|peak| driver.blocks.live_bytes >= peak)
        {
            self.peak = None;
            self.call(Moment::Peak, driver);
        }
        if let Some(left) = self.left {
            self.left = NonZeroU64::new(left.get() - 1);
            if self.left.is_none() {
                self.left = self.every;
                self.call(Moment::Periodic, driver);
            }
        }
    }

    fn call<T: Target>(&mut self, moment: Moment, driver: &Driver<'_, T>)
    where
        F: FnMut(Moment, &Progress, &T),
    {
        (self.observe)(moment, &driver.progress(), driver.target);
    }
}

struct Driver<'a, T> {
    target: &'a mut T,
    mode: Mode,
    blocks: Blocks<'a>,
    /// The counts that do not follow from the blocks.
    progress: Progress,
    /// The offset of the record being replayed, in the unpacked trace.
    offset: u64,
}

impl<T: Target> Driver<'_, T> {
    fn run<F>(
        &mut self,
        trace: &mut Trace<'_>,
        observer: &mut Observer<F>,
    ) -> Result<(), TraceError>
    where
        F: FnMut(Moment, &Progress, &T),
    {
        while let Some(record) = trace.read()? {
            self.offset = record.offset;
            self.step(record).map_err(at(record.offset))?;
            self.progress.operations += 1;
            observer.step(self);
        }
        observer.call(Moment::End, self);
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress {
            live_blocks: self.blocks.live,
            live_bytes: self.blocks.live_bytes,
            peak_live_bytes: self.blocks.peak_live_bytes,
            ..self.progress
        }
    }

    fn step(&mut self, record: Record) -> Result<(), TraceErrorKind> {
        let id = record.id;
        match record.operation {
            Operation::Allocate {
                size,
                log2_align,
                zeroed,
            } => {
                self.blocks.unused(id)?;
                let layout = Block::layout(size, log2_align)?;
                let pointer = self.allocate(id, layout, zeroed);
                let held = self.held(size, pointer);
                self.blocks.begin(id, held, log2_align, pointer);
            }
            Operation::Reallocate { size } => {
                let block = self.blocks.live(id)?;
                let layout = Block::layout(size, block.log2_align)?;
                match block.pointer {
                    Some(pointer) => {
                        let old = Block::layout(block.size, block.log2_align)?;
                        if let Some(moved) = self.reallocate(id, pointer, old, layout) {
                            self.blocks.resize(id, block, size, Some(moved));
                        }
                    }
                    None => {
                        let pointer = self.allocate(id, layout, false);
                        let held = self.held(size, pointer);
                        self.blocks.resize(id, block, held, pointer);
                    }
                }
            }
            Operation::Free => {
                let block = self.blocks.live(id)?;
                self.free(id, block)?;
                self.blocks.end(id, block);
            }
        }
        Ok(())
    }

    /// The size to enter: a block without memory holds nothing, except where none has memory.
    const fn held(&self, size: u32, pointer: Option<NonNull<u8>>) -> u32 {
        match (pointer, self.mode) {
            (Some(_), _) | (None, Mode::Null) => size,
            (None, Mode::Checked | Mode::Bare) => 0,
        }
    }

    #[inline]
    fn allocate(&mut self, id: u32, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        if self.mode == Mode::Null {
            return None;
        }
        let Some(pointer) = self.target.allocate(layout, zeroed) else {
            self.fail(id, layout);
            return None;
        };
        if self.mode == Mode::Checked {
            self.check_alignment(id, pointer, layout);
            if zeroed {
                // SAFETY: the target has just returned the block, and said that it is zero.
                let block = unsafe { readable(pointer, layout.size()) };
                self.blame(id, pointer, When::Zeroed, pattern::nonzero(block));
            }
            // SAFETY: the target has just returned the block.
            let block = unsafe { writable(pointer, layout.size()) };
            pattern::fill(block, id);
        }
        Some(pointer)
    }

    #[inline]
    fn reallocate(
        &mut self,
        id: u32,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        self.check(id, pointer, old, When::BeforeReallocation);
        // SAFETY: the table holds pointers of live blocks of the target alone, with the size and
        // alignment they were asked for with; `new` is a valid layout of the same alignment, and no
        // layout here is of no bytes.
        let moved = unsafe { self.target.reallocate(pointer, old, new.size()) };
        let Some(moved) = moved else {
            self.fail(id, new);
            return None;
        };
        if self.mode == Mode::Checked {
            self.check_alignment(id, moved, new);
            let kept = old.size().min(new.size());
            // SAFETY: the target has just returned the block; up to there the block was filled
            // before.
            let block = unsafe { readable(moved, kept) };
            let found = pattern::difference(block, id);
            self.blame(id, moved, When::AfterReallocation, found);
            // SAFETY: the target has just returned the block.
            let block = unsafe { writable(moved, new.size()) };
            pattern::fill(block, id);
        }
        Some(moved)
    }

    #[inline]
    fn free(&mut self, id: u32, block: Block) -> Result<(), TraceErrorKind> {
        let Some(pointer) = block.pointer else {
            return Ok(());
        };
        let layout = Block::layout(block.size, block.log2_align)?;
        self.check(id, pointer, layout, When::BeforeFree);
        // SAFETY: as for `reallocate`; the table forgets the block now.
        unsafe { self.target.deallocate(pointer, layout) };
        Ok(())
    }

    /// Frees all blocks that are live, as if the trace ended with their frees.
    fn free_all(&mut self) {
        let mut from = 0;
        while let Some((id, block)) = self.blocks.next_live(from) {
            // Its layout was valid when it was allocated.
            let _ = self.free(id, block);
            self.blocks.end(id, block);
            let Some(next) = id.checked_add(1) else { break };
            from = next;
        }
    }

    /// Checks the whole of a live block, in the mode that fills them.
    #[inline]
    fn check(&mut self, id: u32, pointer: NonNull<u8>, layout: Layout, when: When) {
        if self.mode == Mode::Checked {
            // SAFETY: the table holds live blocks of the target alone; this one was filled when it
            // got its size.
            let block = unsafe { readable(pointer, layout.size()) };
            self.blame(id, pointer, when, pattern::difference(block, id));
        }
    }

    fn check_alignment(&mut self, id: u32, pointer: NonNull<u8>, layout: Layout) {
        let align = layout.align();
        if pointer.addr().get() & (align - 1) != 0 {
            self.enter(id, pointer, Fault::Misaligned { align });
        }
    }

    fn blame(&mut self, id: u32, pointer: NonNull<u8>, when: When, found: Option<Difference>) {
        if let Some(Difference {
            index,
            expected,
            found,
        }) = found
        {
            let fault = Fault::Byte {
                when,
                index,
                expected,
                found,
            };
            self.enter(id, pointer, fault);
        }
    }

    fn enter(&mut self, id: u32, pointer: NonNull<u8>, fault: Fault) {
        self.progress.blame(ContentError {
            offset: self.offset,
            id,
            address: pointer.addr().get(),
            fault,
        });
    }

    fn fail(&mut self, id: u32, layout: Layout) {
        self.progress.fail(Failure {
            offset: self.offset,
            id,
            size: layout.size(),
            align: layout.align(),
        });
    }
}
