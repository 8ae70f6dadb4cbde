//! `cargo xtask listing`: the machine code of a lookup, and the loads in it that wait for one
//! another.
//!
//! The code is the compiler's, so it is compared with the recorded listing only on the compiler
//! that made that one. The number of dependent loads holds on any.

mod function;
mod loads;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use function::Function;

use crate::process;
use crate::project;
use crate::setup::{Install, Needs};
use crate::toolchain::Toolchain;

/// The target whose machine code is examined.
pub(crate) const TARGET: &str = "x86_64-unknown-none";

/// The most loads in a row that a lookup may take.
pub(crate) const MOST_LOADS: u32 = 3;

/// The options of `cargo xtask listing`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Record the listing of this compiler instead of comparing with the recorded one.
    #[arg(long)]
    write: bool,
}

/// Prints the listing, and compares or records it.
///
/// # Errors
/// If it differs from the recorded one, or has too many dependent loads.
pub(crate) fn command(options: Options, install: Install) -> Result<()> {
    let needs = Needs {
        targets: vec![TARGET],
        ..Needs::default()
    };
    let toolchain = needs.ensure(install)?;
    let lookup = compile(&toolchain)?;
    let listing = lookup.listing();
    print!("{listing}");
    if options.write {
        fs::write(recorded_file(), recorded(&toolchain, &listing))?;
    }
    let loads = check(&toolchain, &lookup)?;
    println!("{loads} dependent loads, at most {MOST_LOADS} allowed");
    Ok(())
}

/// Compiles the lookup and checks it; returns its dependent loads.
///
/// # Errors
/// As [`command`].
pub(crate) fn checked_loads(toolchain: &Toolchain) -> Result<u32> {
    check(toolchain, &compile(toolchain)?)
}

/// Compiles the lookup and counts its dependent loads.
///
/// # Errors
/// If it cannot be compiled, or the count does not understand it.
pub(crate) fn dependent_loads(toolchain: &Toolchain) -> Result<u32> {
    loads::longest_chain(&compile(toolchain)?.code)
}

fn recorded_file() -> PathBuf {
    project::root().join("tools/listings/lookup-x86_64.s")
}

/// The contents of the recorded file: the compiler, then the listing.
fn recorded(toolchain: &Toolchain, listing: &str) -> String {
    format!("# {}\n{listing}", toolchain.version)
}

/// The machine code of `lookup` in `tools/listings`.
fn compile(toolchain: &Toolchain) -> Result<Function> {
    let target = project::target_of("listings");
    let object = target.join("lookup.o");
    let mut command = toolchain.cargo_for("rustc", TARGET);
    command
        .current_dir(project::root())
        .args(["--release", "--package", "archipelago-listings"])
        .arg("--target-dir")
        .arg(&target)
        .arg("--")
        .arg(format!("--emit=obj={}", object.display()))
        .args(["-C", "codegen-units=1", "-C", "debuginfo=0"]);
    let built = process::run(&mut command, None, |_| ())?;
    if !built.ending.success() {
        built.lines.iter().for_each(|line| eprintln!("{line}"));
        bail!("`{}` failed", process::describe(&command));
    }
    let object = fs::read(&object).context("the compiler's object file")?;
    Function::read(&object, "lookup")
}

/// Counts the dependent loads of a lookup, and compares its listing with the recorded one if that
/// is this compiler's.
fn check(toolchain: &Toolchain, lookup: &Function) -> Result<u32> {
    let loads = loads::longest_chain(&lookup.code)?;
    if loads > MOST_LOADS {
        bail!("a lookup takes {loads} dependent loads; at most {MOST_LOADS} are allowed");
    }
    if loads == 0 {
        bail!("a lookup that loads nothing was compiled away: something has to initialise `HEAP`");
    }
    let before = fs::read_to_string(recorded_file()).context("the recorded listing")?;
    let same_compiler = before.lines().next() == Some(&format!("# {}", toolchain.version));
    let listing = lookup.listing();
    if same_compiler && before != recorded(toolchain, &listing) {
        bail!(
            "the machine code of a lookup is not the recorded one; \
             `cargo xtask listing --write` records the code as it is now:\n{listing}"
        );
    }
    Ok(loads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded_listing() -> String {
        fs::read_to_string(recorded_file()).unwrap_or_default()
    }

    fn chain_of(listing: &str) -> Option<u32> {
        loads::longest_chain(&function::code_of(listing)).ok()
    }

    #[test]
    fn the_recorded_lookup_takes_no_more_loads_than_allowed() {
        assert_eq!(chain_of(&recorded_listing()), Some(MOST_LOADS));
    }

    #[test]
    fn a_fourth_load_is_found() {
        let listing = recorded_listing();
        // The comparison of the handle with zero, `test %eax,%eax`, becomes `mov (%rax),%eax`.
        let planted = listing.replacen("\t85 c0 ", "\t8b 00 ", 1);
        assert_ne!(planted, listing, "the handle is compared with zero");
        assert_eq!(chain_of(&planted), Some(MOST_LOADS + 1));
    }
}
