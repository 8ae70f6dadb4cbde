//! A function of an object file: its machine code, and its listing without names that differ from
//! one build to the next.

use alloc::collections::BTreeMap;
use core::fmt::Write;

use anyhow::{Context, Result};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction, SymbolResolver,
    SymbolResult,
};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

/// A function's machine code for x86_64.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) code: Vec<u8>,
    /// The symbols that the linker would put into the code, by their offset in it: their numbers in
    /// the object file.
    symbols: BTreeMap<u64, usize>,
}

impl Function {
    /// Reads the function `name` of an object file.
    ///
    /// # Errors
    /// If `data` is no object file, or has no such function.
    pub(super) fn read(data: &[u8], name: &str) -> Result<Self> {
        let file = object::File::parse(data).context("not an object file")?;
        let symbol = file
            .symbols()
            .find(|symbol| symbol.is_definition() && symbol.name() == Ok(name))
            .with_context(|| format!("there is no function `{name}`"))?;
        let section = symbol.section_index().context("a function of no section")?;
        let section = file.section_by_index(section)?;
        let (start, size) = (symbol.address(), symbol.size());
        let code = section.data_range(start, size)?;
        let code = code.context("a function beyond its section")?.to_vec();
        let symbols = section.relocations().filter_map(|(at, relocation)| {
            let offset = at.checked_sub(start).filter(|offset| *offset < size)?;
            match relocation.target() {
                RelocationTarget::Symbol(symbol) => Some((offset, symbol.0)),
                _ => None,
            }
        });
        let symbols = symbols.collect();
        Ok(Self { code, symbols })
    }

    /// The instructions, one a line, each with its bytes; labels are numbered, and symbols, whose
    /// names hold hashes, are numbered too.
    pub(super) fn listing(&self) -> String {
        let decoder = || Decoder::with_ip(64, &self.code, 0, DecoderOptions::NONE);
        let labels = numbered(decoder().iter().filter_map(|one| branch_target(&one)));
        let names = Names {
            labels: labels.clone(),
            numbers: numbered(self.symbols.values().copied()),
            symbols: self.symbols.clone(),
        };
        let mut formatter = GasFormatter::with_options(Some(Box::new(names)), None);
        formatter.options_mut().set_rip_relative_addresses(true);
        let mut text = String::new();
        for instruction in decoder() {
            if let Some(number) = labels.get(&instruction.ip()) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, ".L{number}:");
            }
            let mut words = String::new();
            formatter.format(&instruction, &mut words);
            let bytes = hexadecimal(self.bytes_of(&instruction));
            let _ = writeln!(text, "\t{bytes:<29}\t{words}");
        }
        text
    }

    fn bytes_of(&self, instruction: &Instruction) -> &[u8] {
        let at = |ip| usize::try_from(ip).unwrap_or(usize::MAX);
        self.code
            .get(at(instruction.ip())..at(instruction.next_ip()))
            .unwrap_or_default()
    }
}

/// The machine code that a listing shows.
#[cfg(test)]
pub(super) fn code_of(listing: &str) -> Vec<u8> {
    let instructions = listing.lines().filter_map(|line| line.strip_prefix('\t'));
    instructions
        .filter_map(|line| line.split('\t').next())
        .flat_map(str::split_whitespace)
        .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// Numbers from 1 on, in the order in which the keys first come.
fn numbered<K: Copy + Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut numbers = BTreeMap::new();
    for key in keys {
        let next = numbers.len() + 1;
        numbers.entry(key).or_insert(next);
    }
    numbers
}

fn branch_target(instruction: &Instruction) -> Option<u64> {
    let is_branch = matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    );
    is_branch.then(|| instruction.near_branch_target())
}

/// Names of the addresses in a listing.
struct Names {
    labels: BTreeMap<u64, usize>,
    numbers: BTreeMap<usize, usize>,
    symbols: BTreeMap<u64, usize>,
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _operand: u32,
        _instruction_operand: Option<u32>,
        address: u64,
        _address_size: u32,
    ) -> Option<SymbolResult<'_>> {
        let bytes = instruction.ip()..instruction.next_ip();
        let name = match self.symbols.range(bytes).next() {
            Some((_, symbol)) => format!("symbol{}", self.numbers.get(symbol)?),
            None if branch_target(instruction) == Some(address) => {
                format!(".L{}", self.labels.get(&address)?)
            }
            None => return None,
        };
        Some(SymbolResult::with_string(address, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_symbols_are_numbered_and_the_code_is_found_again() {
        // leaq (%rip), %rdx; jne .L1; leaq (%rip), %rcx; .L1: retq
        let code = vec![
            0x48, 0x8d, 0x15, 0, 0, 0, 0, 0x75, 7, 0x48, 0x8d, 0x0d, 0, 0, 0, 0, 0xc3,
        ];
        let symbols = [(3, 9), (12, 9)].into();
        let function = Function { code, symbols };
        let listing = function.listing();
        let words: Vec<_> = listing
            .lines()
            .map(|line| line.rsplit('\t').next().unwrap_or_default())
            .collect();
        let expected = [
            "lea symbol1(%rip),%rdx",
            "jne .L1",
            "lea symbol1(%rip),%rcx",
            ".L1:",
            "ret",
        ];
        assert_eq!(words, expected);
        assert_eq!(code_of(&listing), function.code);
    }

    #[test]
    fn what_is_no_object_file_is_an_error() {
        assert!(Function::read(b"text", "lookup").is_err());
    }
}
