//! Pages and tables of the kernel stay the kernel's, at every level.

use archipelago_api::{Footprint, Machine as _, Patience, PhysAddr, ReserveError, VirtAddr};
use archipelago_paging::FrameAllocator;
use archipelago_paging_testing::{Walked as _, life};

use crate::physical::{PAGE, RAM, Source, machine, range};

const WINDOW: usize = 0xffff_ffd0_0000_0000;
const GIB: usize = 1 << 30;

/// Entries of the kernel: a link, and a page that is readable and executable.
const LINK: u64 = 1;
const CODE: u64 = 0b1011;

fn number(frame: PhysAddr) -> u64 {
    frame.value() >> 12 << 10
}

/// Makes a table of the kernel's at an entry of another one.
fn link(source: &mut Source, table: PhysAddr, index: usize) -> PhysAddr {
    let new = source.allocate_frame().expect("there are frames");
    let memory = source.physical.memory();
    (0..512).for_each(|index| memory.write(new, index, 0_u64));
    memory.write(table, index, number(new) | LINK);
    new
}

#[test]
fn pages_of_every_size_refuse_a_window_by_name() {
    let mut source = Source::new(64);
    let memory = source.physical.memory();
    let root = PhysAddr::new(RAM);
    let middle = link(&mut source, root, WINDOW >> 30 & 511);
    let last = link(&mut source, middle, 0);
    memory.write(last, 5, number(root) | CODE);
    memory.write(middle, 3, number(root) | CODE);
    memory.write(root, (WINDOW >> 30 & 511) + 2, number(root) | CODE);
    let machine = machine(&source, true);
    // SAFETY: no other call of the machine runs meanwhile.
    let reserve = |base, pages| unsafe { machine.reserve(range(base, pages), Patience::Wait) };
    let occupied = |base, bytes: usize| {
        Err(ReserveError::Occupied {
            occupied: range(base, bytes / PAGE),
        })
    };
    assert_eq!(reserve(WINDOW, 16), occupied(WINDOW + 5 * PAGE, PAGE));
    let large = WINDOW + 3 * (2 << 20);
    assert_eq!(reserve(WINDOW + 6 * PAGE, 2048), occupied(large, 2 << 20));
    let huge = WINDOW + 2 * GIB;
    assert_eq!(reserve(WINDOW + GIB, 2 * GIB / PAGE), occupied(huge, GIB));
    assert_eq!(reserve(WINDOW + 6 * PAGE, 16), Ok(()), "beside them");
}

#[test]
fn tables_of_the_kernel_are_used_and_never_freed_full_or_empty() {
    let mut source = Source::new(1024);
    let middle = link(&mut source, PhysAddr::new(RAM), WINDOW >> 30 & 511);
    link(&mut source, middle, 0);
    let machine = machine(&source, true);
    let window = range(WINDOW + 300 * PAGE, 600);
    life::tables_of_the_kernel_stay(&source, &machine, window, window);
}

#[test]
fn a_window_lives_and_dies_at_every_end_of_both_halves() {
    let top = 0_usize.wrapping_sub(1024 * PAGE);
    for base in [0, 0x40_0000_0000 - 1024 * PAGE, 0xffff_ffc0_0000_0000, top] {
        let source = Source::new(1200);
        let machine = machine(&source, true);
        let window = range(base, 1024);
        life::make_ready(&machine, window);
        assert_eq!(source.touch(window), 1024);
        // SAFETY:
        // - the window is Ready;
        // - nothing uses it.
        unsafe { machine.fault(window, Patience::Try) }.expect("no lock is held");
        assert!(source.physical.picture().is_empty());
        let nothing = (0, Footprint::default());
        assert_eq!((source.out(), machine.footprint()), nothing);
    }
}

#[test]
fn half_of_the_space_is_reserved_and_the_hole_is_refused() {
    let source = Source::new(2);
    let machine = machine(&source, true);
    let half = range(0, (1 << 38) / PAGE);
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { machine.reserve(half, Patience::Wait) }, Ok(()));
    assert_eq!(source.out(), 0);
    let hole = range(0x40_0000_0000, 1);
    let refused = Err(ReserveError::Outside { range: hole });
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { machine.reserve(hole, Patience::Wait) }, refused);
    assert_eq!(source.physical.ready(VirtAddr::new(0)), None);
}
