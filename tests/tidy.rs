//! The shape of the source: layers, portability, unsafe islands, words.
//!
//! Each check also runs over a planted fault, which it has to find.

#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

extern crate alloc;

use alloc::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Layers of `src/`, lowest first. Those on one line are siblings and do not see each other.
const LAYERS: &[&[&str]] = &[
    &["base", "bits"],
    &["region"],
    &["arena", "page"],
    &["span"],
    &["pageheap"],
    &["heap"],
    &["inspect"],
    &["global"],
];

/// `span` takes the index's handle type; everything else keeps to the layers.
const FILES_OUTSIDE_LAYERS: &[&str] = &[
    "lib.rs",
    "testing/mod.rs",
    "testing/pages.rs",
    "testing/ranges.rs",
    "testing/source.rs",
];

/// Files of `src/` that may contain `unsafe`, with the number of times the word opens a block, an
/// impl or a function. Whoever adds one changes a number here.
const UNSAFE_LEDGER: &[(&str, usize)] = &[
    ("arena/bitmap.rs", 1),
    ("arena/flat_bits.rs", 2),
    ("arena/index.rs", 1),
    ("base/loom_model.rs", 7),
    ("base/sparse.rs", 16),
    ("bits/scannable.rs", 21),
    ("bits/tests/maps.rs", 1),
    ("global/allocator.rs", 9),
    ("global/front.rs", 7),
    ("heap/bits/flat.rs", 2),
    ("heap/bits/resize.rs", 3),
    ("heap/bits/slot.rs", 2),
    ("heap/bits/tests/mod.rs", 1),
    ("heap/early.rs", 12),
    ("heap/free.rs", 2),
    ("heap/large.rs", 1),
    ("heap/planted.rs", 2),
    ("heap/resize.rs", 7),
    ("heap/small.rs", 2),
    ("region/metadata.rs", 2),
    ("region/space.rs", 7),
    ("span/place.rs", 4),
    ("span/record.rs", 2),
    ("span/records.rs", 3),
    ("testing/source.rs", 3),
];

/// The same for `firmware/src/`.
const FIRMWARE_UNSAFE_LEDGER: &[(&str, usize)] = &[("block.rs", 14), ("heap.rs", 15)];

/// The machines that kernels run on, and what they share; the simulated ones are for tests.
const MACHINE_CRATES: &[&str] = &["api", "arm", "cortex-m", "flat", "mips", "tables", "x86_64"];

/// The same for `src/` of each of them.
const MACHINE_UNSAFE_LEDGER: &[(&str, usize)] = &[
    ("api/conformance/ground.rs", 12),
    ("api/machine.rs", 6),
    ("arm/kernel.rs", 3),
    ("arm/maintenance.rs", 12),
    ("arm/roots.rs", 22),
    ("cortex-m/lib.rs", 2),
    ("flat/critical.rs", 6),
    ("flat/heap.rs", 19),
    ("flat/machine.rs", 12),
    ("flat/region.rs", 1),
    ("mips/cp0.rs", 3),
    ("mips/directory.rs", 6),
    ("mips/tlb.rs", 6),
    ("tables/frames.rs", 13),
    ("tables/paging.rs", 10),
    ("tables/scheme.rs", 4),
    ("tables/steps.rs", 1),
    ("tables/tlb.rs", 1),
    ("tables/two_level/directory.rs", 6),
    ("tables/two_level/mod.rs", 14),
    ("tables/two_level/walk.rs", 7),
    ("x86_64/scheme.rs", 6),
    ("x86_64/steps.rs", 3),
    ("x86_64/tables.rs", 8),
    ("x86_64/tlb.rs", 2),
    ("x86_64/walk.rs", 3),
];

/// Words that mean something else here, or nothing.
const BANNED_WORDS: &[&str] = &[
    "superblock",
    "slab",
    "magazine",
    "depot",
    "ptrmap",
    "TODO",
    "FIXME",
    "XXX",
];

