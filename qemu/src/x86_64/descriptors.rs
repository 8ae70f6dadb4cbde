//! Segments, the task state with the stack for double faults, and the interrupt table.

use spin::Once;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
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
static SEGMENTS: Once<Segments> = Once::new();
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
    let segments = SEGMENTS.call_once(|| {
        let mut table = GlobalDescriptorTable::new();
        Segments {
            code: table.append(Descriptor::kernel_code_segment()),
            data: table.append(Descriptor::kernel_data_segment()),
            task_state: table.append(Descriptor::tss_segment(task_state)),
            table,
        }
    });
    segments.load();
    // SAFETY: the selector is that of the task state's descriptor, which has not been loaded
    // before: a processor loads one once, and this is the first.
    unsafe { load_tss(segments.task_state) };
    load_interrupts(INTERRUPTS.call_once(interrupt_table));
}

/// Loads segments and interrupt table on another CPU, which has no task state.
pub(super) fn load_again() {
    SEGMENTS.get().expect("the first CPU made them").load();
    load_interrupts(INTERRUPTS.get().expect("the first CPU made it"));
}

/// The segments of all CPUs.
struct Segments {
    table: GlobalDescriptorTable,
    code: SegmentSelector,
    data: SegmentSelector,
    task_state: SegmentSelector,
}

impl Segments {
    fn load(&'static self) {
        self.table.load();
        // SAFETY: `code` selects a 64-bit kernel code segment of the table just loaded.
        unsafe { CS::set_reg(self.code) };
        // SAFETY: `data` selects a kernel data segment of that table.
        unsafe { SS::set_reg(self.data) };
        // SAFETY: `data` is a data segment; bases and limits are not used in 64-bit mode.
        unsafe { DS::set_reg(self.data) };
        // SAFETY: `data` is a data segment; bases and limits are not used in 64-bit mode.
        unsafe { ES::set_reg(self.data) };
    }
}

fn load_interrupts(table: &'static [Entry<HandlerFunc>; trap::VECTORS]) {
    let limit = u16::try_from(size_of_val(table) - 1).expect("at most 256 entries, 4 KiB");
    let base = VirtAddr::from_ptr(table.as_ptr());
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
