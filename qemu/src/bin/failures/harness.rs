//! Failures that the harness has to notice: a test that fails, one that is left out, one that never
//! ends.

use archipelago_qemu::{Boot, Verdict, exit, protocol};

use crate::{Case, Run};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "assertion",
        shows: "a failing assertion is reported",
        run: Run::WithoutHeap(more_frames_than_there_are),
    },
    Case {
        name: "hang",
        shows: "a hang is noticed",
        run: Run::WithoutHeap(hang),
    },
    Case {
        name: "short_plan",
        shows: "a skipped test is noticed",
        run: Run::Protocol(short_plan),
    },
];

fn more_frames_than_there_are(boot: &mut Boot) {
    assert_eq!(boot.frames.free_frames(), boot.frames.managed_frames() + 1);
}

fn hang(_: &mut Boot) {
    loop {
        core::hint::spin_loop();
    }
}

/// Says that the kernel passed after one of the two tests that it announced.
fn short_plan() -> ! {
    protocol::plan(2);
    protocol::test(1, "a skipped test is noticed", || ());
    exit(Verdict::Pass);
}
