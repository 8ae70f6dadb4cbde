//! `cargo xtask size`: the sizes of programs that are a heap and nothing else.
//!
//! Each program in `tools/code-size` is one heap, of which the linker keeps the code that `alloc`,
//! `dealloc`, `realloc` and `alloc_zeroed` reach. The code that gives the heap its memory is
//! compiled too, so that the compiler cannot assume a heap without memory, and then left out;
//! bounds are for programs without it. A second size is that of the program with this code and with
//! the report that a kernel stops with. The compiler's own functions, such as `memcpy`, do not
//! count.

mod bitmap;
mod bounds;
mod image;
mod link;
mod map;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::figures::{Figures, Judgement, Stale};
use crate::setup::{Install, Needs};
use crate::toolchain::Toolchain;
use image::Image;
use link::{Variant, link};

/// A heap that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The program, a file in `tools/code-size/src/bin`.
    program: &'static str,
    /// The row of its figures.
    name: &'static str,
    heap: &'static str,
    profile: &'static str,
}

const fn subject(program: &'static str, heap: &'static str, profile: &'static str) -> Subject {
    Subject {
        program,
        name: program,
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
    #[command(flatten)]
    stale: Stale,
}

/// The part that sizes are in as figures.
const PART: &str = "size";

/// Prints a line `size HEAP PROFILE TARGET BYTES` for each heap on each target, and whether each
/// bound is kept. The exit code says whether all are, and whether the README has these sizes.
///
/// # Errors
/// If something is missing or cannot be built, or a planted panic is not found.
pub(crate) fn command(options: &Options, install: Install) -> Result<ExitCode> {
    let (toolchain, sizes) = measure_on(&options.targets, install)?;
    sizes.lines.iter().for_each(|line| println!("{line}"));
    let is_complete = |part: &str| part == PART && options.targets.is_empty();
    let judgement = Judgement::of(&toolchain, &sizes.figures, is_complete)?;
    let concluded = judgement.conclude(PART, options.stale)?;
    Ok(if sizes.broken().is_empty() {
        concluded
    } else {
        ExitCode::FAILURE
    })
}

/// The sizes of all heaps on all targets.
///
/// # Errors
/// As [`command`].
pub(crate) fn measure_all(install: Install) -> Result<(Toolchain, Figures)> {
    let (toolchain, sizes) = measure_on(&[], install)?;
    Ok((toolchain, sizes.figures))
}

/// The sizes of all heaps on these targets, or on all if none is named.
fn measure_on(targets: &[String], install: Install) -> Result<(Toolchain, Sizes)> {
    let chosen = |target: &&str| targets.is_empty() || targets.iter().any(|one| one == target);
    let targets: Vec<_> = TARGETS.into_iter().filter(chosen).collect();
    let needs = Needs {
        targets: targets.clone(),
        ..Needs::default()
    };
    let toolchain = needs.ensure(install)?;
    let mut sizes = Sizes::default();
    for target in targets {
        measure(&toolchain, target, &SUBJECTS, &[false, true], &mut sizes)?;
    }
    Ok((toolchain, sizes))
}

/// Measures the heaps on the target that bounds are for, without `init`, and returns the sizes.
///
/// # Errors
/// If a bound is broken, or as [`command`].
pub(crate) fn check(toolchain: &Toolchain) -> Result<Figures> {
    let mut sizes = Sizes::default();
    measure(toolchain, BOUNDED, &SUBJECTS, &[false], &mut sizes)?;
    let broken = sizes.broken();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(sizes.figures)
}

/// Sizes that were measured.
#[derive(Debug, Default)]
struct Sizes {
    /// The lines to print, verdicts on bounds among them.
    lines: Vec<String>,
    figures: Figures,
}

impl Sizes {
    /// Adds the size of a heap.
    fn add(&mut self, subject: Subject, target: &str, has_init: bool, image: &Image) {
        let Subject {
            name,
            heap,
            profile,
            ..
        } = subject;
        let (init, column) = if has_init {
            (",init", format!("{target},init"))
        } else {
            ("", target.to_owned())
        };
        let bytes = image.bytes;
        self.lines
            .push(format!("size {heap} {profile}{init} {target} {bytes}"));
        self.figures.count(PART, name, &column, bytes);
    }

    /// The lines of bounds that are broken.
    fn broken(&self) -> Vec<&str> {
        let lines = self.lines.iter().map(String::as_str);
        lines.filter(|line| line.starts_with("broken")).collect()
    }
}

/// Links `subjects` for `target`, with and without `init` as `inits` says, and adds their sizes.
fn measure(
    toolchain: &Toolchain,
    target: &str,
    subjects: &[Subject],
    inits: &[bool],
    sizes: &mut Sizes,
) -> Result<()> {
    let mut programs = vec![PLANTED];
    programs.extend(subjects.iter().map(|subject| subject.program));
    for has_init in inits.iter().copied() {
        let variant = Variant {
            has_init,
            ..Variant::MEASURED
        };
        let linked = link(toolchain, target, variant, &programs)?;
        ensure!(
            !linked.image(PLANTED)?.panics().is_empty(),
            "the panic planted in {PLANTED} is not found: the check would find no other either"
        );
        for subject in subjects {
            let image = linked.image(subject.program)?;
            sizes.add(*subject, target, has_init, &image);
            if target == BOUNDED && !has_init {
                bound(*subject, &image, sizes);
            }
        }
    }
    bitmap::measure(toolchain, target, inits, sizes)
}

/// Adds the bounds of a heap.
fn bound(subject: Subject, image: &Image, sizes: &mut Sizes) {
    sizes.lines.extend(bounds::judge(subject, image));
    let mut add = |column, bytes| sizes.figures.count(PART, subject.name, column, bytes);
    if let Some(most) = bounds::most_of(subject) {
        add("bound", most);
        add("statics", image.statics);
    }
}
