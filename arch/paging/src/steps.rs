//! The steps that transitions are made of, each one walk over the pages of a range. A step that can
//! fail for want of frames says so before it changes anything, or has a step that undoes it.

use archipelago_api::VirtRange;

use crate::frames::{Supply, Taken};
use crate::{Change, Leaf, Scheme, Takes};

/// What [`stage`] put behind a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    /// Whether every frame came straight from the source.
    pub(crate) all_fresh: bool,
}

/// Puts a frame behind every Prepared page of `range` without making it Ready.
///
/// # Errors
/// How many frames there were; every page is Prepared, as before.
pub(crate) fn stage<S: Scheme<P> + Takes<F>, P, F>(
    tables: &mut P,
    supply: &mut Supply<'_, F>,
    range: VirtRange,
) -> Result<Staged, usize> {
    let (mut taken, mut all_fresh) = (0, true);
    let flow = S::pages(tables, range, |tables, leaf| {
        if leaf != Leaf::Prepared {
            return Change::Keep;
        }
        let Some(Taken { frame, fresh }) = supply.take::<S, P>(tables) else {
            return Change::Stop;
        };
        taken += 1;
        all_fresh &= fresh;
        Change::Write(Leaf::Staged(frame))
    });
    if flow.is_break() {
        // Never Ready, so no CPU can have seen them: nothing to flush.
        collect::<S, P, F>(tables, supply, range, Leaf::Prepared);
        return Err(taken);
    }
    Ok(Staged { all_fresh })
}

/// Makes every staged page of `range` Ready.
pub(crate) fn activate<S: Scheme<P>, P>(tables: &mut P, range: VirtRange) {
    let _ = S::pages(tables, range, |_, leaf| match leaf {
        Leaf::Staged(frame) => Change::Write(Leaf::Ready(frame)),
        _ => Change::Keep,
    });
}

/// Makes every Ready page of `range` staged, its frame still in the entry; says whether there was
/// any. A flush must follow before the frames are used again.
pub(crate) fn retire<S: Scheme<P>, P>(tables: &mut P, range: VirtRange) -> bool {
    let mut any = false;
    let _ = S::pages(tables, range, |_, leaf| match leaf {
        Leaf::Ready(frame) => {
            any = true;
            Change::Write(Leaf::Staged(frame))
        }
        _ => Change::Keep,
    });
    any
}

/// Gives back the frames of every staged page of `range`, and leaves each page of the heap's as
/// `left` says, Prepared or Empty. No CPU may be able to translate to those frames.
pub(crate) fn collect<S: Scheme<P>, P, F>(
    tables: &mut P,
    supply: &mut Supply<'_, F>,
    range: VirtRange,
    left: Leaf,
) {
    let _ = S::pages(tables, range, |tables, leaf| match leaf {
        Leaf::Staged(frame) => {
            // SAFETY: `stage` took the frame from this supply; its entry, which no CPU translates
            // through, is written before anything else looks at it, and no CPU holds a translation
            // to it, since it never was Ready or was flushed.
            unsafe { supply.put::<S, P>(tables, frame) };
            Change::Write(left)
        }
        Leaf::Prepared => Change::Write(left),
        Leaf::Empty | Leaf::Ready(_) | Leaf::Kernel => Change::Keep,
    });
}
