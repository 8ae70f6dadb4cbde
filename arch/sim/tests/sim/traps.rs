//! Touching memory that is not Ready is a page fault of the host.
//!
//! Each case runs in a process of its own, which is this test binary again with a variable that
//! makes the case touch the memory.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use crate::common::{commit, decommit, fault, make_ready, prepare, range, read, release, write};
use archipelago_api::{Machine, Patience, VirtAddr, VirtRange};
use archipelago_sim::{Plain32, Sim, Small};

const CHILD: &str = "ARCHIPELAGO_SIM_TOUCHES";

/// Runs `touch` in a process of its own and checks that it dies of a page fault.
fn dies(test: &str, touch: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        touch();
        return;
    }
    let output = run(test);
    assert_eq!(
        output.status.signal(),
        Some(libc::SIGSEGV),
        "{test}: {output:?}"
    );
}

/// Runs one test of this file in a process of its own.
fn run(test: &str) -> Output {
    let binary = env::current_exe().expect("a test has a binary");
    let name = format!(
        "{}::{test}",
        module_path!().rsplit("::").next().expect("a module")
    );
    Command::new(binary)
        .args([&name, "--exact", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("the binary runs")
}

fn window() -> VirtRange {
    range(0x10_0000, 0x4000)
}

const INSIDE: VirtAddr = VirtAddr::new(0x10_1000);

#[test]
fn ready_memory_does_not_trap() {
    if env::var_os(CHILD).is_some() {
        let sim = Sim::<Plain32>::default();
        make_ready(&sim, window());
        write(&sim, INSIDE, 1);
        return;
    }
    let output = run("ready_memory_does_not_trap");
    assert!(output.status.success(), "{output:?}");
    // Otherwise the page faults of the other cases would prove nothing.
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn reserved_memory_traps() {
    dies("reserved_memory_traps", || {
        let sim = Sim::<Plain32>::default();
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { sim.reserve(window(), Patience::Wait) }.expect("nothing is there");
        read(&sim, INSIDE);
    });
}

#[test]
fn prepared_memory_traps() {
    dies("prepared_memory_traps", || {
        let sim = Sim::<Plain32>::default();
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { sim.reserve(window(), Patience::Wait) }.expect("nothing is there");
        prepare(&sim, window());
        write(&sim, INSIDE, 1);
    });
}

#[test]
fn decommitted_memory_traps() {
    dies("decommitted_memory_traps", || {
        let sim = Sim::<Plain32>::default();
        make_ready(&sim, window());
        decommit(&sim, range(0x10_1000, 0x1000));
        read(&sim, INSIDE);
    });
}

#[test]
fn faulted_memory_traps() {
    dies("faulted_memory_traps", || {
        let sim = Sim::<Plain32>::default();
        make_ready(&sim, window());
        fault(&sim, window());
        read(&sim, INSIDE);
    });
}

#[test]
fn released_memory_traps() {
    dies("released_memory_traps", || {
        let sim = Sim::<Plain32>::default();
        make_ready(&sim, window());
        let pointer = sim.pointer(INSIDE);
        release(&sim, window());
        // SAFETY: the access breaks the contract on purpose, and must trap.
        unsafe { pointer.write_volatile(1) };
    });
}

#[test]
fn a_pointer_outside_every_window_traps() {
    dies("a_pointer_outside_every_window_traps", || {
        let sim = Sim::<Plain32>::default();
        make_ready(&sim, window());
        read(&sim, VirtAddr::new(0x10_4000));
    });
}

#[test]
fn a_small_granule_traps_once_its_whole_host_page_is_not_ready() {
    dies(
        "a_small_granule_traps_once_its_whole_host_page_is_not_ready",
        || {
            let sim = Sim::<Small>::default();
            make_ready(&sim, window());
            for granule in (0x10_1000..0x10_2000).step_by(0x400) {
                decommit(&sim, range(granule, 0x400));
            }
            commit(&sim, range(0x10_1c00, 0x400));
            assert_eq!(read(&sim, VirtAddr::new(0x10_1c00)), 0xA5);
            decommit(&sim, range(0x10_1c00, 0x400));
            read(&sim, INSIDE);
        },
    );
}
