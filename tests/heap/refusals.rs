//! A refused request leaves as many pages to be had as there were, whatever refused it.

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_sim::{Mode, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window};

const NONE: AllocFlags = AllocFlags::empty();

/// Frames of the machine.
const FRAMES: usize = 400;

/// Pages that a refused request may cost: a page of span records, and what tables take anew.
const FEW: usize = 4;

/// A heap whose window is far larger than its memory, with one object in it.
fn heap<G: SimGeometry>() -> (Rig<G>, Block) {
    let window = lone_window::<G>(32 * G::GEOMETRY.arena_bytes());
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let block = rig.get(8, 8);
    rig.machine.set_available_frames(FRAMES);
    (rig, block)
}

/// Single pages that can be had, all of which are freed again.
fn count_pages<G: SimGeometry>(rig: &Rig<G>) -> usize {
    let page = layout(Rig::<G>::PAGE, Rig::<G>::PAGE);
    let mut blocks = Vec::new();
    while let Ok(block) = rig.allocate(page, NONE) {
        blocks.push(block);
    }
    let count = blocks.len();
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.verify();
    count
}

/// Runs `refuse` on a heap, which has to be refused, and compares the pages that can be had
/// afterwards with those of a heap without it.
fn compare<G: SimGeometry>(refuse: impl Fn(&Rig<G>)) {
    let (fresh, _) = heap::<G>();
    let expected = count_pages(&fresh);
    assert!(expected > FRAMES / 4, "{expected} pages");
    let (rig, block) = heap::<G>();
    refuse(&rig);
    rig.check();
    rig.verify();
    let left = count_pages(&rig);
    assert!(
        left + FEW >= expected,
        "{left} of {expected} pages are left\n{}",
        rig.heap.stats()
    );
    rig.free(block);
    rig.check();
}

/// Bytes of many times the memory, with an alignment that no free page has.
fn huge<G: SimGeometry>() -> usize {
    24 * G::GEOMETRY.arena_bytes()
}

fn too_many_bytes<G: SimGeometry>() {
    compare::<G>(|rig| {
        let calls = rig.machine.calls().total();
        let error = rig.allocate(layout(huge::<G>(), 8), NONE);
        let cause = error.expect_err("there is less").cause;
        let pages = huge::<G>() / G::GEOMETRY.granule_bytes();
        match cause {
            Cause::Frames { needed, available } => {
                assert!(needed + 64 >= pages, "{cause}");
                assert!(available < needed && available <= FRAMES, "{cause}");
            }
            Cause::PageTables { needed, available } => assert!(available < needed, "{cause}"),
            cause => panic!("{cause}"),
        }
        assert!(rig.machine.calls().total() > calls);
    });
}

fn too_many_bytes_again_and_again<G: SimGeometry>() {
    compare::<G>(|rig| {
        for divisor in 1..40 {
            let error = rig.allocate(layout(huge::<G>() / divisor, 8), NONE);
            match error {
                Ok(block) => rig.free(block),
                Err(error) => assert!(!matches!(error.cause, Cause::Busy)),
            }
        }
    });
}

fn too_many_bytes_for_an_object_that_grows<G: SimGeometry>() {
    compare::<G>(|rig| {
        let page = Rig::<G>::PAGE;
        let block = rig.get(3 * page, 8);
        let grown = rig.resize(block, huge::<G>(), NONE);
        assert!(grown.is_err());
        rig.free(block);
    });
}

fn beyond_the_limit<G: SimGeometry>() {
    compare::<G>(|rig| {
        let ready = rig.heap.stats().mapped_ready;
        rig.heap.set_limit(ready + 10 * Rig::<G>::PAGE);
        let bytes = huge::<G>();
        let cause = rig
            .allocate(layout(bytes, 8), NONE)
            .expect_err("there is a limit")
            .cause;
        let Cause::Limit { bytes: asked, .. } = cause else {
            panic!("{cause}");
        };
        // A few pages of the run may be free and Ready.
        assert!(asked + 16 * Rig::<G>::PAGE >= bytes, "{cause}");
        let after = rig.heap.stats().mapped_ready;
        assert!(after <= ready + Rig::<G>::PAGE, "nothing is made before");
        rig.heap.set_limit(usize::MAX);
    });
}

fn a_reserve_of_more_than_there_is<G: SimGeometry>() {
    compare::<G>(|rig| {
        // As many as are a number of bytes.
        let goal = (1 << 20).min(usize::MAX / Rig::<G>::PAGE);
        let cause = rig.heap.set_reserve(goal).expect_err("there is less");
        match cause {
            Cause::Frames { needed, available } => {
                assert!(needed >= goal && available < needed, "{cause}");
            }
            Cause::PageTables { .. } => {}
            cause => panic!("{cause}"),
        }
        assert!(rig.heap.stats().of(Purpose::Reserve) > 0, "what can be had");
        assert_eq!(rig.heap.set_reserve(0), Ok(()));
        assert_eq!(rig.heap.stats().of(Purpose::Reserve), 0);
    });
}

/// One failing call of the machine, each in turn.
fn one_failing_call<G: SimGeometry>() {
    for nth in 1..12 {
        compare::<G>(|rig| {
            rig.machine.fail_nth(nth, Mode::Once);
            let pages = 150;
            let served = rig.allocate(layout(pages * Rig::<G>::PAGE, 8), NONE);
            rig.machine.disarm();
            if let Ok(block) = served {
                rig.free(block);
            }
        });
    }
}

archipelago_testing::on_geometries_that_decommit!(
    too_many_bytes,
    too_many_bytes_again_and_again,
    too_many_bytes_for_an_object_that_grows,
    beyond_the_limit,
    a_reserve_of_more_than_there_is,
    one_failing_call,
);

/// Requests with a description of pointers.
#[cfg(feature = "heap-bits")]
mod with_pointers {
    use super::{NONE, SimGeometry, compare, huge, layout};
    use archipelago::bits::Description;

    fn too_many_bytes<G: SimGeometry>() {
        compare::<G>(|rig| {
            let object = Description::slice_of::<Option<&'static u8>>(8);
            let served = rig
                .heap
                .allocate_scannable(layout(huge::<G>(), 8), &object, NONE);
            assert!(served.is_err());
        });
    }

    archipelago_testing::on_geometries_that_decommit!(too_many_bytes);
}
