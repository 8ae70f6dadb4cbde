//! The machine with memory that can be touched: the conformance suite and a whole heap run on it.

use alloc::boxed::Box;

use archipelago_api::{VirtAddr, VirtRange};
use archipelago_x86_64::Paging;
use spin::Mutex;

use crate::following::{Board, Following, Frames, exercise, over_the_end_of_a_table, space};
use crate::physical::{Mapped, Over, Physical, Source};

impl Frames for Source {
    unsafe fn over(base: *mut u8, frames: usize) -> Self {
        // SAFETY: the caller promises the memory, aligned to a page.
        Self::over(unsafe { Physical::at(base, frames) })
    }

    fn ready(&self, page: VirtAddr) -> Option<usize> {
        let frame = self.physical.ready(page)?;
        Some(usize::try_from(frame).expect("a frame number"))
    }

    fn limit(&self, frames: Option<usize>) {
        match frames {
            Some(frames) => self.fail(frames, true),
            None => self.heal(),
        }
    }

    fn out(&self) -> usize {
        Source::out(self)
    }
}

type Pair = &'static Mutex<(Mapped, Source)>;
type Machine = Following<Paging<Mapped, Source, Pair, Board<Source>>, Source>;

fn machine(frames: usize, returning: bool) -> Machine {
    let board: Board<Source> = Board::new(frames);
    let source = board.frames.clone();
    let pair: Pair = Box::leak(Box::new(Mutex::new((
        Mapped::over(source.physical),
        source,
    ))));
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let paging = unsafe { Paging::shared(pair) };
    let paging = if returning {
        paging.returning()
    } else {
        paging
    };
    Following::new(paging.with_tlb(board.clone()), board, |act| {
        let _held = pair.lock();
        act();
    })
}

fn made(returning: bool) -> (Machine, VirtRange) {
    (
        machine(64, returning),
        over_the_end_of_a_table(2 << 20, false),
    )
}

archipelago_conformance::conformance!(returning, made(true), exhaust, contend);
archipelago_conformance::conformance!(holding, made(false), exhaust, contend);

#[test]
fn a_heap_on_it_keeps_what_is_written_and_accounts_for_every_frame() {
    for returning in [true, false] {
        exercise(machine(4096, returning), space(64 << 20, false));
    }
}
