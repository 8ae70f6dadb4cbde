//! The figures of the README that the other stages have measured on the way.

use crate::figures::{Figures, Judgement};
use crate::report::Stage;
use crate::toolchain::Toolchain;

/// Compares the figures with those of the README, each of which is a test.
pub(super) fn compare(toolchain: &Toolchain, measured: &Figures) -> Stage {
    let mut stage = Stage::start("figures");
    match Judgement::of(toolchain, measured, |_| false) {
        Ok(judgement) => count(&mut stage, &judgement),
        Err(error) => {
            println!("  README.md: FAILED: {error:#}");
            stage.count(0, 1);
        }
    }
    stage.finish()
}

fn count(stage: &mut Stage, judgement: &Judgement) {
    let (right, faults) = judgement.verdict();
    for fault in &faults {
        println!("  FAILED: {fault}");
    }
    println!(
        "  {right} figures of README.md as measured, {} not",
        faults.len()
    );
    if !faults.is_empty() {
        println!("  `cargo xtask figures --write` measures all of them and writes them");
    }
    let failed = u64::try_from(faults.len()).unwrap_or(u64::MAX);
    stage.count(u64::try_from(right).unwrap_or(0), failed);
    if let Some(reservation) = judgement.reservation() {
        stage.skip("README.md", &reservation);
    }
}
