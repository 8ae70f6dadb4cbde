//! Blocks that another enters for a CPU that is offline, where only handlers may come between
//! (`src/span/owned/outside.rs`).

use alloc::collections::BTreeSet;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use archipelago_api::Reentry;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, fence};
use loom::thread;

use super::hand_over::{self, give_up};
use super::stage::{SLOTS, Stage};
use crate::planted::{self, Site};

/// How the model breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Not at all.
    Kept,
    /// The CPU that comes online has no fence.
    NoFence,
    /// The CPU goes offline without order.
    LeftWithoutOrder,
    /// Two others enter at once.
    NotOneAtATime,
}

// SAFETY: in the model each CPU is a thread, which nothing interrupts.
const HANDLERS: Reentry = unsafe { Reentry::handlers() };

/// A slot that is live from the beginning.
const LIVE: usize = SLOTS[2];

/// A stage, and whether its CPU 0 is online.
struct Scene {
    stage: Arc<Stage>,
    is_online: AtomicBool,
}

impl Scene {
    fn new(is_online: bool) -> Arc<Self> {
        Arc::new(Self {
            stage: Stage::new(&[LIVE]),
            is_online: AtomicBool::new(is_online),
        })
    }

    fn come(&self, rule: Rule) {
        self.is_online.store(true, Relaxed);
        if rule != Rule::NoFence {
            fence(SeqCst);
        }
    }

    fn go(&self, rule: Rule) {
        let order = if rule == Rule::LeftWithoutOrder {
            Relaxed
        } else {
            Release
        };
        self.is_online.store(false, order);
    }

    /// Takes a slot on CPU 0, if its block can be entered. Returns whether it was.
    fn use_block(&self) -> bool {
        let block = self.stage.block(0);
        block.come_back();
        // SAFETY: this is the CPU.
        let Some(entered) = (unsafe { block.enter(HANDLERS) }) else {
            return false;
        };
        self.stage.use_cells();
        if let Some(start) = entered.take(Stage::place()) {
            self.stage.use_slot(self.stage.slot_at(start));
        }
        true
    }

    /// Drains the block of CPU 0, if it is offline. Returns whether it was.
    fn drain(&self, rule: Rule) -> bool {
        let block = self.stage.block(0);
        // SAFETY: the CPU and others do what is asked for, unless a rule is broken.
        let enter = || unsafe { block.enter_from_outside(|| !self.is_online.load(Acquire)) };
        let entered = if rule == Rule::NotOneAtATime {
            enter()
        } else {
            self.stage.with_lists(|_| enter())
        };
        let Some(entered) = entered else {
            return false;
        };
        self.stage.use_cells();
        give_up(&self.stage, &entered, hand_over::Rule::Kept);
        entered.leave_drained();
        true
    }
}

/// A CPU comes online, uses its block and goes offline while another drains the block. Returns
/// whether the CPU and the other entered it.
pub fn beside_a_cpu_that_comes_and_goes(rule: Rule, site: Option<Site>) -> BTreeSet<(bool, bool)> {
    planted::explore_within(Some(3), site, move |outcomes| {
        let scene = Scene::new(false);
        let cpu = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                scene.come(rule);
                let is_used = scene.use_block();
                scene.go(rule);
                is_used
            })
        };
        let is_drained = scene.drain(rule);
        outcomes.note((cpu.join().expect("no panic"), is_drained));
    })
}

/// A CPU comes online when its block was drained, or while another does that. Returns whether it
/// found it drained at once.
pub fn after_a_visit(rule: Rule, site: Option<Site>) -> BTreeSet<bool> {
    planted::explore_within(Some(3), site, move |outcomes| {
        let scene = Scene::new(false);
        let cpu = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                scene.come(rule);
                scene.use_block()
            })
        };
        scene.drain(rule);
        let is_used = cpu.join().expect("no panic");
        assert!(scene.use_block(), "nobody is inside any more");
        outcomes.note(is_used);
    })
}

/// Two others drain a block of a CPU that is offline. Returns whether each entered it.
pub fn two_visits(rule: Rule, site: Option<Site>) -> BTreeSet<(bool, bool)> {
    planted::explore_within(Some(3), site, move |outcomes| {
        let scene = Scene::new(false);
        let other = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.drain(rule))
        };
        let is_first = scene.drain(rule);
        outcomes.note((is_first, other.join().expect("no panic")));
    })
}

/// Two others drain a block while its CPU comes online, uses it and goes offline.
pub fn two_visits_beside_a_cpu(rule: Rule, bound: usize) {
    planted::explore_within(Some(bound), None, move |outcomes| {
        let scene = Scene::new(false);
        let other = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.drain(rule))
        };
        let cpu = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                scene.come(rule);
                scene.use_block();
                scene.go(rule);
            })
        };
        scene.drain(rule);
        other.join().expect("no panic");
        cpu.join().expect("no panic");
        outcomes.note(());
    });
}
