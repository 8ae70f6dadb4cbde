//! How many loads of a function wait for one another.
//!
//! The machine code is followed once, from its first instruction to its last, with the number of
//! loads on the longest chain that each register's value ends. Code that goes back or calls other
//! code has no such number and is refused.

use alloc::collections::BTreeMap;

use anyhow::{Result, bail};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register,
    RflagsBits,
};

/// The flags that arithmetic writes, all of them.
const STATUS: u32 = RflagsBits::OF
    | RflagsBits::SF
    | RflagsBits::ZF
    | RflagsBits::AF
    | RflagsBits::CF
    | RflagsBits::PF;

/// The number of loads on the longest chain of dependent loads of a function's machine code for
/// x86_64: 0 without a load.
///
/// # Errors
/// If the code has a loop, a call, or bytes that are no instruction.
pub(super) fn longest_chain(code: &[u8]) -> Result<u32> {
    let mut function = Function {
        here: Some(Depths::default()),
        ..Function::default()
    };
    let mut facts = InstructionInfoFactory::new();
    for instruction in Decoder::with_ip(64, code, 0, DecoderOptions::NONE) {
        function.step(&instruction, &mut facts)?;
    }
    Ok(function.longest)
}

/// The length of the longest chain of loads that each value ends.
#[derive(Clone, Debug, Default)]
struct Depths {
    registers: BTreeMap<Register, u32>,
    flags: u32,
}

impl Depths {
    fn get(&self, register: Register) -> u32 {
        let whole = register.full_register();
        self.registers.get(&whole).copied().unwrap_or(0)
    }

    /// Two paths meet: each value is the deeper one of both.
    fn join(&mut self, other: &Self) {
        for (register, depth) in &other.registers {
            let own = self.registers.entry(*register).or_default();
            *own = (*own).max(*depth);
        }
        self.flags = self.flags.max(other.flags);
    }
}

/// A function, as far as it was followed.
#[derive(Debug, Default)]
struct Function {
    /// The values at the next instruction; `None` if the one before never goes on to it.
    here: Option<Depths>,
    /// The values that branches carry to instructions further down.
    waiting: BTreeMap<u64, Depths>,
    longest: u32,
}

impl Function {
    fn step(
        &mut self,
        instruction: &Instruction,
        facts: &mut InstructionInfoFactory,
    ) -> Result<()> {
        let at = instruction.ip();
        if let Some(waiting) = self.waiting.remove(&at) {
            self.here.get_or_insert_default().join(&waiting);
        }
        let Some(here) = &mut self.here else {
            bail!("the instruction at {at:#x} is never reached");
        };
        match instruction.flow_control() {
            _ if instruction.is_invalid() => bail!("the bytes at {at:#x} are no instruction"),
            FlowControl::Next => {
                let loaded = here.execute(instruction, facts);
                self.longest = self.longest.max(loaded);
            }
            FlowControl::Return | FlowControl::Exception => self.here = None,
            flow @ (FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch) => {
                let target = instruction.near_branch_target();
                if target <= at {
                    bail!("the branch at {at:#x} goes back: a loop");
                }
                self.waiting.entry(target).or_default().join(here);
                if flow == FlowControl::UnconditionalBranch {
                    self.here = None;
                }
            }
            _ => bail!("the instruction at {at:#x} leaves the function"),
        }
        Ok(())
    }
}

impl Depths {
    /// Follows one instruction, and returns the length of the chain that its load ends: 0 without
    /// a load.
    fn execute(&mut self, instruction: &Instruction, facts: &mut InstructionInfoFactory) -> u32 {
        let facts = facts.info(instruction);
        let read = facts.used_memory().iter().filter(|one| reads(one.access()));
        let loaded = read.map(|one| 1 + self.get(one.base()).max(self.get(one.index())));
        let loaded = loaded.max().unwrap_or(0);

        let registers = facts.used_registers();
        let inputs = registers.iter().filter(|one| reads(one.access()));
        let inputs = inputs.map(|one| self.get(one.register()));
        let mut depth = inputs.max().unwrap_or(0).max(loaded);
        if instruction.rflags_read() != 0 {
            depth = depth.max(self.flags);
        }

        for one in registers.iter().filter(|one| writes(one.access())) {
            let register = one.register();
            // Pushing and popping move the stack pointer by a constant, whatever they load.
            if instruction.is_stack_instruction() && register.full_register() == Register::RSP {
                continue;
            }
            // Of a register of 64 bits, a write of 32 replaces all, a write of 16 or 8 a part.
            let is_replaced = one.access() != OpAccess::CondWrite && register.size() >= 4;
            let kept = if is_replaced { 0 } else { self.get(register) };
            let whole = register.full_register();
            self.registers.insert(whole, depth.max(kept));
        }
        match instruction.rflags_modified() & STATUS {
            0 => {}
            STATUS => self.flags = depth,
            _ => self.flags = self.flags.max(depth),
        }
        loaded
    }
}

