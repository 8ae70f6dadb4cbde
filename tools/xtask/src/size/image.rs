//! The contents of a linked program: bytes by kind, and symbols.

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol};

use super::map;

/// The contents of a linked program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// Bytes of code and constants, but for the compiler's own functions.
    pub(super) bytes: u64,
    /// Bytes of static memory.
    pub(super) statics: u64,
    /// The symbols.
    pub(super) symbols: Vec<Symbol>,
}

/// The name of a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    mangled: String,
    /// The name as the source has it.
    pub(super) name: String,
}

impl Symbol {
    /// A symbol by its mangled name.
    pub(super) fn new(mangled: &str) -> Self {
        Self {
            mangled: mangled.to_owned(),
            name: demangled(mangled),
        }
    }

    /// Whether the symbol is of the module with this path, which ends in `::`, or names an item of
    /// it. The v0 mangling has the module of an inherent `impl`, which the demangled name has not.
    pub(super) fn is_in(&self, module: &str) -> bool {
        let names = module.split_terminator("::");
        let path = names.map(|name| format!("{}{name}", name.len()));
        self.name.contains(module) || self.mangled.contains(&path.collect::<String>())
    }
}

/// The module with `core`'s panics.
const PANICKING: &str = "core::panicking::";

impl Image {
    /// Reads a program and the map that was written when it was linked.
    ///
    /// # Errors
    /// If either cannot be understood.
    pub(super) fn read(data: &[u8], map: &str) -> Result<Self> {
        let file = object::File::parse(data).context("not a program")?;
        let compiler = map::compiler_bytes(map)?;
        let mut image = Self::default();
        for section in file.sections() {
            let name = section.name().context("a section without a name")?;
            if is_constant(name) {
                let own = compiler.iter().find(|(one, _)| one == name);
                let own = own.map_or(0, |(_, bytes)| *bytes);
                image.bytes += section.size().saturating_sub(own);
            } else if is_static(name) {
                image.statics += section.size();
            }
        }
        let names = file
            .symbols()
            .filter_map(|symbol| symbol.name().ok().map(Symbol::new));
        image.symbols = names.collect();
        Ok(image)
    }

    /// Symbols of `core`'s panics.
    pub(super) fn panics(&self) -> Vec<&str> {
        let names = self.symbols.iter().map(|symbol| symbol.name.as_str());
        names.filter(|name| name.contains(PANICKING)).collect()
    }
}

/// The name of a symbol as the source has it, whichever of the compiler's manglings it is in, and
/// without the hash at its end.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Code and constants, and constants that hold addresses.
fn is_constant(section: &str) -> bool {
    [".text", ".rodata", ".data.rel.ro"]
        .iter()
        .any(|name| section.starts_with(name))
}

fn is_static(section: &str) -> bool {
    [".data", ".bss", ".sdata", ".sbss"]
        .iter()
        .any(|name| section.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_count_once_each() {
        for name in [".text", ".rodata", ".rodata.cst16", ".data.rel.ro"] {
            assert!(is_constant(name), "{name}");
        }
        for name in [".data", ".bss", ".sbss"] {
            assert!(is_static(name) && !is_constant(name), "{name}");
        }
        for name in [".ARM.exidx", ".eh_frame", ".symtab", ".comment", ""] {
            assert!(!is_static(name) && !is_constant(name), "{name}");
        }
    }

    #[test]
    fn both_manglings_are_undone() {
        for name in [
            "_ZN4core9panicking5panic17h91c7b3a9e8b2f9caE",
            "_RNvNtCs1_4core9panicking5panic",
        ] {
            assert_eq!(demangled(name), "core::panicking::panic");
        }
        assert_eq!(demangled("memcpy"), "memcpy");
    }

    #[test]
    fn the_module_of_an_impl_is_found_in_both_manglings() {
        for name in [
            "_ZN3abc2de5inner31_$LT$impl$u20$abc..Type$GT$3run17h05ff02bf40a9b2bdE",
            "_RNvMNtNtCs1_3abc2de5innerNtB6_4Type3run",
        ] {
            let symbol = Symbol::new(name);
            assert!(symbol.is_in("abc::de::"), "{name}");
            assert!(!symbol.is_in("abc::e::"), "{name}");
            assert!(!symbol.is_in("abc::de::inn::"), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_no_program_are_an_error() {
        assert!(Image::read(b"text", "VMA").is_err());
    }
}
