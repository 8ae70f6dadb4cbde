//! Pages and tables of the kernel stay the kernel's.

use archipelago_api::{Machine as _, Patience, ReserveError, VirtRange};
use archipelago_paging_testing::{Picture, Walked as _, life};
use archipelago_x86_64::{MAX_WINDOWS, Paging};
use spin::Mutex;
use x86_64::structures::paging::mapper::CleanUp;
use x86_64::structures::paging::page::PageSize;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, Page, PageTableFlags, PhysFrame, Size1GiB, Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use crate::physical::{Cpu, Mapped, Over, PAGE, Source, machine, range};

const WINDOW: usize = 0xffff_9000_0000_0000;
const GIB: usize = 1 << 30;

/// A kernel that goes on using its mapper and its frames beside the heap.
struct Kernel {
    source: Source,
    pair: &'static Mutex<(Mapped, Source)>,
}

type Machine = Paging<Mapped, Source, &'static Mutex<(Mapped, Source)>, Cpu>;

impl Kernel {
    fn new() -> Self {
        let source = Source::new(1024);
        let pair = (Mapped::over(source.physical), source);
        Self {
            source,
            pair: Box::leak(Box::new(Mutex::new(pair))),
        }
    }

    fn machine(&self) -> Machine {
        // SAFETY:
        // - the locks, or the machine itself, always hold these tables and this source;
        // - only the CPU of the test translates through the tables;
        // - every frame lies in the memory of the test, which is not at address 0;
        // - the CPU of the test needs no setting up;
        // - the tests change no entries of reserved ranges.
        let machine = unsafe { Paging::shared(self.pair) };
        machine.returning().with_tlb(Cpu(self.source))
    }

    /// Maps a page of any size at `address`, onto a frame that is never accessed.
    fn map<S: PageSize + core::fmt::Debug>(&self, address: usize, flags: PageTableFlags)
    where
        Mapped: Mapper<S>,
    {
        let (mapper, frames) = &mut *self.pair.lock();
        let page = Page::<S>::containing_address(VirtAddr::new(address as u64));
        let frame = PhysFrame::containing_address(PhysAddr::new(0x40_0000_0000));
        // SAFETY: no CPU runs on these tables.
        let mapped = unsafe { mapper.map_to(page, frame, flags, frames) };
        mapped.expect("there are frames").ignore();
    }

    fn unmap(&self, address: usize) {
        let (mapper, _) = &mut *self.pair.lock();
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address as u64));
        mapper.unmap(page).expect("it was mapped").1.ignore();
    }
}

const DATA: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

fn occupied(base: usize, bytes: usize) -> Result<(), ReserveError> {
    Err(ReserveError::Occupied {
        occupied: range(base, bytes / PAGE),
    })
}

#[test]
fn pages_of_any_size_refuse_a_window_by_name() {
    let kernel = Kernel::new();
    let machine = kernel.machine();
    kernel.map::<Size4KiB>(WINDOW + 5 * PAGE, DATA);
    kernel.map::<Size2MiB>(WINDOW + GIB, DATA);
    kernel.map::<Size1GiB>(WINDOW + 2 * GIB, DATA);
    // SAFETY: no other call of the machine runs meanwhile.
    let reserve = |base, pages| unsafe { machine.reserve(range(base, pages), Patience::Wait) };
    assert_eq!(reserve(WINDOW, 16), occupied(WINDOW + 5 * PAGE, PAGE));
    assert_eq!(
        reserve(WINDOW + 6 * PAGE, 3 * GIB / PAGE),
        occupied(WINDOW + GIB, 2 << 20)
    );
    let inside_huge = WINDOW + 2 * GIB + 7 * PAGE;
    assert_eq!(reserve(inside_huge, 1), occupied(inside_huge, PAGE));
    assert_eq!(
        reserve(WINDOW + 6 * PAGE, 16),
        Ok(()),
        "beside them there is room"
    );
}

