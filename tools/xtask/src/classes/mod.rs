//! `cargo xtask classes`: the table of size classes, chosen, written, checked and tried.

pub(crate) mod generate;
mod model;
mod render;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use generate::{Classes, generate};

/// The page sizes that the library has tables for, in bytes.
pub(crate) const PAGE_BYTES: [u32; 6] = [256, 512, 1024, 2048, 4096, 8192];

/// The page size of the model.
const MODEL_PAGE_BYTES: u32 = 4096;

/// The generated file.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/span/class_table.rs");

/// What `cargo xtask classes` is asked to do.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Check that `src/span/class_table.rs` is what would be written; the default.
    #[arg(long)]
    check: bool,
    /// Write `src/span/class_table.rs`.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Also replay the recorded traces in a model of the heap, and print the memory that the classes for 4
    /// KiB pages cost.
    #[arg(long)]
    model: bool,
}

/// Does what `options` ask.
///
/// # Errors
///
/// As those of [`run`], or the traces cannot be read.
pub(crate) fn command(options: Options) -> Result<()> {
    run(options.check || !options.write)?;
    if options.model {
        model::print(&generate(MODEL_PAGE_BYTES))?;
    }
    Ok(())
}

/// Chooses the classes for every page size, and writes them to the library's table.
///
/// With `check`, nothing is written: the file must be what would be written.
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
