//! Linking the programs in `tools/code-size`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::image::Image;
use crate::process;
use crate::project;
use crate::toolchain::Toolchain;

/// How programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// Whether the heap has a bitmap.
    pub(super) has_bitmap: bool,
    /// Whether the programs are made as small as can be; otherwise no function is inlined, so that
    /// each has a name.
    pub(super) is_optimized: bool,
    /// Whether the function that gives the heap its memory, and the report that the kernel stops
    /// with, are left in.
    pub(super) has_init: bool,
}

impl Variant {
    /// The variant that has bounds.
    pub(super) const MEASURED: Self = Self {
        has_bitmap: false,
        is_optimized: true,
        has_init: false,
    };

    /// The variant's folder, below that of all variants.
    const fn folder(self) -> &'static str {
        match (self.has_bitmap, self.has_init) {
            (false, false) => "",
            (true, false) => "heap-bits",
            (false, true) => "with-init",
            (true, true) => "heap-bits-with-init",
        }
    }

    const fn profile(self) -> &'static str {
        if self.is_optimized {
            "size"
        } else {
            "unoptimized"
        }
    }
}

/// Programs that were linked.
#[derive(Debug)]
pub(super) struct Linked {
    programs: PathBuf,
    maps: PathBuf,
}

impl Linked {
    /// The contents of a program.
    ///
    /// # Errors
    /// If the program or its map cannot be read or understood.
    pub(super) fn image(&self, program: &str) -> Result<Image> {
        let file = self.programs.join(program);
        let map = self.maps.join(format!("{program}.map"));
        let data = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let map = fs::read_to_string(&map).with_context(|| format!("no map {}", map.display()))?;
        Image::read(&data, &map).with_context(|| file.display().to_string())
    }
}

/// Links `programs` for `target`.
///
/// # Errors
/// If one cannot be linked.
pub(super) fn link(
    toolchain: &Toolchain,
    target: &str,
    variant: Variant,
    programs: &[&str],
) -> Result<Linked> {
    let folder = project::target_of("code-size").join(variant.folder());
    let maps = folder.join("maps").join(target).join(variant.profile());
    fs::create_dir_all(&maps).with_context(|| format!("cannot make {}", maps.display()))?;
    let mut build = toolchain.cargo_for("build", target);
    build
        .current_dir(project::root().join("tools/code-size"))
        .env("ARCHIPELAGO_SIZE_MAPS", &maps)
        .args(["--profile", variant.profile(), "--target-dir"])
        .arg(&folder);
    if variant.has_init {
        build.env("ARCHIPELAGO_SIZE_WITH_INIT", "1");
    }
    if variant.has_bitmap {
        build.args(["--features", "heap-bits"]);
    }
    build.args(programs.iter().flat_map(|program| ["--bin", program]));
    let built = process::run(&mut build, None, |_| ())?;
    if !built.ending.success() {
        bail!(
            "cannot link heaps for {target}:\n{}",
            built.lines.join("\n")
        );
    }
    let programs = folder.join(target).join(variant.profile());
    Ok(Linked { programs, maps })
}
