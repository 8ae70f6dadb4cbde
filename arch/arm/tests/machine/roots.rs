//! Words of the first level: found where a CPU finds them, at every boundary.

use alloc::collections::BTreeSet;

use archipelago_api::{Footprint, Machine, Patience, PhysAddr, ReserveError, VirtAddr};
use archipelago_arm::{Link, Walks};
use archipelago_paging_testing::{FrameMemory, Walked as _, life};

use crate::physical::{PAGE, Physical, Source, machine, range};

/// Whether a walk ends in a frame.
fn reached(source: &Source, address: usize) -> bool {
    source.physical.ready(VirtAddr::new(address)).is_some()
}

#[test]
fn a_window_over_the_split_or_at_an_end_is_where_a_walk_goes() {
    for split in 0..=7 {
        let boundary = (1_usize << (32 - split.max(1))) - 16 * PAGE;
        for base in [0, boundary, 0xffff_0000 - 16 * PAGE, 0xfffe_0000] {
            let memory = FrameMemory::new(128, PhysAddr::new(Physical::FIRST), Physical::JUNK);
            let source = Source::over(Physical::divided(memory, split));
            let machine = machine(&source, true);
            let window = range(base, 32);
            life::make_ready(&machine, window);
            let last = window.last().expect("not empty").value();
            for (address, inside) in [
                (base, true),
                (last, true),
                (base + 16 * PAGE, true),
                (base.wrapping_sub(1) & 0xffff_ffff, false),
                (last.wrapping_add(1) & 0xffff_ffff, false),
            ] {
                assert_eq!(reached(&source, address), inside, "{address:#x} N={split}");
                let at = VirtAddr::new(address);
                let word = source.physical.roots(Walks::Coherent).page(at);
                assert_eq!(word, source.physical.second_level(at));
            }
            let frames: BTreeSet<_> = (0..32)
                .filter_map(|i| source.physical.ready(VirtAddr::new(base + i * PAGE)))
                .collect();
            assert_eq!(frames.len(), 32, "a frame for each page");
            source.touch(window);
            // SAFETY:
            // - the window is reserved;
            // - nothing uses it.
            unsafe { machine.release(window, Patience::Wait) }.expect("waited");
            assert_eq!(
                (source.out(), machine.footprint()),
                (0, Footprint::default())
            );
            assert_eq!(source.physical.first_level(window.base()), 0);
        }
    }
}

#[test]
fn a_section_of_the_kernels_refuses_its_four_megabytes() {
    const SECTION: u32 = 0x4000_0c0e;
    let source = Source::new(8);
    let word = source.physical.lower.as_ptr().wrapping_add(0x402);
    // SAFETY: a word of the lower table, which has 2048.
    unsafe { word.write(SECTION) };
    let machine = machine(&source, true);
    let window = range(0x4030_0000, 512);
    let occupied = range(0x4030_0000, 256);
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { machine.reserve(window, Patience::Wait) },
        Err(ReserveError::Occupied { occupied })
    );
    let beside = range(0x4040_0000, 256);
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { machine.reserve(beside, Patience::Wait) }, Ok(()));
}

#[test]
fn a_slot_beyond_the_root_is_one_of_the_root() {
    const SECTION: u32 = 0x4000_0c0e;
    let source = Source::new(8);
    // SAFETY: a word of the lower table, which has 2048.
    unsafe { source.physical.lower.write(SECTION) };
    let roots = source.physical.roots(Walks::Coherent);
    assert_eq!(roots.link(0), Link::Kernel);
    for beyond in [1024, 1 << 20, usize::MAX - 1023] {
        assert_eq!(roots.link(beyond), Link::Kernel, "slot {beyond:#x}");
    }
    assert_eq!(roots.link(1025), Link::Empty);
}
