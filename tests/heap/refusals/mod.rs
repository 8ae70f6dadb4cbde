//! A refused request leaves as many pages to be had as there were, whatever refused it.

mod figures;
mod runs_and_windows;

use core::cell::Cell;

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_api::Kernel;
use archipelago_sim::{Hosted, Mode, Sim, SimGeometry};
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

/// Does `work` while the machine has `frames` frames of those that are left.
fn with_frames<G: SimGeometry, R>(rig: &Rig<G>, frames: usize, work: impl FnOnce() -> R) -> R {
    let kept = rig.machine.available_frames() - frames;
    rig.machine.set_available_frames(frames);
    let result = work();
    let left = rig.machine.available_frames();
    rig.machine.set_available_frames(left + kept);
    result
}

/// Bytes of many times the memory, with an alignment that no free page has.
fn huge<G: SimGeometry>() -> usize {
    24 * G::GEOMETRY.arena_bytes()
}

/// Checks that `cause` is a want of frames, and has the figures of a request for `bytes` bytes, a
/// few pages of which may be there.
fn assert_short_of_frames<G: SimGeometry>(cause: Cause, bytes: usize) {
    let frames = bytes / G::GEOMETRY.granule_bytes();
    match cause {
        Cause::Frames { needed, available } => {
            assert!((frames - 64..frames + 64).contains(&needed), "{cause}");
            assert!(available < needed && available <= FRAMES, "{cause}");
        }
        Cause::PageTables { needed, available } => assert!(available < needed, "{cause}"),
        cause => panic!("{cause}"),
    }
}

fn too_many_bytes<G: SimGeometry>() {
    compare::<G>(|rig| {
        let calls = rig.machine.calls().total();
        let error = rig.allocate(layout(huge::<G>(), 8), NONE);
        let cause = error.expect_err("there is less").cause;
        assert_short_of_frames::<G>(cause, huge::<G>());
        assert!(rig.machine.calls().total() > calls);
    });
}

/// Page tables for a whole piece, made with interrupts masked, have no frames.
fn too_many_page_tables<G: SimGeometry>() {
    let Some(&shift) = G::TABLE_SHIFTS.first() else {
        return;
    };
    compare::<G>(|rig| {
        const TABLES: usize = 3;
        let wanted = layout(TABLES << shift, 1 << shift);
        let refuse = |frames| {
            let interrupts = Hosted::disable_interrupts();
            let error = with_frames(rig, frames, || rig.allocate(wanted, NONE));
            // SAFETY: the state is of the last call, which masked interrupts on this CPU.
            unsafe { Hosted::restore_interrupts(interrupts) };
            error.expect_err("there are too few frames").cause
        };
        let mut cause = refuse(0);
        if cfg!(target_pointer_width = "32") && matches!(cause, Cause::Frames { .. }) {
            // On such a host a page of metadata can be what is missing first.
            let (needed, available) = (1, 0);
            assert_eq!(cause, Cause::Frames { needed, available });
            cause = refuse(1);
        }
        let Cause::PageTables { needed, available } = cause else {
            panic!("{cause}");
        };
        // A table above may be missing, too, and the last table may be there.
        assert!((TABLES..=TABLES + 2).contains(&needed), "{cause}");
        assert_eq!(available, 0, "{cause}");
    });
}

/// There are frames for the run, and none for the metadata of the arena that it begins.
fn no_frames_for_metadata<G: SimGeometry>() {
    let refused = Cell::new(0);
    for left in 0..10 {
        compare::<G>(|rig| {
            let granules = Rig::<G>::PAGE / G::GEOMETRY.granule_bytes();
            let pages = 300 / granules;
            let wanted = layout(pages * Rig::<G>::PAGE, 2 * G::GEOMETRY.arena_bytes());
            match with_frames(rig, 300 + left, || rig.allocate(wanted, NONE)) {
                Ok(block) => rig.free(block),
                Err(error) => {
                    let cause = error.cause;
                    assert_short_of_frames::<G>(cause, pages * Rig::<G>::PAGE);
                    let is_metadata =
                        matches!(cause, Cause::Frames { needed, .. } if needed > pages * granules);
                    refused.set(refused.get() + usize::from(is_metadata));
                }
            }
        });
    }
    // Of pages of several granules, those that the heap has may hold the tables of another arena.
    if G::GEOMETRY.page_bytes() == G::GEOMETRY.granule_bytes() {
        assert!(refused.get() > 0, "no request was refused for its metadata");
    }
}

