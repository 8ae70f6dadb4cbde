//! Every instruction of a call can be followed by an interrupt.
//!
//! The processor's trap flag stops the program after each instruction that it executes in the
//! heap. Then, unless the simulated kernel has masked interrupts, a handler allocates and frees in
//! the same heap, or another thread goes on. Each case runs in a process of its own, which is this
//! program with the name of the case in its environment.
//!
//! `ARCHIPELAGO_STEPS` is the number of calls of a case, and `ARCHIPELAGO_SEED` its seed.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

mod branches;
mod directed;
mod flag;
mod handlers;
mod kernel;
mod objects;
mod trap;

use std::env;
use std::process::Command;

use directed::Call;
use handlers::Run;
use kernel::Stepped;

/// The variable that has the name of a case.
const CASE: &str = "ARCHIPELAGO_STEP_CASE";

/// Calls of a case, unless the environment has another number.
const CALLS: u32 = 500;

fn number(name: &str) -> Option<u64> {
    let asked = env::var(name).ok()?;
    Some(asked.parse().expect("the variable is a number"))
}

/// Runs a case in this process.
fn run(case: &str) {
    let calls = number("ARCHIPELAGO_STEPS").map_or(CALLS, |calls| {
        u32::try_from(calls).expect("a number of calls")
    });
    let run = Run {
        calls,
        seed: number("ARCHIPELAGO_SEED").unwrap_or(1),
        is_without_flag: case.ends_with("without flag"),
    };
    match case {
        "plain flag" | "plain flag, without flag" => handlers::run::<Stepped<1, false>>(run),
        "swap" | "swap, without flag" => handlers::run::<Stepped<1, true>>(run),
        "three CPUs" => handlers::run::<Stepped<3, true>>(run),
        "a taken span is emptied" => directed::empty_a_taken_span::<Stepped<2, false>>(0),
        "a taken span is emptied elsewhere" => directed::empty_a_taken_span::<Stepped<2, true>>(1),
        "misuse" => directed::misuse::<Stepped<2, false>>(Call::Allocate, 0),
        "misuse beside notices" => directed::misuse::<Stepped<2, false>>(Call::ReadNotices, 0),
        "misuse elsewhere beside notices" => {
            directed::misuse::<Stepped<2, true>>(Call::ReadNotices, 1);
        }
        "no misuse" => directed::misuse::<Stepped<2, false>>(Call::NoMistake, 0),
        "misuse in a free" => directed::misuse::<Stepped<2, false>>(Call::Free, 0),
        "misuse elsewhere" => directed::misuse::<Stepped<2, true>>(Call::Allocate, 1),
        "misuse elsewhere in a free" => directed::misuse::<Stepped<2, true>>(Call::Free, 1),
        _ => unreachable!("{case}"),
    }
}

/// The exit code and the output of a case in a process of its own.
fn outcome(test: &str, case: &str, seed: u64) -> (Option<i32>, String) {
    let own = env::current_exe().expect("this program");
    let mut command = Command::new(own);
    command.args(["--exact", test, "--nocapture"]);
    command.env(CASE, case);
    command.env("ARCHIPELAGO_SEED", seed.to_string());
    let output = command.output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code(), text)
}

/// Runs the case that the environment asks for, and otherwise `check`.
fn or_run(check: impl FnOnce()) {
    match env::var(CASE) {
        Ok(case) => run(&case),
        Err(_) => check(),
    }
}

/// Runs a case, which has to end without a fault.
fn passes(test: &str, case: &str) {
    or_run(|| {
        let seed = number("ARCHIPELAGO_SEED").unwrap_or(1);
        let (code, text) = outcome(test, case, seed);
        println!("{case}: {text}");
        assert_eq!(code, Some(0), "{case}, seed {seed}: {text}");
    });
}

/// Runs a case, in which a fault has to be found with one of a few seeds.
fn is_caught(test: &str, case: &str) {
    or_run(|| {
        let is_caught = |seed| {
            let (code, text) = outcome(test, case, seed);
            println!("{case}: {text}");
            code == Some(trap::FAULT) && text.contains("fault: ")
        };
        assert!((1..=5).any(is_caught), "{case}: no fault was found");
    });
}

#[test]
fn handlers_come_where_a_block_is_entered_by_a_plain_flag() {
    passes(
        "handlers_come_where_a_block_is_entered_by_a_plain_flag",
        "plain flag",
    );
}

#[test]
fn handlers_come_where_a_block_is_entered_by_a_swap() {
    passes("handlers_come_where_a_block_is_entered_by_a_swap", "swap");
}

#[test]
fn threads_go_on_on_another_cpu_after_any_instruction() {
    passes(
        "threads_go_on_on_another_cpu_after_any_instruction",
        "three CPUs",
    );
}

#[test]
fn the_last_object_of_a_span_is_freed_while_a_cpu_takes_the_span() {
    let test = "the_last_object_of_a_span_is_freed_while_a_cpu_takes_the_span";
    passes(test, "a taken span is emptied");
}

#[test]
fn another_cpu_frees_the_last_object_of_a_span_while_a_cpu_takes_the_span() {
    let test = "another_cpu_frees_the_last_object_of_a_span_while_a_cpu_takes_the_span";
    passes(test, "a taken span is emptied elsewhere");
}

#[test]
fn handlers_that_free_wrongly_are_told_whatever_they_interrupt() {
    let test = "handlers_that_free_wrongly_are_told_whatever_they_interrupt";
    passes(test, "misuse");
}

#[test]
fn handlers_that_free_wrongly_are_told_in_a_free() {
    let test = "handlers_that_free_wrongly_are_told_in_a_free";
    passes(test, "misuse in a free");
}

#[test]
fn handlers_that_free_wrongly_are_told_while_notices_are_read() {
    let test = "handlers_that_free_wrongly_are_told_while_notices_are_read";
    passes(test, "misuse beside notices");
}

#[test]
fn others_that_free_wrongly_are_told_while_notices_are_read() {
    let test = "others_that_free_wrongly_are_told_while_notices_are_read";
    passes(test, "misuse elsewhere beside notices");
}

#[test]
fn a_mistake_that_is_none_is_noticed() {
    is_caught("a_mistake_that_is_none_is_noticed", "no misuse");
}

#[test]
fn others_that_free_wrongly_are_told_whatever_they_interrupt() {
    let test = "others_that_free_wrongly_are_told_whatever_they_interrupt";
    passes(test, "misuse elsewhere");
}

#[test]
fn others_that_free_wrongly_are_told_in_a_free() {
    let test = "others_that_free_wrongly_are_told_in_a_free";
    passes(test, "misuse elsewhere in a free");
}

#[test]
fn a_plain_flag_that_is_not_there_is_noticed() {
    is_caught(
        "a_plain_flag_that_is_not_there_is_noticed",
        "plain flag, without flag",
    );
}

#[test]
fn a_swap_that_is_not_there_is_noticed() {
    is_caught("a_swap_that_is_not_there_is_noticed", "swap, without flag");
}
