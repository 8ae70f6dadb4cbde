//! Portability: code for all machines names none of them, and uses nothing that some lack.

use proc_macro2::{TokenStream, TokenTree};

use crate::source::Source;

/// Names that tie code to a target.
const OF_A_TARGET: &[&str] = &["target_arch", "target_os"];

/// Atomics that 32-bit parts lack.
const WIDE_ATOMICS: &[&str] = &["AtomicU64", "AtomicI64"];

/// Machines, as their targets and their makers call them. Portable code knows none of them, not
/// even in comments; the tests of a layer name the geometries that they run on.
const MACHINES: &[&str] = &[
    "x86", "x86_64", "i686", "arm", "armv7", "armv7a", "aarch64", "mips", "mipsel", "cortex",
    "thumbv6m", "thumbv7m", "riscv", "riscv32", "riscv64",
];

/// The crates under `arch/` that serve all machines, so that a new one does not edit them.
#[cfg(test)]
const SHARED: &[&str] = &["api", "conformance", "paging"];

/// Places in the code of the files, comments and strings apart, at which one of `names` stands.
fn named(sources: &[Source], names: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let mut found = Vec::new();
        collect(source.tokens(), names, &mut found);
        let place = |(line, name)| format!("{}:{line}: {name}", source.path);
        faults.extend(found.into_iter().map(place));
    }
    faults
}

/// Collects names among tokens, and the path `core::arch` if `target_arch` is one of them.
fn collect(tokens: TokenStream, names: &[&str], found: &mut Vec<(usize, String)>) {
    // The last two names of a path.
    let mut path = [String::new(), String::new()];
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                let line = name.span().start().line;
                let name = name.to_string();
                path = [path[1].clone(), name.clone()];
                let is_arch = path == ["core", "arch"] && names == OF_A_TARGET;
                if names.contains(&name.as_str()) || is_arch {
                    found.push((line, path.join("::")));
                }
            }
            TokenTree::Punct(sign) if sign.as_char() == ':' => {}
            TokenTree::Group(group) => {
                // `core::{arch::asm}`: the names of a group continue the path.
                collect(group.stream(), names, found);
                path = [String::new(), String::new()];
            }
            _ => path = [String::new(), String::new()],
        }
    }
}

/// Lines that name a machine.
fn machines(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let is_library =
        |file: &&Source| !file.path.contains("/tests/") && !file.path.ends_with("/tests.rs");
    for source in sources.iter().filter(is_library) {
        for (index, line) in source.text.lines().enumerate() {
            let words = line.split(|sign: char| !(sign.is_alphanumeric() || sign == '_'));
            let named = words.filter(|word| MACHINES.contains(&word.to_lowercase().as_str()));
            faults.extend(named.map(|word| format!("{}:{}: {word}", source.path, index + 1)));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{OF_A_TARGET, SHARED, WIDE_ATOMICS, machines, named};
    use crate::source::{self, Source};

    #[test]
    fn portable_code_names_no_target() {
        for portable in [source::library(), source::firmware()] {
            crate::none("targets", &named(&portable, OF_A_TARGET));
            crate::none("wide atomics", &named(&portable, WIDE_ATOMICS));
        }
        crate::none("wide atomics", &named(&source::machines(), WIDE_ATOMICS));
        for text in [
            "#[cfg(target_arch = \"x86_64\")] fn f() {}",
            "fn f() { if cfg!(target_os = \"none\") { g() } }",
            "use core::arch::asm;",
            "fn f() { unsafe { core::arch::asm!(\"\") } }",
        ] {
            let planted = Source::planted("src/heap/a.rs", text);
            assert_eq!(named(&[planted], OF_A_TARGET).len(), 1, "{text}");
        }
        let wide = Source::planted("src/a.rs", "use core::arch::asm; use AtomicU64;");
        assert_eq!(named(&[wide], WIDE_ATOMICS).len(), 1);
        let said = Source::planted("src/a.rs", "// No AtomicU64.\n");
        assert_eq!(named(&[said], WIDE_ATOMICS), [""; 0]);
    }

    #[test]
    fn portable_code_names_no_machine() {
        crate::none("machines", &machines(&source::library()));
        crate::none("machines", &machines(&source::firmware()));
        let is_shared = |source: &Source| {
            let folders = SHARED.iter().map(|name| format!("arch/{name}/"));
            folders
                .into_iter()
                .any(|folder| source.path.starts_with(&folder))
        };
        let (shared, own): (Vec<_>, Vec<_>) = source::machines().into_iter().partition(is_shared);
        crate::none("machines", &machines(&shared));
        crate::none("targets", &named(&shared, OF_A_TARGET));
        assert!(shared.len() > SHARED.len(), "the crates are there");
        assert!(!machines(&own).is_empty(), "other crates name their own");
        let text = "// As on x86_64, but not on MIPS: a harmless word.";
        let planted = |path| [Source::planted(path, text)];
        assert_eq!(machines(&planted("src/heap/a.rs")).len(), 2);
        assert_eq!(machines(&planted("src/page/tests/a.rs")), [""; 0]);
    }
}
