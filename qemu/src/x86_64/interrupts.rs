//! Interrupts from devices: the two interrupt controllers, all of whose lines are off but for the
//! timer's once it is started.

use pic8259::ChainedPics;
use spin::Mutex;
use x86_64::instructions::interrupts;
use x86_64::instructions::port::Port;

/// The timer's vector, the first of its controller's lines.
pub(super) const TIMER_VECTOR: u8 = 40;
const SECOND_CONTROLLER: u8 = TIMER_VECTOR + 8;
const ALL_LINES: u8 = 0xff;
const TIMER_LINE: u8 = 1 << 0;

static CONTROLLERS: Mutex<ChainedPics> = Mutex::new({
    // SAFETY: the vectors are none of the processor's exceptions.
    unsafe { ChainedPics::new(TIMER_VECTOR, SECOND_CONTROLLER) }
});

/// Unmasks interrupts, of which there are none until [`start_timer`](crate::start_timer).
pub fn enable_interrupts() {
    let mut controllers = CONTROLLERS.lock();
    // SAFETY: every PC has the two controllers, interrupts are masked, and the vectors of the first
    // one, which alone will ever have a line on, have their stubs.
    unsafe { controllers.initialize() };
    // SAFETY: turning lines off has no effect on memory.
    unsafe { controllers.write_masks(ALL_LINES, ALL_LINES) };
    drop(controllers);
    interrupts::enable();
}

/// Lets this CPU do nothing until the next interrupt. Interrupts are enabled.
pub fn wait_for_interrupt() {
    x86_64::instructions::hlt();
}

/// Makes the timer interrupt every `nanoseconds`, as nearly as it can: a tick is 838 of them, and a
/// period has 2 to 65,535 ticks.
pub(crate) fn start_timer(nanoseconds: u32) {
    const TICKS_A_SECOND: u64 = 1_193_182;
    const COMMAND: u16 = 0x43;
    const CHANNEL_0: u16 = 0x40;
    /// Channel 0, low byte then high byte, mode 2: an interrupt every so many ticks.
    const RATE: u8 = 0b0011_0100;

    interrupts::without_interrupts(|| {
        let ticks = u64::from(nanoseconds) * TICKS_A_SECOND / 1_000_000_000;
        let divisor = u16::try_from(ticks).unwrap_or(u16::MAX);
        let [low, high] = divisor.max(2).to_le_bytes();
        let mut command = Port::<u8>::new(COMMAND);
        let mut channel = Port::<u8>::new(CHANNEL_0);
        // SAFETY: every PC has the timer there; its channel 0 is wired to the controllers alone.
        unsafe { command.write(RATE) };
        // SAFETY: the timer expects the low byte of the divisor after the command.
        unsafe { channel.write(low) };
        // SAFETY: the timer expects the high byte of the divisor after the low one.
        unsafe { channel.write(high) };
        // SAFETY: the timer's line has a stub, and `handle` ends its interrupts.
        unsafe {
            CONTROLLERS
                .lock()
                .write_masks(ALL_LINES & !TIMER_LINE, ALL_LINES)
        };
    });
}

/// Tells the controller that the timer's interrupt is being handled.
pub(super) fn end_of_timer() {
    // SAFETY: the handler of this vector calls this, once.
    unsafe { CONTROLLERS.lock().notify_end_of_interrupt(TIMER_VECTOR) };
}