#[test]
fn a_window_that_is_not_of_the_space_or_one_too_many_is_refused() {
    let kernel = Kernel::new();
    let machine = kernel.machine();
    let hole = range(0x7fff_ffff_f000, 2);
    let outside = |range| Err(ReserveError::Outside { range });
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(hole, Patience::Wait) },
        outside(hole)
    );
    for i in 0..MAX_WINDOWS {
        assert_eq!(
            // SAFETY: no other call of the machine runs meanwhile.
            unsafe { machine.reserve(range(WINDOW + i * GIB, 8), Patience::Wait) },
            Ok(())
        );
    }
    let overlapping = range(WINDOW + 4 * PAGE, 8);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(range(WINDOW, 1), Patience::Wait) },
        occupied(WINDOW, PAGE)
    );
    let over = range(WINDOW - GIB, 1);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(over, Patience::Wait) },
        outside(over)
    );
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(range(WINDOW + GIB, 8), Patience::Wait) }.expect("waited");
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(overlapping, Patience::Wait) },
        occupied(WINDOW + 4 * PAGE, 4 * PAGE)
    );
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { machine.reserve(over, Patience::Wait) }, Ok(()));
}

#[test]
fn half_the_address_space_is_reserved_without_a_frame() {
    let kernel = Kernel::new();
    kernel.map::<Size4KiB>(0xffff_ffff_8000_0000, DATA);
    let machine = kernel.machine();
    let before = kernel.source.books().requests;
    let lower_half = range(0, (1 << 47) / PAGE);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(lower_half, Patience::Wait) },
        Ok(())
    );
    assert_eq!(kernel.source.books().requests, before);
}

#[test]
fn what_cannot_be_written_below_a_table_of_the_kernels_is_refused() {
    let kernel = Kernel::new();
    kernel.map::<Size4KiB>(WINDOW, PageTableFlags::PRESENT);
    kernel.unmap(WINDOW);
    let machine = kernel.machine();
    let window = range(WINDOW, 16);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(window, Patience::Wait) },
        occupied(WINDOW, 16 * PAGE)
    );
}

fn without_window(picture: Picture, window: VirtRange) -> Picture {
    let inside = |place: &[usize]| {
        let [l4, l3, l2, l1] = *place else {
            return false;
        };
        let sign = if l4 < 256 { 0 } else { 0xffff << 48 };
        let page = sign | l4 << 39 | l3 << 30 | l2 << 21 | l1 << 12;
        window.contains(archipelago_api::VirtAddr::new(page))
    };
    picture
        .into_iter()
        .filter(|(place, _)| !inside(place))
        .collect()
}

#[test]
fn tables_of_the_kernel_are_used_and_never_freed_full_or_empty() {
    let kernel = Kernel::new();
    // One table that serves the kernel too, and one that is empty but the kernel's.
    kernel.map::<Size4KiB>(WINDOW - PAGE, DATA);
    kernel.map::<Size4KiB>(WINDOW, DATA);
    kernel.unmap(WINDOW);
    let machine = kernel.machine();
    let window = range(WINDOW, 1024);
    life::tables_of_the_kernel_stay(&kernel.source, &machine, window, range(WINDOW, 300));
}

#[test]
fn a_table_that_the_kernel_came_to_use_stays_when_the_heap_leaves() {
    let kernel = Kernel::new();
    let machine = kernel.machine();
    let window = range(WINDOW, 16);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let ours = machine.footprint().table_frames;
    kernel.map::<Size4KiB>(WINDOW + 16 * PAGE, DATA);
    let mapped = without_window(kernel.source.physical.picture(), window);
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window, Patience::Wait) }.expect("waited");
    assert_eq!(kernel.source.physical.picture(), mapped);
    assert_eq!(
        machine.footprint().table_frames,
        ours,
        "still counted, since the machine made them"
    );
}

#[test]
fn a_kernel_that_tidies_its_tables_takes_none_that_are_prepared() {
    let kernel = Kernel::new();
    let machine = kernel.machine();
    let window = range(WINDOW, 600);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let before = kernel.source.physical.picture();
    {
        let (mapper, frames) = &mut *kernel.pair.lock();
        // SAFETY: every empty table is the kernel's.
        unsafe { mapper.clean_up(frames) };
    }
    assert_eq!(kernel.source.physical.picture(), before);
    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Wait) }.expect("its tables are there");
}

#[test]
fn the_level_4_frame_is_the_only_one_a_released_machine_leaves() {
    let mut source = Source::new(64);
    let machine = machine::<Mapped>(&source, true);
    let window = range(WINDOW, 40);
    life::make_ready(&machine, window);
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window, Patience::Wait) }.expect("waited");
    let mut free = 0;
    while source.allocate_frame().is_some() {
        free += 1;
    }
    assert_eq!(free, 63);
}