/// Machines, as their targets and their makers call them. Portable code knows none of them, not
/// even in comments; the tests of a layer name the geometries that they run on.
const MACHINES: &[&str] = &[
    "x86", "x86_64", "i686", "arm", "armv7", "armv7a", "aarch64", "mips", "mipsel", "cortex",
    "thumbv6m", "thumbv7m", "riscv", "riscv32", "riscv64",
];

/// A source file: its path below `src/` and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn layer(&self) -> Option<usize> {
        let folder = self.path.split('/').next()?;
        LAYERS.iter().position(|layer| layer.contains(&folder))
    }

    /// Lines without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| {
            let code = line.split("//").next().unwrap_or(line);
            (index + 1, code)
        })
    }
}

fn sources() -> Vec<Source> {
    let found = sources_in("src");
    assert!(found.len() > 20, "the sources are there");
    found
}

fn sources_in(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    found
}

/// The firmware heap, which is portable too.
fn firmware() -> Vec<Source> {
    let found = sources_in("firmware/src");
    assert!(found.len() > 4, "the sources are there");
    found
}

/// The crates of machines, each file below its crate's name.
fn machine_crates() -> Vec<Source> {
    let named = |name: &&str| {
        let mut found = sources_in(&format!("arch/{name}/src"));
        assert!(!found.is_empty(), "the sources of {name} are there");
        for source in &mut found {
            source.path = format!("{name}/{}", source.path);
        }
        found
    };
    MACHINE_CRATES.iter().flat_map(named).collect()
}

/// Atomics that 32-bit parts lack.
fn wide_atomics(sources: &[Source]) -> Vec<String> {
    let faults = unportable(sources);
    let is_wide = |fault: &String| fault.contains("AtomicU64") || fault.contains("AtomicI64");
    faults.into_iter().filter(is_wide).collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root");
            let name = name.to_str().expect("a plain name").replace('\\', "/");
            found.push(Source {
                path: name,
                text: fs::read_to_string(&path).expect("text"),
            });
        }
    }
}

/// Uses of a layer from one that is not above it.
fn upward_uses(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let Some(own) = source.layer() else {
            if !FILES_OUTSIDE_LAYERS.contains(&source.path.as_str()) {
                faults.push(format!("{}: belongs to no layer", source.path));
            }
            continue;
        };
        let folder = source.path.split('/').next().expect("a folder");
        for (line, code) in source.code() {
            for (level, names) in LAYERS.iter().enumerate() {
                for name in *names {
                    let uses = code.contains(&format!("crate::{name}::"))
                        || code.contains(&format!("crate::{name};"));
                    if uses && *name != folder && level >= own {
                        faults.push(format!("{}:{line}: {folder} uses {name}", source.path));
                    }
                }
            }
        }
    }
    faults
}

/// What ties portable code to a target: `target_arch`, atomics that 32-bit parts lack.
fn unportable(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (line, code) in source.code() {
            for word in [
                "target_arch",
                "target_os",
                "AtomicU64",
                "AtomicI64",
                "core::arch",
            ] {
                if code.contains(word) {
                    faults.push(format!("{}:{line}: {word}", source.path));
                }
            }
        }
    }
    faults
}

/// Lines that name a machine.
fn machines(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let tested =
        |file: &&Source| !file.path.contains("/tests/") && !file.path.ends_with("/tests.rs");
    for source in sources.iter().filter(tested) {
        for (index, line) in source.text.lines().enumerate() {
            let words = line.split(|sign: char| !(sign.is_alphanumeric() || sign == '_'));
            let named = words.filter(|word| MACHINES.contains(&word.to_lowercase().as_str()));
            faults.extend(named.map(|word| format!("{}:{}: {word}", source.path, index + 1)));
        }
    }
    faults
}

/// Files whose count of `unsafe` is not the ledger's.
fn off_the_ledger(sources: &[Source], ledger: &[(&str, usize)]) -> Vec<String> {
    let allowed: BTreeMap<&str, usize> = ledger.iter().copied().collect();
    let mut faults = Vec::new();
    for source in sources {
        let found: usize = source.code().map(|(_, code)| opens_unsafe(code)).sum();
        let allowed = allowed.get(source.path.as_str()).copied().unwrap_or(0);
        if found != allowed {
            faults.push(format!(
                "{}: {found} times unsafe, {allowed} on the ledger",
                source.path
            ));
        }
    }
    faults
}

