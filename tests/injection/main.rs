//! Failures of the machine leave nothing but metadata in stock.
//!
//! [`inject!`] runs an operation with its n-th machine call failing, for every n until the
//! operation needs fewer calls: once only, and from then on. It does so again with the machine busy
//! and interrupts masked, and with a frame allocator of k frames, or a limit of k frames more, for
//! every k until they suffice. After each refusal the error has to be the documented one, and the
//! heap has to be as it was. A hundred more refusals of the same call must leave no more than one
//! did. Then the operation has to succeed.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

extern crate alloc;

use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::{self, Write};
use std::thread;

mod adjacent;
mod case;
mod growers;
mod growth;
#[cfg(feature = "heap-bits")]
mod kept;
mod opening;
mod planted;
mod refusal;
mod requests;
mod reserve;
#[cfg(feature = "heap-bits")]
mod scannable;
mod shortage;
mod snapshot;
mod sweep;

/// Runs [`sweep::calls`] and [`shortage::sweep`] on an operation: `inject!(set_up, operate)`. Both
/// are functions of the geometry alone, so that every injection finds the same heap. With
/// `absorbs`, the operation may succeed in spite of a failure, because it has another way; where it
/// `grows`, the heap may keep free pages.
macro_rules! inject {
    ($set_up:expr, $operate:expr) => {
        inject!($set_up, $operate, absorbs: false)
    };
    ($set_up:expr, $operate:expr, absorbs: $absorbs:expr) => {
        inject!($set_up, $operate, absorbs: $absorbs, grows: false)
    };
    ($set_up:expr, $operate:expr, absorbs: $absorbs:expr, grows: $grows:expr) => {{
        let scenario = $crate::sweep::Scenario {
            set_up: $set_up,
            operate: $operate,
            absorbs: $absorbs,
            grows: $grows,
        };
        let calls = $crate::sweep::calls(&scenario);
        let frames = $crate::shortage::sweep(&scenario, $crate::shortage::Scarce::Frames);
        let limits = $crate::shortage::sweep(&scenario, $crate::shortage::Scarce::Limit);
        $crate::report(calls + frames + limits);
        assert!(calls >= 4, "an operation that needs the machine can fail");
        assert!(
            frames >= 1 && limits >= 1,
            "an operation that needs memory can lack it"
        );
    }};
}
pub(crate) use inject;

/// Prints how many failures were injected by this test, and by all that have run so far. It goes
/// past the test runner, which would keep it to itself.
fn report(injected: usize) {
    static TOTAL: AtomicUsize = AtomicUsize::new(0);
    let total = TOTAL.fetch_add(injected, Ordering::Relaxed) + injected;
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("{test}: {injected} failures injected, {total} so far\n");
    io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr is there");
}
