//! `cargo xtask tsan`: threads with spans of their own under ThreadSanitizer, which reports
//! accesses of objects that nothing orders.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::project;
use crate::rustup;
use crate::setup::{self, Install};
use crate::soak::follow;
use crate::toolchain::Toolchain;

/// The tests of the program, one of which races and has to be reported.
pub(crate) const TESTS: usize = 4;

/// Runs the threads, compiled with the standard library for the sanitizer.
///
/// # Errors
/// If the toolchain lacks something that cannot be installed.
pub(crate) fn tsan(install: Install) -> Result<ExitCode> {
    follow(sanitized(&Toolchain::detect()?, install)?)
}

/// A `cargo test` of the threads under the sanitizer.
///
/// # Errors
/// If the toolchain lacks something that cannot be installed.
pub(crate) fn sanitized(toolchain: &Toolchain, install: Install) -> Result<Command> {
    if !toolchain.has_thread_sanitizer() {
        bail!(setup::Missing(format!(
            "ThreadSanitizer's runtime for {} is no part of this toolchain; rustup's toolchains \
             for x86_64 and aarch64 Linux have it",
            toolchain.host()
        )));
    }
    if !toolchain.has_std_source() {
        if !toolchain.rustup {
            bail!(setup::Missing(
                "ThreadSanitizer needs the sources of the standard library, which come with \
                 rustup's toolchains"
                    .to_owned()
            ));
        }
        let add = "rustup component add rust-src";
        rustup::add("the source of the standard library", add, install)?;
    }
    let mut command = toolchain.cargo("test");
    command.current_dir(project::root());
    // A stable compiler has to be told that this is meant. The standard library is built anew:
    // locks of one that the sanitizer does not know would order nothing.
    command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std");
    command.args(["--target", toolchain.host()]);
    command.arg("--target-dir").arg(project::target_of("tsan"));
    command.args(["--package", "archipelago-host", "--test", "cpus"]);
    command.env("RUSTFLAGS", "-Zsanitizer=thread");
    command.env("TSAN_OPTIONS", "halt_on_error=1");
    // The program then knows that races are reported.
    command.env("ARCHIPELAGO_TSAN", "1");
    Ok(command)
}
