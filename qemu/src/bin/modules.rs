//! Files that are loaded beside the kernel arrive whole, and stay.
//!
//! The harness passes a file and the command line `bytes=N sum=M`: the file's length and the sum of
//! its bytes.
#![no_std]
#![no_main]

use archipelago_qemu::block::{Block, BlockError, HEADER_BYTES, MAGIC};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, FILL, FRAME_BYTES, Module, PhysRange, entry, physmap, println};

entry!(main);

fn main(mut boot: Boot) -> ! {
    let tests = [
        Test {
            name: "the module has the length and the bytes of the file",
            run: whole,
        },
        Test {
            name: "only a whole boot block is taken for one",
            run: blocks,
        },
        Test {
            name: "no frame of a module is ever handed out",
            run: kept,
        },
        Test {
            name: "the module is whole after all memory was used",
            run: whole,
        },
    ];
    protocol::run(&tests, &mut boot)
}

fn module(boot: &Boot) -> Module {
    boot.info.module().expect("the harness passes a module")
}

/// The number that follows `name=` on the command line.
fn expected(boot: &Boot, name: &str) -> u64 {
    let value = boot.info.value(name).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{name}=N on the command line"))
}

fn whole(boot: &mut Boot) {
    let module = module(boot);
    println!(
        "# {} bytes at {:#x}",
        module.bytes.len(),
        module.range.start
    );
    assert_eq!(module.bytes.len() as u64, expected(boot, "bytes"));
    let sum: u64 = module.bytes.iter().copied().map(u64::from).sum();
    assert_eq!(sum, expected(boot, "sum"));
}

/// A block with the command line `a=1` and the module `xyz`, as the harness writes it.
const BLOCK: [u8; 35] = {
    let mut block = [0; 35];
    let mut at = 0;
    while at < MAGIC.len() {
        block[at] = MAGIC[at];
        at += 1;
    }
    // Lengths of command line and module, and the sum of both contents.
    block[16] = 3;
    block[20] = 4;
    let contents = *b"a=1\0xyz";
    let mut sum = 0;
    let mut at = 0;
    while at < contents.len() {
        block[HEADER_BYTES + at] = contents[at];
        sum += contents[at] as u16;
        at += 1;
    }
    [block[24], block[25]] = sum.to_le_bytes();
    block
};

/// The memory of a frame that holds a block at its start.
fn memory_with(boot: &mut Boot, block: &[u8]) -> &'static [u8] {
    let frame = boot.frames.take().expect("a frame is free");
    let first = physmap(frame);
    // SAFETY: the physmap always maps the frame, and nothing else uses it.
    let memory = unsafe { core::slice::from_raw_parts_mut(first, FRAME_BYTES) };
    memory.fill(0);
    memory[..block.len()].copy_from_slice(block);
    memory
}

fn blocks(boot: &mut Boot) {
    let memory = memory_with(boot, &BLOCK);
    let block = Block::read(0x1000, memory).expect("it is whole");
    let block = block.expect("it starts there");
    assert_eq!(block.command_line, "a=1");
    let module = block.module.expect("it has a module");
    assert_eq!(module.bytes, b"xyz");
    let start = 0x1000 + (BLOCK.len() - module.bytes.len()) as u64;
    assert_eq!((module.range.start, module.range.end), (start, start + 3));

    for cut in [0, HEADER_BYTES - 1] {
        assert!(Block::read(0, &memory[..cut]).is_ok_and(|found| found.is_none()));
    }
    for cut in [HEADER_BYTES, BLOCK.len() - 1] {
        let refused = Block::read(0, &memory[..cut]).expect_err("its end is missing");
        assert!(matches!(refused, BlockError::Length { .. }), "{refused}");
    }
    for damaged in [24, HEADER_BYTES, BLOCK.len() - 1] {
        let mut block = BLOCK;
        block[damaged] ^= 1;
        let memory = memory_with(boot, &block);
        let refused = Block::read(0, memory).expect_err("it is damaged");
        assert!(matches!(refused, BlockError::Sum { .. }), "{refused}");
    }
    for other in 0..MAGIC.len() {
        let mut block = BLOCK;
        block[other] ^= 1;
        let memory = memory_with(boot, &block);
        assert!(Block::read(0, memory).is_ok_and(|found| found.is_none()));
    }
}

fn kept(boot: &mut Boot) {
    let PhysRange { start, end } = module(boot).range;
    while let Some(frame) = boot.frames.take() {
        assert!(
            frame + FRAME_BYTES as u64 <= start || frame >= end,
            "{frame:#x}"
        );
        // Written to, so that the next test would see it.
        let first = physmap(frame);
        // SAFETY: the physmap maps the frame, and the pool has handed it to this kernel.
        unsafe { first.write(!FILL) };
    }
}