fn reads(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

fn writes(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(code: &[&[u8]]) -> u32 {
        longest_chain(&code.concat()).unwrap_or(u32::MAX)
    }

    const RET: &[u8] = &[0xc3];
    /// `movq (%rdi), %rax`
    const LOAD_RAX: &[u8] = &[0x48, 0x8b, 0x07];
    /// `movq (%rdi), %rdi`
    const LOAD_RDI: &[u8] = &[0x48, 0x8b, 0x3f];
    /// `movq (%rax), %rax`
    const LOAD_AGAIN: &[u8] = &[0x48, 0x8b, 0x00];

    #[test]
    fn loads_count_that_depend_on_one_another() {
        assert_eq!(chain(&[RET]), 0);
        // movq 8(%rdi), %rcx
        assert_eq!(chain(&[LOAD_RAX, &[0x48, 0x8b, 0x4f, 8], RET]), 1);
        // movq 8(%rax), %rcx
        assert_eq!(chain(&[LOAD_RAX, &[0x48, 0x8b, 0x48, 8], RET]), 2);
        // leaq 8(%rax), %rcx
        assert_eq!(chain(&[LOAD_RAX, &[0x48, 0x8d, 0x48, 8], RET]), 1);
        // shrq $3, %rax; movl (%rdx,%rax,4), %eax
        let indexed: &[u8] = &[0x48, 0xc1, 0xe8, 3, 0x8b, 0x04, 0x82];
        assert_eq!(chain(&[LOAD_RAX, indexed, RET]), 2);
        // cmpl $0, (%rax); sete %al
        let compared: &[u8] = &[0x83, 0x38, 0, 0x0f, 0x94, 0xc0];
        assert_eq!(chain(&[LOAD_RAX, compared, RET]), 2);
    }

    #[test]
    fn a_register_that_is_cleared_depends_on_nothing() {
        // xorl %eax, %eax
        assert_eq!(chain(&[LOAD_RAX, &[0x31, 0xc0], LOAD_AGAIN, RET]), 1);
        // movl $1, %eax
        assert_eq!(chain(&[LOAD_RAX, &[0xb8, 1, 0, 0, 0], LOAD_AGAIN, RET]), 1);
        // orl $1, %eax
        assert_eq!(chain(&[LOAD_RAX, &[0x83, 0xc8, 1], LOAD_AGAIN, RET]), 2);
        // movb $1, %al
        assert_eq!(chain(&[LOAD_RAX, &[0xb0, 1], LOAD_AGAIN, RET]), 2);
    }

    #[test]
    fn flags_carry_what_was_loaded() {
        // testq %rax, %rax; cmovneq %rcx, %rdx; movq (%rdx), %rax
        let selected: &[u8] = &[0x48, 0x85, 0xc0, 0x48, 0x0f, 0x45, 0xd1, 0x48, 0x8b, 0x02];
        assert_eq!(chain(&[LOAD_RAX, selected, RET]), 2);
        // cmpl $0, (%rdi); sete %al; movzbl %al, %eax; movb (%rdx,%rax), %al
        let as_number: &[u8] = &[
            0x83, 0x3f, 0, 0x0f, 0x94, 0xc0, 0x0f, 0xb6, 0xc0, 0x8a, 0x04, 0x02,
        ];
        assert_eq!(chain(&[as_number, RET]), 2);
    }

    #[test]
    fn the_stack_pointer_waits_for_no_load() {
        // popq %rbx; popq %rbx
        assert_eq!(chain(&[&[0x5b, 0x5b], RET]), 1);
    }

    #[test]
    fn the_longest_path_counts() {
        // jne over both loads
        let jne: &[u8] = &[0x75, 6];
        assert_eq!(chain(&[jne, LOAD_RDI, LOAD_RDI, LOAD_RAX, RET]), 3);
        // jne over `xorl %edi, %edi`
        let forgotten = [LOAD_RDI, &[0x75, 2], &[0x31, 0xff], LOAD_RAX, RET];
        assert_eq!(chain(&forgotten), 2, "the branch keeps what was loaded");
        // jmp over one load
        assert_eq!(chain(&[&[0x75, 2], &[0xeb, 3], LOAD_RDI, LOAD_RAX, RET]), 2);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let refused: [&[&[u8]]; 5] = [
            // callq
            &[&[0xe8, 0, 0, 0, 0], RET],
            // jne back to the load
            &[LOAD_RDI, &[0x75, 0xfb], RET],
            // jmpq *%rax
            &[&[0xff, 0xe0]],
            // No instruction begins with this byte.
            &[&[0x06], RET],
            // Nothing leads to the load.
            &[RET, LOAD_RDI],
        ];
        for code in refused {
            assert!(longest_chain(&code.concat()).is_err(), "{code:x?}");
        }
    }
}
