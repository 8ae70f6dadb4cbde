//! `cargo xtask size`: the sizes of programs that are a heap and nothing else.
//!
//! Each program in `tools/code-size` is one heap, of which the linker keeps the code that `alloc`,
//! `dealloc`, `realloc` and `alloc_zeroed` reach. The code that gives the heap its memory is
//! compiled too, so that the compiler cannot assume a heap without memory, and then left out. The
//! compiler's own functions, such as `memcpy`, do not count.

mod bitmap;
mod bounds;
mod image;
mod link;
mod map;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::setup::{Install, Needs};
use crate::toolchain::Toolchain;
use link::{Variant, link};

/// A heap that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The program, a file in `tools/code-size/src/bin`.
    program: &'static str,
    heap: &'static str,
    profile: &'static str,
}

const fn subject(program: &'static str, heap: &'static str, profile: &'static str) -> Subject {
    Subject {
        program,
        heap,
        profile,
    }
}

const WHOLE: Subject = subject("archipelago_whole", "archipelago", "whole");
const FIRMWARE: Subject = subject("archipelago_firmware", "archipelago", "firmware");

const SUBJECTS: [Subject; 8] = [
    WHOLE,
    FIRMWARE,
    subject("linked_list_allocator", "linked_list_allocator", "spin"),
    subject("talc", "talc", "spin"),
    subject("rlsf", "rlsf", "12x16,spin"),
    subject(
        "buddy_system_allocator",
        "buddy_system_allocator",
        "32,spin",
    ),
    subject("dlmalloc", "dlmalloc", "spin"),
    subject("rusty_alloc", "rusty_alloc", "single-thread"),
];

/// A program with a panic, which the check has to find.
const PLANTED: &str = "planted";

/// The target that bounds are for.
pub(crate) const BOUNDED: &str = "thumbv7m-none-eabi";

const TARGETS: [&str; 4] = [
    "x86_64-unknown-none",
    BOUNDED,
    "armv7a-none-eabi",
    "mipsel-unknown-none",
];

/// The options of `cargo xtask size`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The targets; all of them if none is named. Bounds are kept on thumbv7m-none-eabi.
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
}

/// Prints a line `size HEAP PROFILE TARGET BYTES` for each heap on each target, and whether each
/// bound is kept. The exit code says whether all are.
///
/// # Errors
/// If something is missing or cannot be built, or a planted panic is not found.
pub(crate) fn command(options: &Options, install: Install) -> Result<ExitCode> {
    let chosen = |target: &&str| {
        options.targets.is_empty() || options.targets.iter().any(|one| one == target)
    };
    let targets: Vec<_> = TARGETS.into_iter().filter(chosen).collect();
    let needs = Needs {
        targets: targets.clone(),
        ..Needs::default()
    };
    let toolchain = needs.ensure(install)?;
    let mut lines = Vec::new();
    for target in targets {
        lines.extend(measure(&toolchain, target, &SUBJECTS)?);
    }
    let broken = lines
        .iter()
        .filter(|line| line.starts_with("broken"))
        .count();
    lines.iter().for_each(|line| println!("{line}"));
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Measures the heaps that have bounds.
///
/// # Errors
/// If a bound is broken, or as [`command`].
pub(crate) fn check(toolchain: &Toolchain) -> Result<()> {
    let lines = measure(toolchain, BOUNDED, &[WHOLE, FIRMWARE])?;
    let broken: Vec<_> = lines
        .into_iter()
        .filter(|line| line.starts_with("broken"))
        .collect();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

/// Links `subjects` for `target`, and returns the lines to print.
fn measure(toolchain: &Toolchain, target: &str, subjects: &[Subject]) -> Result<Vec<String>> {
    let mut programs = vec![PLANTED];
    programs.extend(subjects.iter().map(|subject| subject.program));
    let linked = link(toolchain, target, Variant::MEASURED, &programs)?;
    ensure!(
        !linked.image(PLANTED)?.panics().is_empty(),
        "the panic planted in {PLANTED} is not found: the check would find no other either"
    );
    let mut lines = Vec::new();
    for subject in subjects {
        let image = linked.image(subject.program)?;
        let Subject { heap, profile, .. } = subject;
        lines.push(format!("size {heap} {profile} {target} {}", image.bytes));
        if target == BOUNDED {
            lines.extend(bounds::judge(*subject, &image));
        }
    }
    lines.extend(bitmap::lines(toolchain, target)?);
    Ok(lines)
}
