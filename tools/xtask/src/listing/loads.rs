//! Dependent loads in a function's machine code.
//!
//! A load depends on another if its address was computed from what the other loaded. The count
//! follows values through registers and along every path: a branch carries its state to its label,
//! where states are joined by the longer chain. It knows the instructions that a lookup may be made
//! of and refuses others, calls and loops among them, rather than guess.

use alloc::collections::BTreeMap;

use anyhow::{Result, bail};

/// How many loads each register's value depends on, one after the other. A register without an
/// entry depends on none.
type Depths = BTreeMap<&'static str, u32>;

/// Registers, by any of their names: the 64-bit one comes first and stands for all.
const REGISTERS: &[&[&str]] = &[
    &["rax", "eax", "ax", "al", "ah"],
    &["rbx", "ebx", "bx", "bl", "bh"],
    &["rcx", "ecx", "cx", "cl", "ch"],
    &["rdx", "edx", "dx", "dl", "dh"],
    &["rsi", "esi", "si", "sil"],
    &["rdi", "edi", "di", "dil"],
    &["rbp", "ebp", "bp", "bpl"],
    &["rsp", "esp", "sp", "spl"],
    &["r8", "r8d", "r8w", "r8b"],
    &["r9", "r9d", "r9w", "r9b"],
    &["r10", "r10d", "r10w", "r10b"],
    &["r11", "r11d", "r11w", "r11b"],
    &["r12", "r12d", "r12w", "r12b"],
    &["r13", "r13d", "r13w", "r13b"],
    &["r14", "r14d", "r14w", "r14b"],
    &["r15", "r15d", "r15w", "r15b"],
    &["rip"],
];

/// The flags, which comparisons write and some instructions read, as if they were one register.
const FLAGS: &str = "flags";

/// Beginnings of the names of instructions that read the flags.
const READ_FLAGS: &[&str] = &["cmov", "set", "adc", "sbb"];

/// What an instruction does with its last operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Replaces it by what follows from the other operands.
    Replaces,
    /// Replaces it by what follows from all operands.
    Updates,
    /// Leaves it, and only reads.
    Reads,
    /// Like `Replaces`, but reads no memory.
    Address,
}

/// Instructions by the beginning of their names, the longer before the shorter.
const EFFECTS: &[(&str, Effect)] = &[
    ("cmov", Effect::Updates),
    ("cmp", Effect::Reads),
    ("test", Effect::Reads),
    ("bts", Effect::Updates),
    ("btr", Effect::Updates),
    ("bt", Effect::Reads),
    ("bsf", Effect::Replaces),
    ("bsr", Effect::Replaces),
    ("bswap", Effect::Updates),
    ("lea", Effect::Address),
    ("mov", Effect::Replaces),
    ("set", Effect::Replaces),
    ("add", Effect::Updates),
    ("sub", Effect::Updates),
    ("sbb", Effect::Updates),
    ("adc", Effect::Updates),
    ("and", Effect::Updates),
    ("xor", Effect::Updates),
    ("or", Effect::Updates),
    ("shl", Effect::Updates),
    ("shr", Effect::Updates),
    ("sar", Effect::Updates),
    ("rol", Effect::Updates),
    ("ror", Effect::Updates),
    ("not", Effect::Updates),
    ("neg", Effect::Updates),
    ("inc", Effect::Updates),
    ("dec", Effect::Updates),
    ("imul", Effect::Updates),
];

/// The loads on the longest path of loads that depend on one another, in the text of a function.
///
/// # Errors
/// An instruction that the count does not know, a loop, or a call.
pub(super) fn longest_chain(text: &str) -> Result<u32> {
    let mut function = Function::default();
    for line in text.lines() {
        function.step(line.trim())?;
    }
    Ok(function.longest)
}

#[derive(Debug, Default)]
struct Function {
    /// The state here; `None` after an instruction that does not go on to the next one.
    here: Option<Depths>,
    /// States that branches carry to labels further down.
    waiting: BTreeMap<String, Depths>,
    /// Labels that have been passed.
    passed: Vec<String>,
    longest: u32,
    begun: bool,
}

impl Function {
    fn step(&mut self, line: &str) -> Result<()> {
        if !self.begun {
            self.begun = true;
            self.here = Some(Depths::new());
        }
        if let Some(label) = line.strip_suffix(':') {
            self.passed.push(label.to_owned());
            if let Some(waiting) = self.waiting.remove(label) {
                join(self.here.get_or_insert_default(), &waiting);
            }
            return Ok(());
        }
        let (name, operands) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let Some(here) = &mut self.here else {
            bail!("`{line}` is never reached");
        };
        if name.starts_with("ret") || name == "ud2" {
            self.here = None;
        } else if name.starts_with('j') {
            let label = operands.trim();
            if self.passed.iter().any(|passed| passed == label) {
                bail!("`{line}` goes back: a loop");
            }
            join(self.waiting.entry(label.to_owned()).or_default(), here);
            if name == "jmp" {
                self.here = None;
            }
        } else if !name.starts_with("nop") {
            let loaded = execute(here, line, name, &split(operands))?;
            self.longest = self.longest.max(loaded);
        }
        Ok(())
    }
}

