//! The blocks of a trace: which are live, how large they are, where they lie.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::trace::{TraceError, TraceErrorKind};

/// The state of one block. A table of them, indexed by id, is all the memory that following a trace
/// takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Block {
    pub(crate) pointer: Option<NonNull<u8>>,
    /// The size in bytes, as the trace states it.
    pub(crate) size: u32,
    pub(crate) log2_align: u8,
    state: State,
}

// SAFETY: a table is emptied before it is used, so a pointer that came from another thread is never
// followed; the memory that it points to belongs to the target, not to the block.
unsafe impl Send for Block {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unused,
    Live,
    Freed,
}

impl Block {
    /// A block that was never allocated.
    pub const UNUSED: Self = Self {
        pointer: None,
        size: 0,
        log2_align: 0,
        state: State::Unused,
    };

    /// The layout to ask an allocator for; a block of no bytes is asked for as one byte, as
    /// `malloc` does.
    pub(crate) fn layout(size: u32, log2_align: u8) -> Result<Layout, TraceErrorKind> {
        let too_large = TraceErrorKind::BlockTooLarge { size, log2_align };
        let bytes = usize::try_from(size.max(1)).map_err(|_| too_large)?;
        let align = 1_usize.checked_shl(log2_align.into()).ok_or(too_large)?;
        Layout::from_size_align(bytes, align).map_err(|_| too_large)
    }
}

/// The caller's table, and the sums over it.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    table: &'a mut [Block],
    pub(crate) live: usize,
    pub(crate) live_bytes: u64,
    pub(crate) most_live: usize,
    pub(crate) peak_live_bytes: u64,
}

impl<'a> Blocks<'a> {
    /// Starts without a live block; the former contents of the table do not matter.
    pub(crate) fn new(table: &'a mut [Block]) -> Self {
        table.fill(Block::UNUSED);
        Self {
            table,
            live: 0,
            live_bytes: 0,
            most_live: 0,
            peak_live_bytes: 0,
        }
    }

    /// Checks that `id` may be allocated.
    pub(crate) fn unused(&self, id: u32) -> Result<(), TraceErrorKind> {
        match self.get(id)?.state {
            State::Live => Err(TraceErrorKind::AlreadyLive { id }),
            State::Unused | State::Freed => Ok(()),
        }
    }

    /// The live block `id`.
    pub(crate) fn live(&self, id: u32) -> Result<Block, TraceErrorKind> {
        let block = *self.get(id)?;
        match block.state {
            State::Live => Ok(block),
            State::Unused => Err(TraceErrorKind::NeverAllocated { id }),
            State::Freed => Err(TraceErrorKind::Freed { id }),
        }
    }

    /// Makes `id`, which is unused, a live block.
    pub(crate) fn begin(
        &mut self,
        id: u32,
        size: u32,
        log2_align: u8,
        pointer: Option<NonNull<u8>>,
    ) {
        self.set(
            id,
            Block {
                pointer,
                size,
                log2_align,
                state: State::Live,
            },
        );
        self.live += 1;
        self.most_live = self.most_live.max(self.live);
        self.add(size);
    }

    /// Gives the live block `id` another size and place.
    pub(crate) fn resize(&mut self, id: u32, old: Block, size: u32, pointer: Option<NonNull<u8>>) {
        self.set(
            id,
            Block {
                pointer,
                size,
                ..old
            },
        );
        self.live_bytes -= u64::from(old.size);
        self.add(size);
    }

    /// Ends the live block `id`.
    pub(crate) fn end(&mut self, id: u32, old: Block) {
        self.set(
            id,
            Block {
                state: State::Freed,
                ..Block::UNUSED
            },
        );
        self.live -= 1;
        self.live_bytes -= u64::from(old.size);
    }

    /// A live block with an id of at least `from`, and its id.
    pub(crate) fn next_live(&self, from: u32) -> Option<(u32, Block)> {
        let ids = (from..=u32::MAX).zip(self.table.iter().skip(from as usize));
        let mut live = ids.filter(|(_, block)| block.state == State::Live);
        live.next().map(|(id, block)| (id, *block))
    }

    fn add(&mut self, size: u32) {
        self.live_bytes += u64::from(size);
        self.peak_live_bytes = self.peak_live_bytes.max(self.live_bytes);
    }

    fn get(&self, id: u32) -> Result<&Block, TraceErrorKind> {
        let blocks = self.table.len();
        let block = self.table.get(id as usize);
        block.ok_or(TraceErrorKind::TableTooShort { id, blocks })
    }

    fn set(&mut self, id: u32, block: Block) {
        // `get` has checked the id.
        if let Some(place) = self.table.get_mut(id as usize) {
            *place = block;
        }
    }
}

/// Says where `kind` was found.
pub(crate) const fn at(offset: u64) -> impl Fn(TraceErrorKind) -> TraceError {
    move |kind| TraceError { kind, offset }
}
