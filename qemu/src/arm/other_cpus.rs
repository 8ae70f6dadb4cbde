//! The other CPUs: their start and their end, for which QEMU has the firmware's calls (PSCI,
//! through the `smccc` crate). No interrupts are needed between CPUs: they tell each other of
//! changes to the page tables.

use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use archipelago_arm::CpuId;
use smccc::psci::{self, AffinityState, LowestAffinityLevel};
use spin::Once;

use super::firmware::Hypervisor;
use super::interrupts::enable_interrupts;
use super::switch;
use crate::cpus;
use crate::handlers::mask_interrupts;

unsafe extern "C" {
    /// The entry code of CPUs but the first.
    static other_cpu_entry: u8;
}

/// The number of the CPU that this runs on, which MPIDR has.
#[inline]
#[must_use]
pub fn current_cpu() -> CpuId {
    let number: u32;
    // SAFETY: reading it changes nothing. Without `nomem`: a thread may be moved to another CPU.
    unsafe {
        asm!("mrc p15, 0, {}, c0, c0, 5", out(reg) number, options(nostack, preserves_flags))
    };
    CpuId(u16::try_from(number & 0xff).expect("masked"))
}

/// Starts another CPU: it runs `main` on `stack`, with interrupts enabled, as they are on the first
/// CPU from now on. CPUs are started one after the other, all by the first one.
///
/// # Panics
/// If the CPU is on already, or does not start.
pub fn start_cpu(cpu: CpuId, stack: NonNull<[u8]>, main: fn() -> !) {
    static FIRST: Once = Once::new();

    FIRST.call_once(enable_interrupts);
    cpus::start(cpu, main, || {
        let end = (stack.as_ptr().cast::<u8>().addr() + stack.len()) & !7;
        let [entry, end] = [(&raw const other_cpu_entry).addr(), end]
            .map(|address| u32::try_from(address).expect("addresses have 32 bits"));
        psci::cpu_on_32::<Hypervisor>(cpu.0.into(), entry, end).is_ok()
    });
}

/// Whether a CPU is on: the first one is, and others are from their start to their end.
#[must_use]
pub fn is_cpu_on(cpu: CpuId) -> bool {
    let state = psci::affinity_info_32::<Hypervisor>(cpu.0.into(), LowestAffinityLevel::All);
    state.is_ok_and(|state| state != AffinityState::Off)
}

/// Ends what this CPU does, for good or until it is started again: it is off from then on, and uses
/// neither its stack nor anything else.
///
/// # Panics
/// If this is the first CPU, or the call is refused.
pub fn stop_this_cpu() -> ! {
    let cpu = current_cpu();
    assert!(cpu.0 != 0, "the first CPU stays on");
    mask_interrupts();
    cpus::has_arrived(cpu).store(false, Ordering::Release);
    let refused = psci::cpu_off::<Hypervisor>();
    panic!("CPU {} is still on: {refused:?}", cpu.0)
}

/// The first function of another CPU, on its stack and with interrupts masked.
pub(super) extern "C" fn begin() -> ! {
    let (cpu, main) = cpus::this_start();
    switch::set_current_thread(cpu.0.into());
    cpus::has_arrived(cpu).store(true, Ordering::Release);
    enable_interrupts();
    main()
}
