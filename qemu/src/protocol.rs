//! The protocol of tests: the lines that a kernel prints and the harness counts.
//!
//! `1..N` announces N tests; `ok n - name` and `not ok n - name` follow in order, and lines that
//! start with `#` explain. A kernel passes if it says `ok` N times and exits with
//! [`Verdict::Pass`]: the exit code alone could come from a kernel that skipped its tests.

use core::fmt;

use spin::Mutex;

use crate::machine::exit;
use crate::verdict::Verdict;

/// A test of a kernel: it passes by returning, and fails by panicking or faulting.
#[derive(Clone, Copy)]
pub struct Test<C> {
    /// The statement that the test proves, as a sentence.
    pub name: &'static str,
    /// The test. All tests of a kernel share the context.
    pub run: fn(&mut C),
}

impl<C> fmt::Debug for Test<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Test").field(&self.name).finish()
    }
}

/// The test that is running, for the report if it never returns.
static RUNNING: Mutex<Option<(usize, &'static str)>> = Mutex::new(None);

/// Announces `count` tests.
pub fn plan(count: usize) {
    println!("1..{count}");
}

/// Runs one test, the `number`th of its kernel, counted from 1.
pub fn test(number: usize, name: &'static str, run: impl FnOnce()) {
    *RUNNING.lock() = Some((number, name));
    run();
    *RUNNING.lock() = None;
    println!("ok {number} - {name}");
}

/// Announces a text that the report of a failure has to contain, in a kernel that has to fail: the
/// harness looks for it in the lines that follow.
pub fn must_say(text: fmt::Arguments<'_>) {
    println!("must say: {text}");
}

/// Runs the tests in order and ends the machine. The first one that fails ends it too.
pub fn run<C>(tests: &[Test<C>], context: &mut C) -> ! {
    plan(tests.len());
    for (number, one) in (1..).zip(tests) {
        test(number, one.name, || (one.run)(context));
    }
    exit(Verdict::Pass);
}

/// Reports the running test as failed, with the reason.
pub(crate) fn fail(reason: fmt::Arguments<'_>) {
    // `try_lock`: the report may come from the two stores in `test`.
    match RUNNING.try_lock().as_deref() {
        Some(Some((number, name))) => println!("not ok {number} - {name}\n# {reason}"),
        _ => println!("# outside of any test\n# {reason}"),
    }
}
