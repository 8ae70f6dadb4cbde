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
    /// Names of symbols, demangled.
    pub(super) symbols: Vec<String>,
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
            .filter_map(|symbol| symbol.name().ok().map(demangled));
        image.symbols = names.collect();
        Ok(image)
    }

    /// Symbols of `core`'s panics.
    pub(super) fn panics(&self) -> Vec<&str> {
        let names = self.symbols.iter().map(String::as_str);
        names.filter(|name| name.contains(PANICKING)).collect()
    }
}

/// The name of a symbol as the source has it, whichever of the compiler's manglings it is in, and
/// without the hash at its end.
pub(super) fn demangled(name: &str) -> String {
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
    fn bytes_that_are_no_program_are_an_error() {
        assert!(Image::read(b"text", "VMA").is_err());
    }
}
