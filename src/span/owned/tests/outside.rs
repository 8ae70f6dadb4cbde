//! Blocks that are entered for a CPU that is offline.

use core::cell::Cell;

use archipelago_api::Reentry;

use super::stage::Stage;
use crate::span::owned::block::{CpuBlock, Entered};

// SAFETY: all that runs is a test.
const HANDLERS: Reentry = unsafe { Reentry::handlers() };

/// Enters the block from outside, of a CPU that is offline.
fn visit(block: &CpuBlock) -> Option<Entered<'_>> {
    // SAFETY: all that runs is this test.
    unsafe { block.enter_from_outside(|| true) }
}

/// Enters the block as its CPU does, where handlers may come between.
fn enter(block: &CpuBlock) -> Option<Entered<'_>> {
    // SAFETY: all that runs is this test.
    unsafe { block.enter(HANDLERS) }
}

#[test]
fn one_is_inside_at_a_time() {
    let stage = Stage::new();
    let inside = enter(stage.block).expect("nobody is inside");
    assert!(visit(stage.block).is_none());
    drop(inside);
    let inside = visit(stage.block).expect("nobody is inside");
    stage.block.come_back();
    assert!(enter(stage.block).is_none());
    assert!(visit(stage.block).is_none());
    drop(inside);
    assert!(!stage.block.is_drained());
    assert!(enter(stage.block).is_none(), "it is not as its CPU left it");
    stage.block.come_back();
    assert!(enter(stage.block).is_some());
}

#[test]
fn a_block_that_was_drained_is_entered_after_its_cpu_came_back() {
    let stage = Stage::new();
    assert!(!stage.block.is_drained());
    visit(stage.block)
        .expect("nobody is inside")
        .leave_drained();
    assert!(stage.block.is_drained());
    assert!(enter(stage.block).is_none(), "it is not as its CPU left it");
    visit(stage.block)
        .expect("nobody is inside")
        .leave_drained();
    stage.block.come_back();
    assert!(!stage.block.is_drained());
    assert!(enter(stage.block).is_some());
    // Where threads may come between, whoever enters sees what was done.
    visit(stage.block)
        .expect("nobody is inside")
        .leave_drained();
    // SAFETY: all that runs is this test.
    assert!(unsafe { stage.block.enter(Reentry::THREADS) }.is_some());
    assert!(!stage.block.is_drained());
}

#[test]
fn a_cpu_that_is_online_or_comes_online_is_left_alone() {
    let stage = Stage::new();
    for drained in [false, true] {
        for answers in 0..2 {
            let asked = Cell::new(0);
            let is_offline = || asked.replace(asked.get() + 1) < answers;
            // SAFETY: all that runs is this test.
            let inside = unsafe { stage.block.enter_from_outside(is_offline) };
            assert!(inside.is_none());
            assert_eq!(asked.get(), answers + 1);
            assert_eq!(stage.block.is_drained(), drained, "it is as it was");
        }
        visit(stage.block)
            .expect("nobody is inside")
            .leave_drained();
    }
}

/// The CPU was online between the two questions, and has entered and left.
#[test]
fn a_cpu_that_was_there_in_between_is_left_alone() {
    let stage = Stage::new();
    let asked = Cell::new(0);
    let is_offline = || {
        if asked.replace(asked.get() + 1) == 1 {
            // It had seen that nobody is inside before the mark was set.
            // SAFETY: as the CPU leaves a block that it has entered.
            drop(unsafe { stage.block.entered(HANDLERS) });
        }
        true
    };
    // SAFETY: all that runs is this test.
    assert!(unsafe { stage.block.enter_from_outside(is_offline) }.is_none());
    assert!(enter(stage.block).is_some());
}

#[test]
fn a_drained_block_is_to_be_drained_again_when_it_has_notices() {
    let stage = Stage::new();
    let class = Stage::classes().next().expect("a class");
    let span = stage.full(class);
    visit(stage.block)
        .expect("nobody is inside")
        .leave_drained();
    assert!(stage.block.is_drained());
    span.free_remotely(0);
    assert!(!stage.block.is_drained());
}
