//! Mistakes that end the program: each is made in a process of its own, which is this program with
//! the name of a mistake in its environment.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use archipelago_host::{AllocFlags, HostHeap};

#[global_allocator]
static HEAP: HostHeap = HostHeap::new();

const MISTAKE: &str = "ARCHIPELAGO_HOST_MISTAKE";
const LAYOUT: Layout = Layout::new::<[u64; 5]>();

/// The signals that end a program which aborts, and one which touches inaccessible memory.
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;
const SIGBUS: i32 = 7;

/// Makes the mistake `name`, which nothing survives.
fn make(name: &str) {
    let object = HEAP
        .allocate(LAYOUT, AllocFlags::empty())
        .expect("memory")
        .cast::<u8>();
    match name {
        "free twice" => {
            for _ in 0..2 {
                // SAFETY: none: this is the mistake.
                unsafe { HEAP.dealloc(object.as_ptr(), LAYOUT) };
            }
        }
        "free a local" => {
            let mut local = [0_u64; 5];
            // SAFETY: none: this is the mistake.
            unsafe { HEAP.dealloc((&raw mut local).cast(), LAYOUT) };
        }
        "use after scavenging" => {
            let heap = HostHeap::with_window(16 << 20);
            let large = Layout::new::<[u8; 1 << 20]>();
            let memory: NonNull<u8> = heap
                .allocate(large, AllocFlags::empty())
                .expect("memory")
                .cast();
            // SAFETY: the object was allocated with this layout.
            unsafe { heap.deallocate(memory, large) };
            heap.scavenge(usize::MAX).expect("the machine is free");
            // SAFETY: none: this is the mistake.
            unsafe { memory.write_volatile(1) };
        }
        _ => unreachable!("{name}"),
    }
}

/// The signal that ends this program after a mistake, and its standard error.
fn after(test: &str, mistake: &str) -> (Option<i32>, String) {
    let own = env::current_exe().expect("this program");
    let mut command = Command::new(own);
    command
        .args(["--exact", test, "--nocapture"])
        .env(MISTAKE, mistake);
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.signal(), text)
}

/// Makes the mistake that the environment asks for, and otherwise runs `check`.
fn or_make(check: impl FnOnce()) {
    match env::var(MISTAKE) {
        Ok(mistake) => make(&mistake),
        Err(_) => check(),
    }
}

#[test]
fn misuse_ends_the_program_with_a_report() {
    or_make(|| {
        let test = "misuse_ends_the_program_with_a_report";
        for (mistake, report) in [
            ("free twice", "archipelago: 0x"),
            ("free twice", "freed twice; layout: 40 bytes"),
            ("free a local", "not an address of this heap"),
        ] {
            let (signal, text) = after(test, mistake);
            assert!(text.contains(report), "{mistake}: {text}");
            assert_eq!(signal, Some(SIGABRT), "{mistake}: {text}");
        }
    });
}

#[test]
fn scavenged_memory_is_inaccessible() {
    or_make(|| {
        let (signal, text) = after("scavenged_memory_is_inaccessible", "use after scavenging");
        assert!(
            matches!(signal, Some(SIGSEGV | SIGBUS)),
            "{signal:?}: {text}"
        );
    });
}
