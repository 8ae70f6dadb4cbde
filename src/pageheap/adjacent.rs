//! Runs in adjacent frames, which devices can use.

use archipelago_api::{Busy, Kernel, Machine, PhysAddr};

use super::page_heap::{Online, PageHeap};
use super::pool::Victim;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Want};
use crate::base::PageRun;
use crate::region::token::{Prepared, Ready, Refused};
use crate::region::{Cause, Purpose, Space};

/// The memory of a run whose frames are exchanged. The run is charged to objects while it has any.
enum Memory {
    /// The run has frames.
    Ready(Ready),
    /// The run has none.
    Gone(Prepared),
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Allocates a run in adjacent frames, the first of which begins at a multiple of `align`
    /// bytes, and returns the address of that frame.
    ///
    /// A run is allocated like any other, and then its frames are exchanged: growth, limit and
    /// reclaiming are those of all runs. A machine that keeps its memory has none to exchange.
    ///
    /// # Errors
    /// The step that refused. Allocated memory and its account are as before; free pages may have
    /// lost their memory, and the heap may have grown.
    /// # Locks
    /// Takes the growth gate and the page lock.
    pub(crate) fn alloc_adjacent(
        &self,
        online: &Online<M>,
        want: Want,
        align: usize,
        user: &impl Reclaim<M>,
    ) -> Result<(ReadyRun, PhysAddr), Cause> {
        let needed = want.pages << (M::GEOMETRY.page_shift - M::GEOMETRY.granule_shift);
        if !M::DECOMMITS {
            return Err(Cause::Adjacent { needed });
        }
        let scattered = self.alloc_or_grow(online, want, user)?;
        let Some(range) = scattered.run().range::<M>() else {
            self.free(scattered);
            return Err(Cause::Adjacent { needed });
        };
        let run = scattered.record();
        // SAFETY: the run, whose token was used up just now, is Ready, and nothing names or uses
        // it.
        let mut memory = Some(Memory::Ready(unsafe { Ready::assume(range) }));
        let exchanged = self.with_machine(online, user, |space, _| {
            let (left, exchanged) = memory.take().map_or((None, Err(Cause::Busy)), |memory| {
                exchange(space, memory, align)
            });
            memory = left;
            exchanged
        });
        match memory {
            Some(Memory::Ready(ready)) => self.settle(run, ready, exchanged),
            Some(Memory::Gone(prepared)) => {
                self.pool.free_scavenged(Victim { run }, prepared);
                exchanged.and(Err(Cause::Busy))
            }
            None => exchanged.and(Err(Cause::Busy)),
        }
    }

    /// Hands out a run whose frames were exchanged; frees one that has its frames still.
    fn settle(
        &self,
        run: PageRun,
        ready: Ready,
        exchanged: Result<PhysAddr, Cause>,
    ) -> Result<(ReadyRun, PhysAddr), Cause> {
        ready.record();
        // SAFETY: 1. the run is taken, Ready and charged to objects: the token of its memory was
        // used up just now;
        // 2. nothing else names it.
        let ready = unsafe { ReadyRun::assume(run) };
        match exchanged {
            Ok(first) => Ok((ready, first)),
            Err(cause) => {
                self.free(ready);
                Err(cause)
            }
        }
    }
}

/// Gives the frames of a run back and commits it with adjacent ones. Returns the memory that the
/// run has after that: with an error that of the step before.
fn exchange<M: Machine>(
    space: &Space<'_, M>,
    memory: Memory,
    align: usize,
) -> (Option<Memory>, Result<PhysAddr, Cause>) {
    let prepared = match memory {
        Memory::Gone(prepared) => prepared,
        Memory::Ready(ready) => match space.decommit(ready, Purpose::Objects) {
            Ok(prepared) => prepared,
            Err(Refused { range, why: Busy }) => {
                return (Some(Memory::Ready(range)), Err(Cause::Busy));
            }
        },
    };
    match space.commit_adjacent(prepared, align, Purpose::Objects) {
        Ok((ready, first)) => (Some(Memory::Ready(ready)), Ok(first)),
        Err(Refused { range, why }) => (Some(Memory::Gone(range)), Err(why)),
    }
}
