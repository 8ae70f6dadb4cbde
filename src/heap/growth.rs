//! Growth: more pages out of the windows.
//!
//! A step takes a piece of unused address space, whole chunks where the window allows it, and makes
//! a request's run in it Ready, in this order: metadata for the piece, empty and invisible; page
//! tables; frames for the run alone; then, in one section under the page lock that cannot fail, the
//! pages are published with the run taken. Nobody sees a piece whose memory was refused, so undoing
//! a step is giving back what nobody saw.
//!
//! Pieces come from the lowest unused address space that fits, so what one step leaves over is
//! where the next begins: there is no cursor that could forget it.

use archipelago_api::{Contents, Kernel, Machine, Offset, VirtRange};

use super::bits::bits_share;
use super::plan::Plan;
use super::runs::{ReadyRun, Want};
use super::{Heap, PageSide, certain};
use crate::base::{PageIdx, PageRun};
use crate::region::metadata::Metadata;
use crate::region::ranges::Ranges;
use crate::region::{Cause, Purpose, Source, Space};
use crate::span::{Scan, reach};

/// The share of the room that growth leaves to metadata: one in this many pages. Records, page maps
/// and bitmaps come to less than a twentieth of a heap of the smallest objects, and to a thousandth
/// of one of large ones. The heap bitmap comes on top, once there is one: see [`Growth::scan`].
const METADATA_SHARE: usize = 20;
/// The same where a step takes no more than its request, so that metadata and pages meet wherever
/// they have come to: it is for requests that would leave nothing at all.
const SMALL_METADATA_SHARE: usize = 40;

/// What only the holder of the growth gate touches.
#[derive(Debug)]
pub(crate) struct Growth {
    pub(super) metadata: Metadata,
    /// Address space of the windows that is Reserved, neither handed out nor in the metadata's
    /// room.
    pub(super) unused: Ranges,
    /// All windows.
    pub(super) windows: Ranges,
    /// Where heap pages that come from the metadata's room must end.
    pub(super) border: PageIdx,
    /// Whether windows keep a share for metadata, because no window is set aside for it.
    pub(super) keeps_share: bool,
    /// Where span handles count from: metadata stays within their reach.
    pub(super) anchor: Offset,
    /// A range that could not be undone because the machine was busy.
    pub(super) unsettled: Option<VirtRange>,
    /// Whether there has been any bitmap for objects that may hold pointers. From the first on, growth leaves room
    /// for the heap bitmap in front of every page, since any of them may be in a scannable span one
    /// day; before, it costs nothing.
    pub(super) scan: Scan,
}

impl Growth {
    /// Nothing given yet. Metadata extents will have `extent_bytes` bytes.
    pub(super) const fn new(extent_bytes: usize) -> Self {
        Self {
            metadata: Metadata::new(extent_bytes),
            unused: Ranges::new(),
            windows: Ranges::new(),
            border: PageIdx(0),
            keeps_share: false,
            anchor: Offset::new(0),
            unsettled: None,
            scan: Scan::NO,
        }
    }

