//! `cargo xtask listing`: the machine code of a lookup, and the loads in it that wait for one
//! another.
//!
//! The code is the compiler's, so it is compared with the recorded listing only on the compiler
//! that made that one. The number of dependent loads holds on any.

mod loads;
mod text;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process;
use crate::project;
use crate::setup::{Install, Needs};
use crate::toolchain::Toolchain;

/// The target whose machine code is looked at.
pub(crate) const TARGET: &str = "x86_64-unknown-none";

/// The most loads in a row that a lookup may take.
pub(crate) const MOST_LOADS: u32 = 3;

/// What to do with the listing.
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
    let listing = compile(&toolchain)?;
    print!("{listing}");
    if options.write {
        fs::write(recorded_file(), recorded(&toolchain, &listing))?;
    }
    let loads = check(&toolchain, &listing)?;
    println!("{loads} dependent loads, at most {MOST_LOADS} allowed");
    Ok(())
}

/// Compiles the lookup and checks it; answers its dependent loads.
///
/// # Errors
/// As [`command`].
pub(crate) fn checked_loads(toolchain: &Toolchain) -> Result<u32> {
    let listing = compile(toolchain)?;
    check(toolchain, &listing)
}

/// Compiles the lookup and counts its dependent loads.
///
/// # Errors
/// If it cannot be compiled, or the count does not understand it.
pub(crate) fn dependent_loads(toolchain: &Toolchain) -> Result<u32> {
    loads::longest_chain(&compile(toolchain)?)
}

fn recorded_file() -> PathBuf {
    project::root().join("tools/listings/lookup-x86_64.s")
}

/// What is recorded of a listing: the compiler, then the listing.
fn recorded(toolchain: &Toolchain, listing: &str) -> String {
    format!("# {}\n{listing}", toolchain.version)
}

/// The machine code of `lookup` in `tests/listings`.
fn compile(toolchain: &Toolchain) -> Result<String> {
    let target = project::target_of("listings");
    let assembly = target.join("lookup.s");
    let mut command = toolchain.cargo_for("rustc", TARGET);
    command
        .current_dir(project::root())
        .args(["--release", "--package", "archipelago-listings"])
        .arg("--target-dir")
        .arg(&target)
        .arg("--")
        .arg(format!("--emit=asm={}", assembly.display()))
        .args(["-C", "codegen-units=1", "-C", "debuginfo=0"]);
    let built = process::run(&mut command, None, |_| ())?;
    if !built.ending.success() {
        built.lines.iter().for_each(|line| eprintln!("{line}"));
        bail!("`{}` failed", process::describe(&command));
    }
    let assembly = fs::read_to_string(&assembly).context("the compiler's assembly")?;
    text::extract(&assembly, "lookup").context("there is no function `lookup`")
}

/// Counts the dependent loads of a listing, and compares it with the recorded one if that is this
/// compiler's.
fn check(toolchain: &Toolchain, listing: &str) -> Result<u32> {
    let loads = loads::longest_chain(listing)?;
    if loads > MOST_LOADS {
        bail!("a lookup takes {loads} dependent loads; at most {MOST_LOADS} are allowed");
    }
    let before = fs::read_to_string(recorded_file()).context("the recorded listing")?;
    let same_compiler = before.lines().next() == Some(&format!("# {}", toolchain.version));
    if same_compiler && before != recorded(toolchain, listing) {
        bail!(
            "the machine code of a lookup is not the recorded one; \
             `cargo xtask listing --write` records what it is now:\n{listing}"
        );
    }
    Ok(loads)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recorded listing without the compiler's version.
    fn recorded_code() -> String {
        let text = fs::read_to_string(recorded_file()).unwrap_or_default();
        text.lines()
            .skip(1)
            .map(|line| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn the_recorded_lookup_takes_no_more_loads_than_allowed() {
        let loads = loads::longest_chain(&recorded_code());
        assert!(loads.is_ok_and(|loads| loads == MOST_LOADS));
    }

    #[test]
    fn a_fourth_load_is_found() {
        let code = recorded_code();
        let planted = code.replacen("\ttestl\t%eax, %eax\n", "\tmovl\t(%rax), %eax\n", 1);
        assert_ne!(planted, code, "the handle is compared with zero");
        let loads = loads::longest_chain(&planted);
        assert!(loads.is_ok_and(|loads| loads == MOST_LOADS + 1));
    }
}
