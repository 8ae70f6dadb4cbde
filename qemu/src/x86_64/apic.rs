//! The interrupt controller of each CPU, through which CPUs interrupt and start one another, and
//! the timer in it. The `x2apic` crate knows the registers.

use core::sync::atomic::{AtomicU32, Ordering};

use archipelago_x86_64::CpuId;
use spin::Mutex;
use x2apic::lapic::{IpiAllShorthand, LocalApic, LocalApicBuilder, TimerDivide, TimerMode};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

use super::paging::physmap;
use crate::cpus::MOST_CPUS;
use crate::handlers::without_interrupts;

/// The physical address at which every CPU finds its own controller.
const BASE: u64 = 0xfee0_0000;

/// The vector of the controller's timer.
pub(super) const TIMER_VECTOR: u8 = 34;
/// The vector of the controller's own errors, which are reported.
const ERROR_VECTOR: u8 = 35;
/// The vector of interrupts that went away before they were taken.
pub(super) const SPURIOUS_VECTOR: u8 = 47;

/// Nanoseconds between interrupts of the timer of a CPU.
static PERIOD: AtomicU32 = AtomicU32::new(0);

struct Controller(LocalApic);

// SAFETY: every CPU finds its own controller at the address that the registers are accessed at, and
// each CPU uses its own entry of `CONTROLLERS` alone.
unsafe impl Send for Controller {}

static CONTROLLERS: [Mutex<Option<Controller>>; MOST_CPUS] =
    [const { Mutex::new(None) }; MOST_CPUS];

/// The number of the CPU that this runs on. The base of the segment `gs`, which kernels use for
/// nothing else, holds it: to read it is one instruction, before or after which a thread may be
/// moved to another CPU.
#[inline]
#[must_use]
pub fn current_cpu() -> CpuId {
    let number = GsBase::read().as_u64() & u64::from(u16::MAX);
    CpuId(u16::try_from(number).expect("masked"))
}

/// Gives this CPU its number. The first one has 0 from the start.
pub(super) fn set_current_cpu(cpu: CpuId) {
    GsBase::write(VirtAddr::new(cpu.0.into()));
}

/// Runs `work` with the controller of this CPU, which [`turn_on`] has made.
fn with<R>(work: impl FnOnce(&mut LocalApic) -> R) -> R {
    without_interrupts(|| {
        let mut controller = CONTROLLERS[usize::from(current_cpu().0)].lock();
        work(&mut controller.as_mut().expect("the controller is on").0)
    })
}

/// Lets this CPU take interrupts from others.
pub(super) fn turn_on() {
    let built = LocalApicBuilder::new()
        .timer_vector(TIMER_VECTOR.into())
        .error_vector(ERROR_VECTOR.into())
        .spurious_vector(SPURIOUS_VECTOR.into())
        .timer_mode(TimerMode::OneShot)
        .timer_divide(TimerDivide::Div1)
        .timer_initial(0)
        .set_xapic_base(physmap(BASE).addr() as u64)
        .build();
    let mut controller = built.unwrap_or_else(|error| panic!("no interrupt controller: {error}"));
    without_interrupts(|| {
        // SAFETY: every CPU since the Pentium has its controller there, the vectors have stubs, and
        // the timer stands still.
        unsafe { controller.enable() };
        *CONTROLLERS[usize::from(current_cpu().0)].lock() = Some(Controller(controller));
    });
}

/// Ends an interrupt of the timer, or from another CPU.
pub(super) fn end() {
    // SAFETY: an interrupt is being handled.
    with(|controller| unsafe { controller.end_of_interrupt() });
}

/// Interrupts all other CPUs, those included that were never started, which ignore it.
pub(super) fn interrupt_others(vector: u8) {
    let others = IpiAllShorthand::AllExcludingSelf;
    // SAFETY: the vector has its stub on every CPU.
    with(|controller| unsafe { controller.send_ipi_all(vector, others) });
}

/// Has another CPU begin at a physical address below 1 MiB, the first of a page, in real mode. The
/// CPU is reset first, whatever it did.
pub(super) fn start(cpu: CpuId, address: u32) {
    let page = u8::try_from(address >> 12).expect("the address is below 1 MiB");
    // Where the controllers have the receiver's number.
    let receiver = u32::from(cpu.0) << 24;
    // Processors want to be left alone for 10 ms between the two, which QEMU's do not.
    // SAFETY: the CPU has stopped, or was never started.
    with(|controller| unsafe { controller.send_init_ipi(receiver) });
    // SAFETY: the code at the address is for a CPU that starts.
    with(|controller| unsafe { controller.send_sipi(page, receiver) });
}

/// Makes the timer of this CPU interrupt every `nanoseconds`, which are the ticks of QEMU's
/// controllers, counted from the end of its handler.
pub(crate) fn start_cpu_timer(nanoseconds: u32) {
    PERIOD.store(nanoseconds.max(1), Ordering::Relaxed);
    // SAFETY: the timer's vector has its stub.
    with(|controller| unsafe { controller.enable_timer() });
    set_timer();
}

/// Lets the timer of this CPU go off once, a period from now.
pub(super) fn set_timer() {
    let period = PERIOD.load(Ordering::Relaxed);
    // SAFETY: the timer's vector has its stub.
    with(|controller| unsafe { controller.set_timer_initial(period) });
}
