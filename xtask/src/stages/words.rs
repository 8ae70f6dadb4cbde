//! A part of the host's tests as a program with words of 32 bits, and interpreted by Miri on such a
//! target and on one of the other byte order. `cargo xtask i686` and `cargo xtask miri --target` run
//! more.

use super::host;
use crate::deep::{self, BIG_ENDIAN, HOSTED_32, INTERPRETED_32};
use crate::report::Stage;
use crate::setup::Install;
use crate::toolchain::Toolchain;

/// The programs that depend most on the width of a word.
const ON_32_BITS: &[&str] = &["--lib", "--test", "front", "--test", "regression"];

/// What Miri gets through in a minute: every layer of the heap, a few requests of each kind.
const INTERPRETED: &[(&str, &[&str])] = &[
    (
        BIG_ENDIAN,
        &[
            "small::no_grow_is_served",
            "plain31::sizes_of_one_class",
            "small::contents_survive",
        ],
    ),
    (INTERPRETED_32, &["small::no_grow_is_served"]),
];

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, install: Install) {
    match deep::hosted_32(toolchain, install) {
        Ok(mut command) => {
            command.args(["--package", "archipelago"]).args(ON_32_BITS);
            host::follow(stage, HOSTED_32, &mut command);
        }
        Err(error) => println!("  {HOSTED_32}: not here: {error:#}"),
    }
    for (target, tests) in INTERPRETED {
        match deep::interpreted(Some(target), install) {
            Ok(mut command) => {
                command.args(["--package", "archipelago", "--test", "front", "--"]);
                command.args(*tests);
                host::follow(stage, &format!("{target}, interpreted"), &mut command);
            }
            Err(error) => println!("  {target}: not here: {error:#}"),
        }
    }
}
