//! Maps of the LLVM linker: which object file each piece of a program came from.

use anyhow::{Context, Result, ensure};

/// The first word of a map.
const HEADING: &str = "VMA";

/// Bytes of the pieces of each section that came from the compiler's own library, by the section's
/// name.
///
/// The archive that a function comes from shows whether it is the compiler's; names would be
/// hundreds.
///
/// # Errors
/// If the text is no map, or a line of it has no size.
pub(super) fn compiler_bytes(map: &str) -> Result<Vec<(String, u64)>> {
    ensure!(
        map.trim_start().starts_with(HEADING),
        "this is no map of the LLVM linker"
    );
    let mut section = String::new();
    let mut found: Vec<(String, u64)> = Vec::new();
    for line in map.lines().skip(1) {
        // Address twice, size, alignment, then the name: of a section at once, of a piece of it
        // after eight spaces, of a symbol after sixteen.
        let mut fields = line.split_whitespace();
        let (Some(size), Some(_)) = (fields.nth(2), fields.next()) else {
            continue;
        };
        let Some(name) = fields.next() else {
            continue;
        };
        if name.starts_with('.') {
            name.clone_into(&mut section);
        }
        if name.contains("libcompiler_builtins-") && line.contains("):(") {
            let size = u64::from_str_radix(size, 16).with_context(|| line.to_owned())?;
            match found.iter_mut().find(|(own, _)| *own == section) {
                Some((_, bytes)) => *bytes += size,
                None => found.push((section.clone(), size)),
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
     VMA      LMA     Size Align Out     In      Symbol
   10104    10104       20     4 .rodata
   10104    10104       20     4         /t/heap.o:(.rodata.table)
   20104    20104      824     4 .text
   20104    20104       50     2         /t/heap.o:(.text.alloc)
   20104    20104       50     1                 alloc
   20564    20564       d0     2         /lib/libcompiler_builtins-6c.rlib(x.o):(.text.memclr)
   20565    20565       d0     1                 compiler_builtins::mem::memset
   20634    20634        c     2         /lib/libcompiler_builtins-6c.rlib(y.o):(.text.memcpy)
";

    #[test]
    fn what_the_compiler_brings_is_told_by_its_archive() {
        let found = compiler_bytes(MAP).expect("a map");
        assert_eq!(found, [(".text".to_owned(), 0xdc)]);
    }

    #[test]
    fn anything_else_is_no_map() {
        assert!(compiler_bytes("Archive member included").is_err());
        assert!(compiler_bytes("").is_err());
    }
}
