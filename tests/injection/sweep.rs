//! The n-th machine call failing, or finding the machine busy, for every n.

use alloc::sync::Arc;
use std::sync::{Mutex, PoisonError};

use archipelago_api::Kernel;
use archipelago_sim::{Call, Hosted, Kind, Mode, Sim, SimGeometry};

use crate::case::Case;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// How often the same refusal is repeated.
pub(crate) const REPEATS: usize = 100;

/// More calls than any operation makes: one that goes on failing beyond them does not end.
const MOST_CALLS: usize = 1000;

/// An operation on a heap.
pub(crate) struct Scenario<G: SimGeometry> {
    /// Makes the heap that the operation finds.
    pub(crate) set_up: fn() -> Case<G>,
    /// The operation. Objects that it allocates stay in the case.
    pub(crate) operate: fn(&mut Case<G>) -> Result<(), Refusal>,
    /// Whether the operation may succeed although a call failed.
    pub(crate) absorbs: bool,
    /// Whether the heap may keep pages that it grew by, free and as scavenged as before: an
    /// operation of several requests undoes no growth of those that succeeded.
    pub(crate) grows: bool,
}

/// A kind of failure that is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Injection {
    /// Calls that can fail for want of a resource fail.
    Failure(Mode),
    /// Interrupts are masked, and the machine is busy.
    Busy(Mode),
}

const INJECTIONS: [Injection; 4] = [
    Injection::Failure(Mode::Once),
    Injection::Failure(Mode::FromThenOn),
    Injection::Busy(Mode::Once),
    Injection::Busy(Mode::FromThenOn),
];

/// Fails every call of the scenario's operation in turn, in every way. Returns how many failures
/// were injected.
pub(crate) fn calls<G: SimGeometry>(scenario: &Scenario<G>) -> usize {
    for_each_injection(|injection, nth| inject(scenario, injection, nth))
}

/// Calls `inject` with every injection at call 1, 2, and so on until it returns 0. Returns the sum.
pub(crate) fn for_each_injection(mut inject: impl FnMut(Injection, usize) -> usize) -> usize {
    let mut injected = 0;
    for injection in INJECTIONS {
        let mut nth = 1;
        loop {
            assert!(nth <= MOST_CALLS, "{injection:?} never runs out of calls");
            println!("{injection:?} at call {nth}");
            let count = inject(injection, nth);
            if count == 0 {
                break;
            }
            injected += count;
            nth += 1;
        }
    }
    injected
}

impl Injection {
    /// Arms `machine` and runs `operate`, with interrupts masked where the machine is to be busy.
    pub(crate) fn during<G: SimGeometry, R>(
        self,
        machine: &Sim<G>,
        nth: usize,
        operate: impl FnOnce() -> R,
    ) -> R {
        let result = match self {
            Self::Failure(mode) => {
                machine.fail_nth(nth, mode);
                operate()
            }
            Self::Busy(mode) => {
                machine.busy_nth(nth, mode);
                masked(operate)
            }
        };
        machine.disarm();
        result
    }
}

/// Runs `operate` with interrupts masked.
pub(crate) fn masked<R>(operate: impl FnOnce() -> R) -> R {
    let interrupts = Hosted::disable_interrupts();
    let result = operate();
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(interrupts) };
    result
}

/// Runs the operation with its `nth` call failing, checks the state that is left, and lets it
/// succeed. Returns how many failures were injected, which is 0 when the operation makes fewer
/// calls.
fn inject<G: SimGeometry>(scenario: &Scenario<G>, injection: Injection, nth: usize) -> usize {
    let mut case = (scenario.set_up)();
    case.check();
    let before = look(scenario, &case, injection);
    let calls = record_calls(&case.rig.machine);
    let machine = case.rig.machine.clone();
    let result = injection.during(&machine, nth, || (scenario.operate)(&mut case));
    case.rig.machine.clear_hook();
    let injected = case.rig.machine.injected();
    let calls = take(&calls);
    match result {
        Ok(()) => {
            let may = injected == 0 || scenario.absorbs || matches!(injection, Injection::Busy(_));
            assert!(may, "a failure was lost");
        }
        Err(refusal) => {
            assert!(injected > 0, "{refusal}, although nothing failed");
            check_result::<G>(refusal, injection, nth, &calls);
            case.check();
            let once = look(scenario, &case, injection);
            once.assert_only_stocked(&before, scenario.grows);
            if !repeat(scenario, &mut case, injection, calls.get(nth - 1).copied()) {
                // The pages that the heap had grown by served.
                case.finish();
                return injected;
            }
            case.check();
            let mut again = look(scenario, &case, injection);
            if scenario.absorbs {
                // Another way used metadata that was in stock, and uses no more of it.
                again.assert_no_more_memory_than(&once);
                let call = calls.get(nth - 1).copied();
                assert!(repeat(scenario, &mut case, injection, call), "refused");
                let once = core::mem::replace(&mut again, look(scenario, &case, injection));
                again.assert_no_more_than(&once);
            } else {
                again.assert_no_more_than(&once);
            }
            let result = (scenario.operate)(&mut case);
            assert_eq!(result, Ok(()), "the same operation, with nothing failing");
        }
    }
    case.finish();
    injected
}

