//! The steps of transitions, each one walk over the pages of a range. A step that can fail for want
//! of frames fails before it changes anything, or has a step that undoes it.

use archipelago_api::{PhysAddr, VirtRange};

use crate::PagingMode;
use crate::alloc::AllocateFrames;
use crate::entry::{Change, PageState};
use crate::frames::{Allocated, Supply};
use crate::walk::{change_pages, change_pages_down};

/// The outcome of [`stage`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    /// Whether every frame came straight from the kernel's allocator.
    pub(crate) all_fresh: bool,
}

/// Gives every Prepared page of `range` a frame without making it Ready.
///
/// # Errors
/// The number of frames that there were; every page is Prepared, as before.
pub(crate) fn stage<M, P, F>(
    tables: &mut P,
    supply: &mut Supply<'_, F>,
    range: VirtRange,
) -> Result<Staged, usize>
where
    M: PagingMode<P>,
    M::Frames: AllocateFrames<F>,
{
    let (mut count, mut all_fresh) = (0, true);
    let flow = change_pages::<M, P>(tables, range, |tables, state| {
        if state != PageState::Prepared {
            return Change::Keep;
        }
        let Some(Allocated { frame, fresh }) = supply.allocate::<M, P>(tables) else {
            return Change::Stop;
        };
        if !fresh {
            // SAFETY: the frame was allocated just now.
            unsafe { M::leaves(tables, frame) };
        }
        count += 1;
        all_fresh &= fresh;
        Change::Write(PageState::Staged(frame))
    });
    if flow.is_break() {
        // The pages were never Ready, so no CPU has translations of them: nothing to flush.
        collect::<M, P, F>(tables, supply, range, PageState::Prepared);
        return Err(count);
    }
    Ok(Staged { all_fresh })
}

/// Makes every staged page of `range` Ready.
pub(crate) fn activate<M: PagingMode<P>, P>(tables: &mut P, range: VirtRange) {
    let _ = change_pages::<M, P>(tables, range, |_, state| match state {
        PageState::Staged(frame) => Change::Write(PageState::Ready(frame)),
        _ => Change::Keep,
    });
}

/// Makes every Prepared page of `range` Ready, in frames from `first` on, one after the other.
pub(crate) fn map_adjacent<M: PagingMode<P>, P>(tables: &mut P, range: VirtRange, first: PhysAddr) {
    let mut next = first.value();
    let frame_bytes = 1 << M::GEOMETRY.granule_shift;
    let _ = change_pages::<M, P>(tables, range, |_, state| {
        let frame = PhysAddr::new(next);
        next = next.wrapping_add(frame_bytes);
        match state {
            PageState::Prepared => Change::Write(PageState::Ready(frame)),
            _ => Change::Keep,
        }
    });
}

/// Makes every Ready page of `range` staged, with its frame still in the entry. Returns how
/// many there were. A flush must follow before the frames are used again.
pub(crate) fn retire<M: PagingMode<P>, P>(tables: &mut P, range: VirtRange) -> usize {
    let mut count = 0;
    let _ = change_pages::<M, P>(tables, range, |_, state| match state {
        PageState::Ready(frame) => {
            count += 1;
            Change::Write(PageState::Staged(frame))
        }
        _ => Change::Keep,
    });
    count
}

/// Frees the frames of every staged page of `range`, and leaves each page of the heap's in the
/// state `left`, Prepared or Empty. No CPU may have a translation to those frames.
///
/// The highest page comes first: a list that is last in, first out, which is what the stock and
/// many allocators are, hands the frames out again in the order in which they were mapped.
pub(crate) fn collect<M: PagingMode<P>, P, F>(
    tables: &mut P,
    supply: &mut Supply<'_, F>,
    range: VirtRange,
    left: PageState,
) {
    let _ = change_pages_down::<M, P>(tables, range, |tables, state| match state {
        PageState::Staged(frame) => {
            // SAFETY:
            // - the frame was allocated from this supply's allocator, alone or with others;
            // - no CPU has a translation to it, since its page never was Ready or was flushed, and
            //   the entry is overwritten before anything reads it again.
            unsafe { supply.free::<M, P>(tables, frame) };
            Change::Write(left)
        }
        PageState::Prepared => Change::Write(left),
        PageState::Empty | PageState::Ready(_) | PageState::Kernel => Change::Keep,
    });
}
