//! The instructions of a replay with the heap and with other allocators, and of reading the trace.

use archipelago_qemu::SECOND_WINDOW;
use archipelago_traces::replay::Mode;

use crate::count::report;
use crate::{Context, MEASURED};

/// Counts the heap's instructions, and other allocators' if they are asked for.
pub(crate) fn run(context: &mut Context) {
    let measured = context.running.beside(&MEASURED, &[SECOND_WINDOW]);
    report(context, "reading", &MEASURED, Mode::Null);
    report(context, "archipelago", &MEASURED, Mode::Bare);
    measured.check();
    #[cfg(feature = "bench")]
    if context.is_asked_for("peers") {
        crate::peers::run(context);
    }
}
