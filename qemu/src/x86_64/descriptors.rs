//! Segments, the task state with the stack for double faults, and the interrupt table.

use spin::Once;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::{Entry, HandlerFunc};
use x86_64::structures::tss::TaskStateSegment;
use x86_64::{PrivilegeLevel, VirtAddr};

use super::trap;

/// The double fault handler's stack: the fault may have come from a stack that is used up.
const DOUBLE_FAULT_STACK: u16 = 0;
const DOUBLE_FAULT_VECTOR: usize = 8;
const STACK_BYTES: usize = 32 << 10;

#[repr(align(16))]
struct Stack([u8; STACK_BYTES]);

static STACK: spin::Mutex<Stack> = spin::Mutex::new(Stack([0; STACK_BYTES]));
static TASK_STATE: Once<TaskStateSegment> = Once::new();
static SEGMENTS: Once<GlobalDescriptorTable> = Once::new();
static INTERRUPTS: Once<[Entry<HandlerFunc>; trap::VECTORS]> = Once::new();

/// Loads all of them, in place of the entry code's segments. Interrupts stay masked.
pub(super) fn load() {
    let task_state = TASK_STATE.call_once(|| {
        let mut state = TaskStateSegment::new();
        // The guard is never dropped: from here on the stack is the processor's.
        let stack = core::mem::ManuallyDrop::new(STACK.lock());
        let end = VirtAddr::from_ptr(&raw const stack.0) + STACK_BYTES as u64;
        state.interrupt_stack_table[usize::from(DOUBLE_FAULT_STACK)] = end;
        state
    });
    let mut selectors = None;
    let segments = SEGMENTS.call_once(|| {
        let mut table = GlobalDescriptorTable::new();
        let code = table.append(Descriptor::kernel_code_segment());
        let data = table.append(Descriptor::kernel_data_segment());
        let state = table.append(Descriptor::tss_segment(task_state));
        selectors = Some((code, data, state));
        table
    });
    let (code, data, state) = selectors.expect("descriptors are loaded once");
    segments.load();
    // SAFETY: `code` selects a 64-bit kernel code segment of the table just loaded.
    unsafe { CS::set_reg(code) };
    // SAFETY: `data` selects a kernel data segment of that table.
    unsafe { SS::set_reg(data) };
    // SAFETY: `data` is a data segment; bases and limits are not used in 64-bit mode.
    unsafe { DS::set_reg(data) };
    // SAFETY: `data` is a data segment; bases and limits are not used in 64-bit mode.
    unsafe { ES::set_reg(data) };
    // SAFETY: `state` selects the task state's descriptor, which has not been loaded before.
    unsafe { load_tss(state) };

    let interrupts = INTERRUPTS.call_once(interrupt_table);
    let limit = u16::try_from(size_of_val(interrupts) - 1).expect("at most 256 entries, 4 KiB");
    let base = VirtAddr::from_ptr(interrupts.as_ptr());
    // SAFETY: the table is static, its entries hold the trap stubs, and the code segment they name
    // is loaded.
    unsafe { lidt(&DescriptorTablePointer { limit, base }) };
}

fn interrupt_table() -> [Entry<HandlerFunc>; trap::VECTORS] {
    let mut table = [const { Entry::missing() }; trap::VECTORS];
    for (vector, entry) in table.iter_mut().enumerate() {
        // SAFETY: the stub takes the frame that the processor pushes for this vector, with its
        // error code where there is one, and returns with `iretq`.
        let options = unsafe { entry.set_handler_addr(trap::stub(vector)) };
        options.set_privilege_level(PrivilegeLevel::Ring0);
        if vector == DOUBLE_FAULT_VECTOR {
            // SAFETY: the task state holds a stack of this index, which nothing else uses.
            unsafe { options.set_stack_index(DOUBLE_FAULT_STACK) };
        }
    }
    table
}
