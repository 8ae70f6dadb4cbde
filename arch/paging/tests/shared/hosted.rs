//! The conformance suite and a whole heap, on a machine with memory that can be touched. The tests
//! of every machine with page tables share these.

use alloc::boxed::Box;

use archipelago_api::VirtRange;
use archipelago_paging::Paging;
use archipelago_paging_testing::{
    Board, Following, exercise, giving_back, over_the_end_of_a_table, space,
};
use spin::Mutex;

use super::{LOW, Mode, Physical, Source, TABLE_BYTES, Tables, over, pair_of};

type Pair = &'static Mutex<(Tables, Source)>;
type Machine = Following<Paging<Mode, Tables, Source, Pair, Board<Physical>>, Physical>;

fn machine(frames: usize, returning: bool) -> Machine {
    let board = Board::new(frames, over);
    let pair: Pair = Box::leak(Box::new(Mutex::new(pair_of(board.source))));
    // SAFETY:
    // - the locks always hold these tables and this source;
    // - the host follows these tables;
    // - every frame lies in the memory of the board, which is not at address 0;
    // - the host needs no setting up;
    // - the tests change no entries of reserved ranges.
    let paging = unsafe { Paging::<Mode, Tables, Source, Pair, _>::shared(pair) };
    let paging = giving_back(paging, returning).with_tlb(board);
    Following::new(paging, board, |act| {
        let _held = pair.lock();
        act();
    })
}

fn made(returning: bool) -> (Machine, VirtRange) {
    (
        machine(64, returning),
        over_the_end_of_a_table(TABLE_BYTES, LOW),
    )
}

archipelago_conformance::conformance!(returning, made(true), exhaust, contend);
archipelago_conformance::conformance!(holding, made(false), exhaust, contend);

#[test]
fn a_heap_on_it_keeps_what_is_written_and_accounts_for_every_frame() {
    for returning in [true, false] {
        exercise(machine(4096, returning), space(64 << 20, LOW));
    }
}