fn opens_unsafe(code: &str) -> usize {
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait"]
        .iter()
        .map(|form| code.matches(form).count())
        .sum()
}

/// Files without a summary, or too long to be one idea.
fn shapeless(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        if !source.text.starts_with("//! ") {
            faults.push(format!("{}: does not begin with what it is", source.path));
        }
        let lines = source.text.lines().count();
        if lines > 600 {
            faults.push(format!("{}: {lines} lines", source.path));
        }
    }
    faults
}

fn banned_words(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            for word in BANNED_WORDS {
                if line.contains(word) {
                    faults.push(format!("{}:{}: {word}", source.path, index + 1));
                }
            }
        }
    }
    faults
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn planted(path: &str, text: &str) -> Vec<Source> {
    vec![Source {
        path: path.into(),
        text: text.into(),
    }]
}

#[test]
fn layers_use_only_those_below() {
    none(&upward_uses(&sources()));
    for (path, text) in [
        ("base/a.rs", "use crate::heap::Heap;"),
        ("page/a.rs", "use crate::arena::ArenaIndex;"),
        ("region/a.rs", "fn f() { crate::page::g(); }"),
        ("nowhere/a.rs", ""),
    ] {
        assert_eq!(upward_uses(&planted(path, text)).len(), 1, "{path}");
    }
    assert!(upward_uses(&planted("heap/a.rs", "use crate::page::Pages;")).is_empty());
}

#[test]
fn portable_code_names_no_target() {
    none(&unportable(&sources()));
    none(&unportable(&firmware()));
    none(&wide_atomics(&machine_crates()));
    let wide = planted("arm/a.rs", "use core::arch::asm;\nuse AtomicU64;");
    assert_eq!(wide_atomics(&wide).len(), 1);
    let fault = planted(
        "heap/a.rs",
        "#[cfg(target_arch = \"x86_64\")]\nuse AtomicU64;",
    );
    assert_eq!(unportable(&fault).len(), 2);
}

#[test]
fn portable_code_names_no_machine() {
    none(&machines(&sources()));
    none(&machines(&firmware()));
    let text = "// As on x86_64, but not on MIPS: a harmless word.";
    assert_eq!(machines(&planted("heap/a.rs", text)).len(), 2);
    assert!(machines(&planted("page/tests/a.rs", text)).is_empty());
}

#[test]
fn unsafe_stays_on_its_islands() {
    none(&off_the_ledger(&sources(), UNSAFE_LEDGER));
    none(&off_the_ledger(&firmware(), FIRMWARE_UNSAFE_LEDGER));
    none(&off_the_ledger(&machine_crates(), MACHINE_UNSAFE_LEDGER));
    let fault = planted("page/a.rs", "fn f() { unsafe { g() } } // unsafe { }");
    assert_eq!(off_the_ledger(&fault, UNSAFE_LEDGER).len(), 1);
    let missing = planted("base/sparse.rs", "");
    assert_eq!(off_the_ledger(&missing, UNSAFE_LEDGER).len(), 1);
}

#[test]
fn a_file_is_one_idea_and_says_which() {
    none(&shapeless(&sources()));
    none(&shapeless(&firmware()));
    none(&shapeless(&machine_crates()));
    let long = "//! Long.\n".repeat(601);
    assert_eq!(shapeless(&planted("heap/a.rs", &long)).len(), 1);
    assert_eq!(shapeless(&planted("heap/a.rs", "use x;")).len(), 1);
}

#[test]
fn one_word_for_one_thing() {
    none(&banned_words(&sources()));
    none(&banned_words(&firmware()));
    none(&banned_words(&machine_crates()));
    assert_eq!(banned_words(&planted("heap/a.rs", "// a slab")).len(), 1);
}
