//! The contract between the `archipelago` heap and its machine, as tests that any machine's author
//! runs.
//!
//! In a kernel, [`run`] reports on one rule after the other; on a host,
//! [`conformance!`](crate::conformance!) makes a `#[test]` of each:
//!
//! ```text
//! archipelago_conformance::conformance!(my_machine, (MyMachine::new(), window()));
//! ```
//!
//! A machine may offer the suite more than [`Machine`] does: [`Exhaust`] makes its frames run out,
//! [`Contend`] holds its lock. The rules about these run only on machines that implement them.
//!
//! A machine that breaks the contract may do anything, as its `unsafe impl` promised that it does
//! not: the suite finds a fault where it shows, and cannot protect itself from one.
#![no_std]
#![deny(clippy::arithmetic_side_effects)]

mod exhaustion;
mod fixture;
mod memory;
mod progress;
mod states;
mod subject;
mod translation;

use archipelago_api::{Machine, VirtRange};
use fixture::Fixture;
pub use progress::Progress;
pub use subject::{Contend, Exhaust, LEAST_GRANULES, Outcome, Subject};

/// Runs every rule that needs nothing but the machine, and calls `report` after each with its name
/// and outcome.
///
/// A `window` of a few dozen granules is enough, and at least [`LEAST_GRANULES`] are needed: all of
/// it becomes Ready, many times. [`Subject::new`] says what the machine needs for it, and
/// [`Subject::progress`] which rule begins.
///
/// ```text
/// archipelago_conformance::run(&machine, window, &mut |rule, outcome| match outcome {
///     Ok(()) => println!("ok: {rule}"),
///     Err(broken) => println!("FAILED: {rule}: {broken}"),
/// });
/// ```
pub fn run<M: Machine>(
    machine: &M,
    window: VirtRange,
    report: &mut dyn FnMut(&'static str, Outcome),
) {
    Subject::new(machine, window).run(report);
}

impl<M: Machine> Subject<'_, M> {
    /// Tests every rule that this subject can be asked about, and calls `report` after each with
    /// its name and outcome. Each rule finds the window in state None and leaves it so.
    pub fn run(&self, report: &mut dyn FnMut(&'static str, Outcome)) {
        let rules = self.rules().count();
        for (&(rule, test), number) in self.rules().zip(1..) {
            if let Some(progress) = self.progress {
                progress(Progress {
                    rule,
                    number,
                    rules,
                });
            }
            report(rule, self.test(test));
        }
    }

    /// The rules that this subject can be asked about.
    fn rules(&self) -> impl Iterator<Item = &'static (&'static str, Rule<M>)> {
        let exhaust = self.exhaust.map_or(&[][..], |_| Self::EXHAUST_RULES);
        let contend = self.contend.map_or(&[][..], |_| Self::CONTEND_RULES);
        [Self::RULES, exhaust, contend].into_iter().flatten()
    }

    /// Tests one rule by name.
    ///
    /// # Errors
    /// The sentence of the contract that does not hold, or that there is no such rule for this
    /// subject.
    pub fn check(&self, rule: &str) -> Outcome {
        let found = self.rules().find(|(name, _)| *name == rule);
        let none = Err("there is no rule of this name for this machine");
        found.map_or(none, |&(_, test)| self.test(test))
    }

    fn test(&self, rule: Rule<M>) -> Outcome {
        let fixture = Fixture::new(*self)?;
        let outcome = rule(&fixture);
        // A fault that the rule found may be the cause of one that cleaning up finds.
        outcome.and(fixture.clear())
    }
}

/// One rule.
type Rule<M> = fn(&Fixture<'_, M>) -> Outcome;

/// Hands the rules' names to another macro, after its own arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_rules {
    (always, $then:ident $args:tt) => {
        $crate::$then! { $args
            states::reserve_takes_exactly_its_range
            states::reserve_refuses_what_overlaps
            states::reserve_refuses_what_lies_outside
            states::every_path_through_the_states_is_open
            states::fault_takes_a_mix_of_states
            states::release_takes_a_mix_of_states
            states::a_call_that_must_not_wait_is_done_or_busy
            states::decommit_keeps_page_tables
            states::page_tables_go_with_the_last_that_needs_them
            memory::committed_memory_keeps_what_is_written
            memory::memory_reported_zeroed_is_zero
            memory::reserve_and_commit_leave_their_neighbours_alone
            memory::decommit_leaves_its_neighbours_alone
            memory::fault_leaves_its_neighbours_alone
            memory::release_leaves_its_neighbours_alone
            translation::pointer_and_address_are_inverse
            translation::neighbouring_addresses_have_neighbouring_pointers
            translation::any_pointer_may_be_asked_about
            translation::adjacent_windows_are_one_piece
        }
    };
    (exhaust, $then:ident $args:tt) => {
        $crate::$then! { $args
            exhaustion::every_frame_is_accounted_for
            exhaustion::prepare_is_all_or_nothing
            exhaustion::commit_is_all_or_nothing
        }
    };
    (contend, $then:ident $args:tt) => {
        $crate::$then! { $args
            exhaustion::a_busy_machine_changes_nothing
        }
    };
}

/// The table of rules.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_table {
    ([] $($module:ident::$rule:ident)*) => {
        &[$((stringify!($rule), $module::$rule::<M>)),*]
    };
}

impl<M: Machine> Subject<'_, M> {
    const RULES: &'static [(&'static str, Rule<M>)] =
        crate::__conformance_rules!(always, __conformance_table []);
    const EXHAUST_RULES: &'static [(&'static str, Rule<M>)] =
        crate::__conformance_rules!(exhaust, __conformance_table []);
    const CONTEND_RULES: &'static [(&'static str, Rule<M>)] =
        crate::__conformance_rules!(contend, __conformance_table []);
}

/// Makes a module of tests, one for each rule of the contract.
///
/// The second argument is an expression that makes a machine and names a window of it, as
/// [`Subject::new`] wants it; each test evaluates it anew. Where the machine implements [`Exhaust`]
/// or [`Contend`], `exhaust` and `contend` add the rules that need them:
///
/// ```text
/// archipelago_conformance::conformance!(mine, (MyMachine::new(), window()), exhaust, contend);
/// ```
#[macro_export]
macro_rules! conformance {
    ($name:ident, $make:expr $(, $control:ident)* $(,)?) => {
        mod $name {
            use super::*;

            $crate::__conformance_rules!(always, __conformance_tests [$make, always]);
            $($crate::__conformance_rules!($control, __conformance_tests [$make, $control]);)*
        }
    };
}

/// The tests of one table.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ([$make:expr, $control:ident] $($module:ident::$rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                let (machine, window) = $make;
                let subject = $crate::Subject::new(&machine, window);
                let subject = $crate::__conformance_control!(subject, machine, $control);
                assert_eq!(subject.check(stringify!($rule)), Ok(()));
            }
        )*
    };
}

/// The subject with a control that the machine offers.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_control {
    ($subject:ident, $machine:ident, always) => {
        $subject
    };
    ($subject:ident, $machine:ident, $control:ident) => {
        $subject.$control(&$machine)
    };
}

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