    /// Unused address space that heap pages may come from, in no particular order.
    fn candidates(&self) -> impl Iterator<Item = PageRun> + '_ {
        let room = self.metadata.room();
        let end = if room.end() < self.border {
            room.end()
        } else {
            self.border
        };
        let front = PageRun::between(room.first, end);
        self.unused
            .iter()
            .chain(core::iter::once(front))
            .filter(|piece| !piece.is_empty())
    }

    /// Pages that a heap which owns `owned` may still take, so that the share of all windows stays
    /// for metadata.
    fn allowance<M: Machine>(&self, owned: usize) -> usize {
        let total = self.windows.total_pages();
        let kept = if self.keeps_share {
            share::<M>(total, self.scan)
        } else {
            0
        };
        total.saturating_sub(owned).saturating_sub(kept)
    }

    /// Whether `page`, which is not owned, may hold metadata.
    pub(super) fn is_metadata(&self, page: PageIdx) -> bool {
        let is_unused = self.unused.contains(page) || self.metadata.room().contains(page);
        self.windows.contains(page) && !is_unused
    }

    /// Takes `piece` off the unused address space, for which [`ensure_ranges`](Self::ensure_ranges)
    /// made room.
    fn hand_out<K: Kernel>(&mut self, piece: PageRun) {
        let room = self.metadata.room();
        if !room.contains(piece.first) {
            return certain::<K, _, _>(self.unused.remove(piece), "a piece is unused");
        }
        let below = PageRun::between(room.first, piece.first);
        if !below.is_empty() {
            certain::<K, _, _>(
                self.unused.add(below),
                "unused address space is not unused twice",
            );
        }
        self.metadata
            .set_room(PageRun::between(piece.end(), room.end()));
    }

    /// Makes room for one more range of each kind.
    pub(super) fn ensure_ranges<M: Machine>(&mut self, space: &Space<'_, M>) -> Result<(), Cause> {
        ensure_room(&mut self.unused, &mut self.metadata, space)?;
        ensure_room(&mut self.windows, &mut self.metadata, space)
    }

    /// Runs `work`, which takes metadata memory, again as long as another piece of address space
    /// can be found for what its room does not hold.
    ///
    /// # Errors
    /// What `work` answers.
    pub(super) fn with_metadata<M: Machine, K: Kernel>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        loop {
            match work(self) {
                Err(Cause::MetadataWindow { .. }) if self.extend_room::<M, K>() => {}
                answer => return answer,
            }
        }
    }

    /// Lets metadata go on in the largest piece of unused address space that span handles reach
    /// when its room is exhausted. A piece that is no larger than what is left of the room would
    /// not help, and the two would take each other's place for ever.
    fn extend_room<M: Machine, K: Kernel>(&mut self) -> bool {
        let reach = reach::<M>(self.anchor);
        let rest = self.metadata.room();
        let (mut largest, mut is_whole) = (rest, false);
        for piece in self.unused.iter() {
            let part = PageRun::between(piece.first.max(reach.first), piece.end().min(reach.end()));
            if part.count > rest.count && part.count >= largest.count {
                (largest, is_whole) = (part, part == piece);
            }
        }
        // The rest of the room takes the slot of the piece that takes its place, if all of that
        // goes.
        let has_slot = is_whole || self.unused.needs_room().is_none();
        if largest.count == rest.count || !has_slot {
            return false;
        }
        certain::<K, _, _>(self.unused.remove(largest), "the largest piece is unused");
        if !rest.is_empty() {
            certain::<K, _, _>(self.unused.add(rest), "the room is not unused twice");
        }
        self.metadata.set_room(largest);
        self.border = PageIdx(largest.end().0 - share::<M>(largest.count, self.scan));
        true
    }
}

/// How far heap pages may come up to the metadata at the far end of its first room, before there is
/// a heap bitmap.
pub(super) fn border<M: Machine>(room: PageRun, for_metadata: bool) -> PageIdx {
    if for_metadata {
        return room.first;
    }
    PageIdx(room.end().0 - share::<M>(room.count, Scan::NO))
}

/// How many of `pages` pages growth leaves to metadata, and to the heap bitmap if there is to be
/// one.
fn share<M: Machine>(pages: usize, scan: Scan) -> usize {
    let share = if M::DECOMMITS {
        METADATA_SHARE
    } else {
        SMALL_METADATA_SHARE
    };
    let kept = (pages / share).max(1);
    kept + bits_share::<M>(pages.saturating_sub(kept), scan)
}