/// A snapshot of the case. A busy machine may leave one step pending, and memory with free pages;
/// an operation that has another way may have taken that memory.
fn look<G: SimGeometry>(scenario: &Scenario<G>, case: &Case<G>, injection: Injection) -> Snapshot {
    match injection {
        Injection::Failure(_) if scenario.absorbs => Snapshot::of(case).with_free_pages_alike(),
        Injection::Failure(_) => Snapshot::of(case),
        Injection::Busy(_) => Snapshot::settled(case).with_free_pages_alike(),
    }
}

/// Repeats the refusal: the same kind of call for as many bytes fails again, wherever it comes now
/// that some metadata is in stock. Where that may be another call each time, every call fails from
/// the first on. Returns whether the operation was refused each time, as it is unless the heap may
/// keep pages that it grew by.
fn repeat<G: SimGeometry>(
    scenario: &Scenario<G>,
    case: &mut Case<G>,
    injection: Injection,
    call: Option<Call>,
) -> bool {
    let machine = case.rig.machine.clone();
    for _ in 1..REPEATS {
        let result = match injection {
            Injection::Failure(mode) if !scenario.absorbs => {
                let call = call.expect("the call that failed was made");
                fail_like(&machine, call, mode);
                let result = (scenario.operate)(case);
                machine.clear_hook();
                machine.disarm();
                result
            }
            Injection::Failure(_) => {
                Injection::Failure(Mode::FromThenOn)
                    .during(&machine, 1, || (scenario.operate)(case))
            }
            Injection::Busy(_) => {
                Injection::Busy(Mode::FromThenOn).during(&machine, 1, || (scenario.operate)(case))
            }
        };
        if result.is_ok() {
            assert!(scenario.grows, "the call that failed did not come again");
            return false;
        }
    }
    true
}

/// Fails calls of the same kind and for as many bytes as `failed`.
fn fail_like<G: SimGeometry>(machine: &Sim<G>, failed: Call, mode: Mode) {
    let armed = machine.clone();
    machine.on_call(move |call| {
        if (call.kind, call.range.bytes()) == (failed.kind, failed.range.bytes()) {
            armed.fail_nth(1, mode);
        }
    });
}

fn check_result<G: SimGeometry>(
    refusal: Refusal,
    injection: Injection,
    nth: usize,
    calls: &[Call],
) {
    let documented = match injection {
        Injection::Failure(Mode::Once) => refusal.is_of(calls[nth - 1], G::GEOMETRY),
        // An operation with a second way reports the error of that way.
        Injection::Failure(Mode::FromThenOn) => calls[nth - 1..]
            .iter()
            .any(|call| refusal.is_of(*call, G::GEOMETRY)),
        Injection::Busy(_) => refusal.is_busy(),
    };
    assert!(documented, "{refusal:?} after {calls:?}");
}

type Recorded = Arc<Mutex<Vec<Call>>>;

/// Records the calls that can fail for want of a resource.
fn record_calls<G: SimGeometry>(machine: &Sim<G>) -> Recorded {
    let recorded = Recorded::default();
    let record = Arc::clone(&recorded);
    machine.on_call(move |call| {
        if matches!(call.kind, Kind::Reserve | Kind::Prepare | Kind::Commit) {
            record
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call);
        }
    });
    recorded
}

fn take(recorded: &Recorded) -> Vec<Call> {
    core::mem::take(&mut recorded.lock().unwrap_or_else(PoisonError::into_inner))
}