fn too_long_for_the_window<G: SimGeometry>() {
    compare::<G>(|rig| {
        let bytes = 40 * G::GEOMETRY.arena_bytes();
        let wanted = layout(bytes, 2 * Rig::<G>::PAGE);
        let cause = rig.allocate(wanted, NONE).expect_err("it ends").cause;
        let Cause::Window {
            bytes: asked,
            align,
            largest,
        } = cause
        else {
            panic!("{cause}");
        };
        assert_eq!((asked, align), (bytes, wanted.align()));
        assert!(largest < 32 * G::GEOMETRY.arena_bytes(), "{cause}");
        assert!(largest >= 24 * G::GEOMETRY.arena_bytes(), "{cause}");
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
        let cause = grown.expect_err("there is less").cause;
        assert_short_of_frames::<G>(cause, huge::<G>());

        rig.heap.set_limit(rig.heap.stats().mapped_ready);
        let grown = rig.resize(block, huge::<G>(), NONE);
        rig.heap.set_limit(usize::MAX);
        let cause = grown.expect_err("there is a limit").cause;
        let Cause::Limit { bytes, .. } = cause else {
            panic!("{cause}");
        };
        assert!(bytes + 16 * page >= huge::<G>(), "{cause}");
        assert!(bytes <= huge::<G>(), "{cause}");
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

/// One failing call of the machine, each in turn, and all from then on.
fn one_failing_call<G: SimGeometry>() {
    let refused = Cell::new(0);
    for (nth, mode) in (1..12).flat_map(|nth| [(nth, Mode::Once), (nth, Mode::FromThenOn)]) {
        compare::<G>(|rig| {
            rig.machine.fail_nth(nth, mode);
            let pages = 150;
            let served = rig.allocate(layout(pages * Rig::<G>::PAGE, 8), NONE);
            rig.machine.disarm();
            let injected = rig.machine.injected();
            match served {
                Ok(block) => {
                    assert!(mode == Mode::Once || injected == 0, "call {nth}");
                    rig.free(block);
                }
                Err(error) => {
                    assert!(injected > 0, "{error}");
                    refused.set(refused.get() + 1);
                }
            }
        });
    }
    // The run is prepared and committed in two steps.
    assert!(refused.get() >= 4, "{} calls failed", refused.get());
}

archipelago_testing::on_geometries_that_decommit!(
    too_many_bytes,
    too_many_bytes_again_and_again,
    too_many_bytes_for_an_object_that_grows,
    too_many_page_tables,
    no_frames_for_metadata,
    too_long_for_the_window,
    beyond_the_limit,
    a_reserve_of_more_than_there_is,
    one_failing_call,
);

/// Requests with a description of pointers.
#[cfg(feature = "heap-bits")]
mod with_pointers {
    use super::{NONE, Rig, SimGeometry, compare, huge, layout};
    use archipelago::Cause;
    use archipelago::bits::Description;
    use archipelago_api::Machine;
    use archipelago_sim::Sim;

    /// The bytes of the object and of the pages of bitmap that cover it, at least.
    fn with_parts<G: SimGeometry>() -> usize {
        let pages = huge::<G>() / Rig::<G>::PAGE;
        (pages + pages.div_ceil(4 * Sim::<G>::WORD_BYTES)) * Rig::<G>::PAGE
    }

    fn too_many_bytes<G: SimGeometry>() {
        compare::<G>(|rig| {
            let object = Description::slice_of::<Option<&'static u8>>(8);
            let served = rig
                .heap
                .allocate_scannable(layout(huge::<G>(), 8), &object, NONE);
            let cause = served.expect_err("there is less").cause;
            let Cause::Frames { needed, available } = cause else {
                panic!("{cause}");
            };
            let least = with_parts::<G>() / G::GEOMETRY.granule_bytes();
            assert!((least..least + 3).contains(&needed), "{cause}");
            assert!(available < needed, "{cause}");
        });
    }

    fn beyond_the_limit<G: SimGeometry>() {
        compare::<G>(|rig| {
            let mapped_ready = rig.heap.stats().mapped_ready;
            let limit = mapped_ready + 10 * Rig::<G>::PAGE;
            rig.heap.set_limit(limit);
            let object = Description::slice_of::<Option<&'static u8>>(8);
            let served = rig
                .heap
                .allocate_scannable(layout(huge::<G>(), 8), &object, NONE);
            rig.heap.set_limit(usize::MAX);
            let cause = served.expect_err("there is a limit").cause;
            let Cause::Limit {
                bytes,
                limit: found,
                ..
            } = cause
            else {
                panic!("{cause}");
            };
            assert_eq!(found, limit);
            let most = with_parts::<G>() + 3 * Rig::<G>::PAGE;
            assert!((with_parts::<G>()..most).contains(&bytes), "{cause}");
        });
    }

    archipelago_testing::on_geometries_that_decommit!(too_many_bytes, beyond_the_limit);
}