fn join(depths: &mut Depths, other: &Depths) {
    for (register, depth) in other {
        let own = depths.entry(register).or_default();
        *own = (*own).max(*depth);
    }
}

/// Follows one instruction; answers the length of the chain that its load ends, 0 without one.
fn execute(depths: &mut Depths, line: &str, name: &str, operands: &[&str]) -> Result<u32> {
    let known = EFFECTS.iter().find(|(prefix, _)| name.starts_with(prefix));
    let (Some((_, effect)), Some(target)) = (known, operands.last()) else {
        bail!("`{line}` is none of the instructions that the count knows");
    };
    let mut loaded = 0;
    let reads_flags = READ_FLAGS.iter().any(|prefix| name.starts_with(prefix));
    let flags = depths.get(FLAGS).copied().filter(|_| reads_flags);
    let mut depth = flags.unwrap_or(0);
    let sources = &operands[..operands.len() - 1];
    let clears = name.starts_with("xor") && sources.first() == Some(target);
    let reads_target = matches!(effect, Effect::Updates | Effect::Reads) && !clears;
    let read = sources.iter().chain(reads_target.then_some(target));
    for operand in read.filter(|_| !clears) {
        let mut value = 0;
        for register in registers(operand)? {
            value = value.max(depths.get(register).copied().unwrap_or(0));
        }
        if operand.contains('(') && *effect != Effect::Address {
            value += 1;
            loaded = loaded.max(value);
        }
        depth = depth.max(value);
    }
    if matches!(effect, Effect::Updates | Effect::Reads) {
        depths.insert(FLAGS, depth);
    }
    if *effect != Effect::Reads && !target.contains('(') {
        let [register] = registers(target)?[..] else {
            bail!("`{line}` has a target that is no register");
        };
        depths.insert(register, depth);
    }
    Ok(loaded)
}

/// Operands, separated by the commas outside of parentheses.
fn split(operands: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, letter) in operands.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(operands[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(operands[start..].trim());
    parts
}

/// The registers that an operand names.
fn registers(operand: &str) -> Result<Vec<&'static str>> {
    let names = operand.split('%').skip(1);
    names
        .map(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric());
            let name = &rest[..end.unwrap_or(rest.len())];
            let known = REGISTERS.iter().find(|names| names.contains(&name));
            match known.and_then(|names| names.first()) {
                Some(register) => Ok(*register),
                None => bail!("`{operand}`: there is no register {name}"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str) -> u32 {
        longest_chain(text).unwrap_or(u32::MAX)
    }

    #[test]
    fn loads_count_that_depend_on_one_another() {
        assert_eq!(chain("retq"), 0);
        assert_eq!(chain("movq (%rdi), %rax\nmovq 8(%rdi), %rcx\nretq"), 1);
        assert_eq!(chain("movq (%rdi), %rax\nmovq 8(%rax), %rcx\nretq"), 2);
        assert_eq!(chain("movq (%rdi), %rax\nleaq 8(%rax), %rcx\nretq"), 1);
        let indexed = "movq (%rdi), %rax\nshrq $3, %rax\nmovl (%rdx,%rax,4), %eax\nretq";
        assert_eq!(chain(indexed), 2);
        let compared = "movq (%rdi), %rax\ncmpl $0, (%rax)\nsete %al\nretq";
        assert_eq!(chain(compared), 2);
    }

    #[test]
    fn a_register_that_is_cleared_depends_on_nothing() {
        assert_eq!(
            chain("movq (%rdi), %rax\nxorl %eax, %eax\nmovq (%rax), %rax\nretq"),
            1
        );
        assert_eq!(
            chain("movq (%rdi), %rax\nmovl $1, %eax\nmovq (%rax), %rax\nretq"),
            1
        );
        assert_eq!(
            chain("movq (%rdi), %rax\norl $1, %eax\nmovq (%rax), %rax\nretq"),
            2
        );
    }

    #[test]
    fn flags_carry_what_was_loaded() {
        let selected =
            "movq (%rdi), %rax\ntestq %rax, %rax\ncmovneq %rcx, %rdx\nmovq (%rdx), %rax\nretq";
        assert_eq!(chain(selected), 2);
        let as_number = "cmpl $0, (%rdi)\nsete %al\nmovzbl %al, %eax\nmovb (%rdx,%rax), %al\nretq";
        assert_eq!(chain(as_number), 2);
    }

    #[test]
    fn the_longest_path_counts() {
        let short_and_long = "\
            jne .L1
            movq (%rdi), %rdi
            movq (%rdi), %rdi
            .L1:
            movq (%rdi), %rax
            retq";
        assert_eq!(chain(short_and_long), 3);
        let forgotten = "\
            movq (%rdi), %rdi
            jne .L1
            xorl %edi, %edi
            .L1:
            movq (%rdi), %rax
            retq";
        assert_eq!(chain(forgotten), 2, "the branch keeps what was loaded");
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for text in [
            "callq other\nretq",
            ".L1:\nmovq (%rdi), %rdi\njne .L1\nretq",
            "cpuid\nretq",
            "movq (%rdj), %rax\nretq",
        ] {
            assert!(longest_chain(text).is_err(), "{text}");
        }
    }
}
