//! The trap flag of the processor: with it set, `SIGTRAP` arrives after every instruction.

use core::arch::asm;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Once;

/// No call has more instructions: one that does goes round in circles.
const MOST_STEPS: u64 = 20_000_000;

/// The exit code of a program that has found a fault.
pub(crate) const FAULT: c_int = 3;

/// The bit of the processor's flags.
const TRAP: u64 = 1 << TRAP_SHIFT;
const TRAP_SHIFT: u32 = 8;

/// The place of the flags among the registers of a context.
const FLAGS: usize = libc::REG_EFL.unsigned_abs() as usize;

/// The program has found a fault, and ends.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Whether the next instruction is stepped, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Step,
    Run,
}

/// A stepped call.
#[derive(Clone, Copy)]
struct Call<'w> {
    work: &'w dyn Fn() -> Next,
    steps: &'w Cell<u64>,
}

thread_local! {
    /// The call that this thread makes step by step.
    static CALL: Cell<Option<Call<'static>>> = const { Cell::new(None) };
}

/// Does `call`, and `work` after every instruction of it. Returns how many there were, too.
pub(crate) fn stepped<R>(call: impl FnOnce() -> R, work: &dyn Fn() -> Next) -> (R, u64) {
    handle_signal();
    let steps = Cell::new(0);
    let own = Call {
        work,
        steps: &steps,
    };
    // SAFETY: the call is forgotten before its references end.
    let own = unsafe { core::mem::transmute::<Call<'_>, Call<'static>>(own) };
    CALL.set(Some(own));
    set_flag(true);
    let result = call();
    set_flag(false);
    CALL.set(None);
    (result, steps.get())
}

/// Sets or clears the trap flag. The system clears it for the handler of a signal, and restores it.
pub(crate) fn set_flag(to: bool) {
    if to {
        // SAFETY: the flag makes the signal arrive, which is handled, and does nothing else.
        unsafe { asm!("pushfq", "or qword ptr [rsp], {}", "popfq", const TRAP) };
    } else {
        // SAFETY: compiled code expects the flag to be clear.
        unsafe { asm!("pushfq", "and qword ptr [rsp], ~{}", "popfq", const TRAP) };
    }
}

/// Clears the trap flag, and returns whether it was set.
pub(crate) fn clear_flag() -> bool {
    let flags: u64;
    // SAFETY: the flags are read, and nothing is changed.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    let is_set = flags & TRAP != 0;
    if is_set {
        set_flag(false);
    }
    is_set
}

/// Ends the program because of a fault, wherever that was found.
pub(crate) fn fault(what: fmt::Arguments<'_>) -> ! {
    ENDS.store(true, Relaxed);
    eprintln!("fault: {what}");
    // SAFETY: the process may end anywhere.
    unsafe { libc::_exit(FAULT) }
}

/// Has the system call [`on_trap`].
fn handle_signal() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let handler: extern "C" fn(c_int, *mut c_void, *mut libc::ucontext_t) = on_trap;
        // SAFETY: zero is an action: the default one, in which no signal is blocked.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the action names a function of the right type.
        let failed = unsafe { libc::sigaction(libc::SIGTRAP, &raw const action, ptr::null_mut()) };
        assert_eq!(failed, 0, "the signal can be handled");
    });
}

extern "C" fn on_trap(_: c_int, _: *mut c_void, interrupted: *mut libc::ucontext_t) {
    let Some(call) = CALL.get() else {
        return;
    };
    if ENDS.load(Relaxed) {
        return;
    }
    let steps = call.steps.get() + 1;
    call.steps.set(steps);
    if steps > MOST_STEPS {
        fault(format_args!("a call does not end"));
    }
    // SAFETY: this is a variable of the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the pointer is valid.
    let before = unsafe { errno.read() };
    if (call.work)() == Next::Run {
        // SAFETY: the system lends the context to the handler.
        let registers = unsafe { &mut (*interrupted).uc_mcontext.gregs };
        registers[FLAGS] &= !(1 << TRAP_SHIFT);
    }
    // SAFETY: the pointer is valid.
    unsafe { errno.write(before) };
}
