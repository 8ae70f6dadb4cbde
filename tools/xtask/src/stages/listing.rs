//! The machine code of a lookup.

use crate::figures::{Figures, PEAKS_ON};
use crate::listing;
use crate::report::Stage;
use crate::toolchain::Toolchain;

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, measured: &mut Figures) {
    match listing::checked_loads(toolchain) {
        Ok(loads) => {
            println!("  lookup: ok, {loads} dependent loads");
            stage.count(1, 0);
            measured.count("lookup", "owns", PEAKS_ON, loads.into());
        }
        Err(error) => {
            println!("  lookup: FAILED: {error:#}");
            stage.count(0, 1);
        }
    }
}
