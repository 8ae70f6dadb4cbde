//! `cargo xtask classes`: the table of size classes, chosen, written, checked and replayed with.

pub(crate) mod generate;
mod render;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::bench;
use crate::setup::Install;
use generate::{Classes, generate};

/// The page sizes that the library has tables for, in bytes.
pub(crate) const PAGE_BYTES: [u32; 6] = [256, 512, 1024, 2048, 4096, 8192];

/// The generated file.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/span/class_table.rs");

/// The options of `cargo xtask classes`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Check that `src/span/class_table.rs` equals what would be written; the default.
    #[arg(long)]
    check: bool,
    /// Write `src/span/class_table.rs`.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Then replay the recorded traces and fill memory with objects of random sizes, on the heap
    /// with the table as it is, and print how much memory that takes.
    #[arg(long)]
    replay: bool,
}

/// Checks or writes the table, then replays with it if `options` say so. The exit code says whether
/// the heap keeps its bounds.
///
/// # Errors
///
/// As those of [`run`], or the replays cannot be built.
pub(crate) fn command(options: Options, install: Install) -> Result<ExitCode> {
    run(options.check || !options.write)?;
    if options.replay {
        let parts = vec![bench::Part::Replays, bench::Part::Fill];
        return bench::run(&bench::Options::of(parts)?, install);
    }
    Ok(ExitCode::SUCCESS)
}

/// Chooses the classes for every page size, and writes them to the library's table.
///
/// With `check`, nothing is written: the file has to equal what would be written.
///
/// # Errors
///
/// The file cannot be read or written, or it differs.
pub(crate) fn run(check: bool) -> Result<()> {
    let tables: Vec<Classes> = PAGE_BYTES.into_iter().map(generate).collect();
    let text = render::render(&tables);
    let path = Path::new(FILE);
    if !check {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    } else if read(path)? != text {
        bail!("src/span/class_table.rs is not what `cargo xtask classes --write` writes");
    }
    for table in &tables {
        println!(
            "{:5}-byte pages: {} classes",
            table.page_bytes,
            table.list.len()
        );
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
