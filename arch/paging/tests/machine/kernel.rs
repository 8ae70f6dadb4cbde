//! Pages and tables of the kernel stay the kernel's.

use archipelago_api::{Machine as _, Patience, ReserveError, VirtAddr};
use archipelago_paging::{FrameAllocator, MAX_WINDOWS};
use archipelago_paging_testing::life;

use crate::physical::{BLOCK, Lower, PAGE, SLOT_BYTES, Upper, Whole, range};
use crate::source::{Source, machine};

const WINDOW: usize = 0x5000_0000;

fn occupied(base: usize, pages: usize) -> Result<(), ReserveError> {
    Err(ReserveError::Occupied {
        occupied: range(base, pages),
    })
}

#[test]
fn a_page_or_a_block_of_the_kernels_refuses_a_window_by_name() {
    let mut source = Source::new(64);
    let table = source.allocate_frame().expect("there are frames");
    source.physical.link(VirtAddr::new(WINDOW), table);
    let kernels = u32::from_ne_bytes([0xff; 4]);
    source
        .physical
        .map(VirtAddr::new(WINDOW + 5 * PAGE), kernels);
    source.physical.slots()[WINDOW / SLOT_BYTES + 2] = BLOCK;
    let machine = machine::<Whole>(&source, true);
    // SAFETY: no other call of the machine runs meanwhile.
    let reserve = |base, pages| unsafe { machine.reserve(range(base, pages), Patience::Wait) };
    assert_eq!(reserve(WINDOW, 16), occupied(WINDOW + 5 * PAGE, 1));
    let block = WINDOW + 2 * SLOT_BYTES;
    assert_eq!(reserve(WINDOW + 6 * PAGE, 4096), occupied(block, 1024));
    assert_eq!(reserve(block + PAGE, 2), occupied(block + PAGE, 2));
    assert_eq!(reserve(WINDOW + 6 * PAGE, 16), Ok(()), "beside it");
}

#[test]
fn a_table_of_the_kernels_is_used_and_never_freed_full_or_empty() {
    let mut source = Source::new(1200);
    let table = source.allocate_frame().expect("there are frames");
    source.physical.link(VirtAddr::new(WINDOW), table);
    let machine = machine::<Whole>(&source, true);
    let window = range(WINDOW + 1000 * PAGE, 100);
    life::tables_of_the_kernel_stay(&source, &machine, window, window);
}

#[test]
fn a_window_outside_of_the_space_is_refused() {
    let source = Source::new(8);
    let outside = |range| Err(ReserveError::Outside { range });
    let over = range(0x7fff_f000, 2);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine::<Lower>(&source, true).reserve(over, Patience::Wait) },
        outside(over)
    );
    let under = range(0xbfff_f000, 2);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine::<Upper>(&source, true).reserve(under, Patience::Wait) },
        outside(under)
    );
    let top = range(0xffff_f000, 1);
    let whole = machine::<Whole>(&source, true);
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { whole.reserve(top, Patience::Wait) }, Ok(()));
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { whole.reserve(top, Patience::Wait) },
        occupied(0xffff_f000, 1)
    );
}

#[test]
fn there_is_room_for_a_hundred_windows_and_one_too_many_is_refused() {
    let source = Source::new(8);
    let machine = machine::<Whole>(&source, true);
    // Scattered: 127 and 256 have no common divisor.
    let window = |i: usize| range(WINDOW + i * 127 % 256 * 2 * SLOT_BYTES / 4, 8);
    const { assert!(MAX_WINDOWS >= 100) };
    for i in 0..MAX_WINDOWS {
        assert_eq!(
            // SAFETY: no other call of the machine runs meanwhile.
            unsafe { machine.reserve(window(i), Patience::Wait) },
            Ok(())
        );
    }
    let over = range(WINDOW - SLOT_BYTES, 1);
    let refused = Err(ReserveError::Outside { range: over });
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { machine.reserve(over, Patience::Wait) }, refused);
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window(40), Patience::Wait) }.expect("waited");
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { machine.reserve(over, Patience::Wait) }, Ok(()));
    assert_eq!(source.books().requests, 0);
}