/// Doubles the array of `ranges` if the next range could find it full.
pub(super) fn ensure_room<M: Machine>(
    ranges: &mut Ranges,
    metadata: &mut Metadata,
    space: &Space<'_, M>,
) -> Result<(), Cause> {
    if let Some(capacity) = ranges.needs_room() {
        let memory = metadata.source(space).take(Purpose::Ranges, capacity, 0)?;
        if let Some(old) = ranges.adopt(memory) {
            metadata.outgrown(old, Purpose::Ranges, space);
        }
    }
    Ok(())
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Grows the heap by a piece that holds `want`, and makes the run Ready.
    ///
    /// # Errors
    /// Objects, free pages, ranges, index and `prepared` are as before. Metadata that was made for
    /// the piece stays: linked, empty and charged.
    pub(super) fn grow(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        want: Want,
    ) -> Result<ReadyRun, Cause> {
        let mut plan = self.plan(growth, want)?;
        let grown = self.grow_as_planned(space, growth, want, &mut plan);
        match grown {
            Ok(ready) => self.claim_furnished(want.scan, ready.run),
            Err(_) => self.give_bits_back(space, want.scan, plan.run),
        }
        grown
    }

    /// Grows by `plan`, or by another one that it is changed to where something was taken since it
    /// was made.
    #[inline]
    fn grow_as_planned(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        want: Want,
        plan: &mut Plan,
    ) -> Result<ReadyRun, Cause> {
        loop {
            growth.with_metadata::<M, K>(|growth| {
                self.furnish_metadata(space, growth, plan.piece)?;
                self.furnish_bits(space, growth, want.scan, plan.run)
            })?;
            // Metadata comes out of the same address space, and pages below may have been taken or
            // freed since: then the run begins elsewhere, behind another part of the bitmap.
            let mut page = self.page.lock();
            let again = self.plan_under_lock(&page, growth, want)?;
            if again.piece == plan.piece && self.has_bits(want.scan, again.run) {
                *plan = again;
                if !plan.tail().is_empty() {
                    let taken = self.pages.take(&mut page.pages, plan.tail());
                    certain::<K, _, _>(taken.ok_or(()), "pages counted as free are free");
                }
                break;
            }
            drop(page);
            self.give_bits_back(space, want.scan, plan.run);
            *plan = again;
        }
        self.realise(space, growth, *plan)
    }

    /// Finds the lowest unused address space in which `want` fits, together with free pages
    /// directly below.
    fn plan(&self, growth: &Growth, want: Want) -> Result<Plan, Cause> {
        let page = self.page.lock();
        self.plan_under_lock(&page, growth, want)
    }

    fn plan_under_lock(&self, page: &PageSide, growth: &Growth, want: Want) -> Result<Plan, Cause> {
        let mut best: Option<Plan> = None;
        let mut largest = 0;
        let allowance = growth.allowance::<M>(page.pages.owned().total_pages());
        for candidate in growth.candidates() {
            let below = self
                .pages
                .free_below(&page.pages, candidate.first, want.pages);
            largest = largest.max(candidate.count.min(allowance) + below);
            let Some(plan) = Plan::within::<M>(candidate, below, want, allowance) else {
                continue;
            };
            if best.is_none_or(|best| plan.piece.first < best.piece.first) {
                best = Some(plan);
            }
        }
        let shift = M::GEOMETRY.page_shift;
        best.ok_or(Cause::Window {
            bytes: want.pages << shift,
            largest: largest << shift,
        })
    }

    /// All the metadata that publishing `piece` needs.
    fn furnish_metadata(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        piece: PageRun,
    ) -> Result<(), Cause> {
        growth.ensure_ranges(space)?;
        let mut source = growth.metadata.source(space);
        self.index.ensure(piece, &mut source)?;
        self.pages.ensure(piece, &mut source)?;
        // Only the gate's holder adds ranges, so that what is needed cannot change until they are
        // added.
        let needed = self.page.lock().pages.owned().needs_room();
        if let Some(capacity) = needed {
            let memory = source.take(Purpose::Ranges, capacity, 0)?;
            let old = self.page.lock().pages.owned_mut().adopt(memory);
            if let Some(old) = old {
                growth.metadata.outgrown(old, Purpose::Ranges, space);
            }
        }
        Ok(())
    }

    /// Prepares the piece, commits the run, of which the free pages below are taken, and publishes.
    fn realise(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        plan: Plan,
    ) -> Result<ReadyRun, Cause> {
        let tail = plan.tail();
        let ready = self.back(space, plan);
        let mut page = self.page.lock();
        match ready {
            Ok(zeroed) => {
                growth.hand_out::<K>(plan.piece);
                let grown = self.pages.grow(&mut page.pages, plan.piece);
                certain::<K, _, _>(grown, "a piece is ensured and not owned");
                let taken = self.pages.take(&mut page.pages, plan.head());
                certain::<K, _, _>(taken.ok_or(()), "pages that were just published are free");
                let made = self.pages.made_ready(&mut page.pages, plan.run);
                certain::<K, _, _>(made, "a run in transit is taken");
                Ok(ReadyRun {
                    run: plan.run,
                    zeroed,
                })
            }
            Err(cause) => {
                if !tail.is_empty() {
                    let freed = self.pages.free(&mut page.pages, tail);
                    certain::<K, _, _>(freed, "a run in transit is taken");
                }
                Err(cause)
            }
        }
    }

    /// Makes the whole run Ready and prepares the piece, or leaves both as they were. The new part
    /// of the run comes last, so that nothing has to undo it.
    fn back(&self, space: &Space<'_, M>, plan: Plan) -> Result<bool, Cause> {
        let (Some(piece), Some(head)) = (plan.piece.range::<M>(), plan.head().range::<M>()) else {
            return Err(Cause::TooLarge {
                bytes: plan.run.bytes::<M>(),
            });
        };
        let tail = plan.tail();
        let zeroed = self.commit_scavenged(space, tail)?;
        let prepared = space.prepare(piece);
        let committed = prepared.and_then(|()| {
            space
                .commit(head, Purpose::Objects)
                .inspect_err(|_| space.unprepare(piece))
        });
        match committed {
            Ok(contents) => Ok((zeroed || tail.is_empty()) && contents == Contents::Zeroed),
            Err(cause) => {
                self.uncommit_scavenged(space, tail);
                Err(cause)
            }
        }
    }
}
