//! A part of the host's tests as a program with words of 32 bits, and interpreted by Miri on such a
//! target and on those of the other byte order, the bitmap's on one with words of 32 bits. `cargo xtask i686` and `cargo xtask miri --target` run
//! more.

use super::host;
use crate::deep::{self, BIG_ENDIAN, BIG_ENDIAN_32, BITMAP, HOSTED_32, INTERPRETED_32};
use crate::kernels::Bitmap;
use crate::report::Stage;
use crate::setup::Install;
use crate::toolchain::Toolchain;

/// The programs that depend most on the width of a word.
const ON_32_BITS: &[&str] = &["--lib", "--test", "heap", "--test", "global_alloc"];

/// What Miri gets through in a minute, of heaps without a bitmap and with one: every layer, a few
/// requests of each kind.
const INTERPRETED: &[(&str, Bitmap, &[&str])] = &[
    (
        BIG_ENDIAN,
        Bitmap::None,
        &[
            "small::no_grow_is_served",
            "plain31::sizes_of_one_class",
            "small::contents_survive",
        ],
    ),
    (INTERPRETED_32, Bitmap::None, &["small::no_grow_is_served"]),
    (BIG_ENDIAN_32, Bitmap::Sparse, SCANNABLE),
];

/// Of the bitmap's tests those that compare with what is known otherwise, each way once.
const SCANNABLE: &[&str] = &[
    "bits::tests::contention",
    "bits::tests::cursor::a_step_up_to_the_boundary",
    "bits::tests::faults::without_a_fault",
    "bits::tests::write::what_was_described_is_what_the_cursor",
    "objects::small::interior_addresses",
];

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, install: Install) {
    match deep::hosted_32(toolchain, install) {
        Ok(mut command) => {
            command.args(["--package", "archipelago"]).args(ON_32_BITS);
            host::follow(stage, HOSTED_32, &mut command);
        }
        Err(error) => println!("  {HOSTED_32}: not here: {error:#}"),
    }
    if let Ok(mut command) = deep::hosted_32(toolchain, Install::Never) {
        command.args(BITMAP);
        host::follow(
            stage,
            &format!("{HOSTED_32} with a heap bitmap"),
            &mut command,
        );
    }
    for (target, bitmap, tests) in INTERPRETED {
        match deep::interpreted(Some(target), install) {
            Ok(mut command) => {
                let with = match bitmap {
                    Bitmap::None => {
                        command.args(["--package", "archipelago", "--test", "heap"]);
                        ""
                    }
                    Bitmap::Sparse | Bitmap::Flat => {
                        command.args(BITMAP).arg("--lib");
                        " with a heap bitmap"
                    }
                };
                command.arg("--").args(*tests);
                let name = format!("{target}{with}, interpreted");
                host::follow_at_least(tests.len(), stage, &name, &mut command);
            }
            Err(error) => println!("  {target}: not here: {error:#}"),
        }
    }
}
