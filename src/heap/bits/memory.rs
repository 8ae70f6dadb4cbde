//! Memory for the heap bitmap: Ready where scannable spans are, and given back where none is.
//!
//! A run that scannable objects will lie in gets the bitmap in front of it before anybody sees the
//! run: it is furnished inside the growth gate, and claimed there once the run itself is Ready. So a
//! refusal on the way leaves neither behind. See `arena/bitmap.rs` for the protocol.

use core::ptr::NonNull;

use archipelago_api::{Busy, Kernel, Machine};

use super::super::growth::Growth;
use super::super::runs::ReadyRun;
use super::super::{Heap, Opened, certain};
use crate::arena::{ArenaIndex, SpanHandle};
use crate::base::{PageIdx, PageRun};
use crate::bits::UNIT_WORDS;
use crate::region::{Cause, Purpose, Space};
use crate::span::{BitsPlace, Central, Scan, SizeClass, SpanClass};

/// Pages behind the bitmap that is searched with the lock held.
const LOOKED_AT: usize = 512;

/// How many of `pages` pages the bitmap in front of all the others takes, if there is to be one.
pub(in super::super) const fn bits_share<M: Machine>(pages: usize, scan: Scan) -> usize {
    if scan.is_yes() {
        pages.div_ceil(ArenaIndex::<M>::PART_PAGES + 1)
    } else {
        0
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Makes the bitmap in front of `run` Ready, and idle, for objects that may hold pointers.
    ///
    /// # Errors
    /// What was made stays idle: see [`give_bits_back`](Self::give_bits_back).
    pub(in super::super) fn furnish_bits(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        scan: Scan,
        run: PageRun,
    ) -> Result<(), Cause> {
        if !scan.is_yes() {
            return Ok(());
        }
        let mut source = growth.metadata.source(space);
        for piece in ArenaIndex::<M>::pieces(run) {
            let made = self.index.furnish_bits(piece, &mut source)?;
            if made > 0 {
                growth.scan = scan;
                self.central.lock().bits.idle_bytes += made;
            }
        }
        Ok(())
    }

    /// Whether the bitmap in front of `run` is Ready, or none is needed. As long as the caller holds
    /// the growth gate it stays so; without the gate, until somebody scavenges.
    pub(in super::super) fn has_bits(&self, scan: Scan, run: PageRun) -> bool {
        !scan.is_yes() || self.index.has_bits(run)
    }

    /// Claims the bitmap in front of `run`; `false`, and nothing is changed, if not all of it is
    /// Ready.
    fn claim_bits(&self, run: PageRun) -> bool {
        let mut central = self.central.lock();
        let Some(bytes) = self.index.claim_bits(run) else {
            return false;
        };
        central.bits.idle_bytes -= bytes;
        self.ledger
            .transfer(Purpose::UnusedMetadata, Purpose::HeapBits, bytes);
        true
    }

    /// Claims the bitmap in front of `run`, which was furnished since the caller entered the gate.
    pub(in super::super) fn claim_furnished(&self, scan: Scan, run: PageRun) {
        if scan.is_yes() {
            let claimed = self.claim_bits(run).then_some(()).ok_or(());
            certain::<K, _, _>(claimed, "bitmap that was furnished is ready");
        }
    }

    /// Notes in the record of a new span of `class` where the bits in front of it are, which are
    /// claimed. The caller holds the central lock.
    pub(in super::super) fn place_bits(
        &self,
        opened: &Opened<M>,
        class: SpanClass,
        handle: SpanHandle,
    ) {
        if class.scan().is_yes() {
            let record = opened.records().get(handle).record;
            let (distance, near) =
                self.find_bits(opened, handle, record.first(), class.size_class());
            record.set_bits(distance, near);
        }
    }

    /// What the record that `handle` names has to say of the bits in front of a span of `class` at
    /// `first`: how far away they are, and of how many slots.
    pub(super) fn find_bits(
        &self,
        opened: &Opened<M>,
        handle: SpanHandle,
        first: PageIdx,
        class: SizeClass,
    ) -> (i32, u32) {
        let units = self.index.bits_of(first);
        let bytes = units.len() * UNIT_WORDS * M::WORD_BYTES;
        let near = (bytes / Self::TABLE.size(class)).min(Self::TABLE.slots(class));
        let distance = units.first().and_then(|unit| {
            let unit = opened.machine.address(NonNull::from(unit).cast())?;
            BitsPlace::distance(opened.records().address(handle), unit)
        });
        match (distance, u32::try_from(near)) {
            (Some(distance), Ok(near)) => (distance, near),
            _ => (0, 0),
        }
    }

    /// Gives up the claim on the bitmap in front of `run`, if there was one: the span in it is no
    /// more.
    pub(in super::super) fn release_bits(&self, central: &mut Central, run: PageRun) {
        let bytes = self.index.release_bits(run);
        central.bits.idle_bytes += bytes;
        self.ledger
            .transfer(Purpose::HeapBits, Purpose::UnusedMetadata, bytes);
    }

    /// Undoes [`furnish_bits`](Self::furnish_bits): takes back what is idle in front of `run`, as
    /// far as the machine is not busy.
    pub(in super::super) fn give_bits_back(&self, space: &Space<'_, M>, scan: Scan, run: PageRun) {
        if scan.is_yes() && M::DECOMMITS {
            // Where the machine is busy, idle parts stay for the next request, or to be scavenged.
            let _ = self.take_bits_back(space, run, usize::MAX);
        }
    }

    /// Takes back up to `most` idle parts in front of `run`, and answers how many.
    ///
    /// # Errors
    /// The machine is busy, before anything was taken back.
    fn take_bits_back(
        &self,
        space: &Space<'_, M>,
        run: PageRun,
        most: usize,
    ) -> Result<usize, Busy> {
        let (mut rest, mut done) = (run, 0);
        while done < most && !rest.is_empty() {
            let few = PageRun::new(rest.first, rest.count.min(LOOKED_AT));
            let mut central = self.central.lock();
            if central.bits.idle_bytes == 0 || central.bits.readers > 0 {
                break;
            }
            let Some(part) = self.index.take_idle_part(few, space.machine()) else {
                rest = PageRun::between(few.end(), run.end());
                continue;
            };
            central.bits.idle_bytes -= part.range.bytes();
            drop(central);
            if let Err(busy) = space.withdraw(part.range, Purpose::UnusedMetadata) {
                let mut central = self.central.lock();
                self.index.give_part_again(&part);
                central.bits.idle_bytes += part.range.bytes();
                return if done > 0 { Ok(done) } else { Err(busy) };
            }
            rest = PageRun::between(part.piece.end(), run.end());
            done += 1;
        }
        Ok(done)
    }

    /// Runs `make`, which makes `run` Ready, with the bitmap in front of it: both or neither.
    ///
    /// # Errors
    /// What `make` answers, or why there is no bitmap.
    pub(in super::super) fn with_bits<R>(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        scan: Scan,
        run: PageRun,
        make: impl FnOnce() -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        growth
            .with_metadata::<M, K>(|growth| self.furnish_bits(space, growth, scan, run))
            .and_then(|()| make())
            .inspect(|_| self.claim_furnished(scan, run))
            .inspect_err(|_| self.give_bits_back(space, scan, run))
    }

    /// A run that was found Ready and is charged to objects, with the bitmap in front of it.
    ///
    /// # Errors
    /// Why there is no bitmap; the run is free again.
    pub(in super::super) fn add_bits(
        &self,
        space: &Space<'_, M>,
        growth: &mut Growth,
        scan: Scan,
        run: PageRun,
    ) -> Result<ReadyRun, Cause> {
        self.with_bits(space, growth, scan, run, || Ok(ReadyRun::used(run)))
            .inspect_err(|_| self.free_run(run))
    }

    /// [`add_bits`](Self::add_bits) outside of the gate, which is entered only if it must be.
    ///
    /// # Errors
    /// Why there is no bitmap; the run is free again.
    pub(in super::super) fn obtain_bits(
        &self,
        opened: &Opened<M>,
        scan: Scan,
        run: PageRun,
    ) -> Result<ReadyRun, Cause> {
        let ready = ReadyRun::used(run);
        if !scan.is_yes() || self.claim_bits(run) {
            return Ok(ready);
        }
        self.with_machine(opened, |space, growth| {
            self.with_bits(space, growth, scan, run, || Ok(ready))
        })
        .inspect_err(|_| self.free_run(run))
    }

    /// Claims the bitmap in front of a run that was found Ready, without calling the machine.
    ///
    /// # Errors
    /// Not all of it is Ready; the run is free again.
    pub(in super::super) fn keep_if_claimed(
        &self,
        scan: Scan,
        ready: ReadyRun,
    ) -> Result<ReadyRun, Cause> {
        if !scan.is_yes() || self.claim_bits(ready.run) {
            return Ok(ready);
        }
        self.free_run(ready.run);
        let bytes = ArenaIndex::<M>::PART_BYTES;
        Err(Cause::NotReady { bytes })
    }

    /// Bytes of bitmap that are Ready and that nobody needs.
    pub(in super::super) fn idle_bits(&self) -> usize {
        self.central.lock().bits.idle_bytes
    }

    /// Takes back up to `pages` pages of bitmap that nobody needs, and answers how many: in front of
    /// all pages of the windows, since growth that was refused while the machine was busy leaves
    /// idle parts in front of pages that the heap does not own.
    ///
    /// # Errors
    /// [`Cause::Busy`], before anything was taken back.
    pub(in super::super) fn scavenge_bits(
        &self,
        space: &Space<'_, M>,
        growth: &Growth,
        pages: usize,
    ) -> Result<usize, Cause> {
        let mut done = 0;
        for window in growth.windows.iter() {
            let arenas = ArenaIndex::<M>::arenas_of(window);
            for arena in arenas.filter(|arena| self.index.has_parts(*arena)) {
                if done == pages || self.idle_bits() == 0 {
                    return Ok(done);
                }
                let all = ArenaIndex::<M>::pages_of(arena);
                match self.take_bits_back(space, all, pages - done) {
                    Ok(count) => done += count,
                    Err(Busy) if done == 0 => return Err(Cause::Busy),
                    Err(Busy) => return Ok(done),
                }
            }
        }
        Ok(done)
    }
}
