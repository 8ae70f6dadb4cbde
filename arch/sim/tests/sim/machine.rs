//! The simulated machine keeps the contract, in every shape of address space.

use crate::common::{
    check_frames, commit, decommit, fault, granules, make_ready, prepare, range, read, release,
    write,
};
use archipelago_api::{
    CommitError, Contents, Machine, Patience, PrepareError, ReserveError, VirtAddr, VirtRange,
};
use archipelago_sim::{Plain31, Plain32, Sim, SimGeometry, Small, State, WidePage};

/// Windows at both ends of the space, one of odd granules, and on x86_64 the ends of both halves.
fn windows<G: SimGeometry>() -> Vec<VirtRange> {
    let geometry = G::GEOMETRY;
    let granule = geometry.granule_bytes();
    let bytes = 8 * granule;
    let top = geometry.address(geometry.last_offset()).value();
    let mut bases = vec![
        geometry.base,
        top - (bytes - 1),
        geometry.base + 5 * granule + (1 << 20),
    ];
    if geometry.base != 0 {
        bases.extend([0, usize::MAX - (bytes - 1)]);
    }
    bases.into_iter().map(|base| range(base, bytes)).collect()
}

/// Takes windows from None to Ready and back, and checks all that holds whatever the geometry.
fn round_trip<G: SimGeometry>(sim: &Sim<G>) {
    let granule = G::GEOMETRY.granule_bytes();
    for window in windows::<G>() {
        let last = window.last().expect("a window is not empty");
        assert_eq!(sim.state(window.base()), State::None);
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
        assert_eq!(sim.ranges(), [(window, State::Reserved)]);
        prepare(sim, window);
        assert_eq!(sim.ranges(), [(window, State::Prepared)]);
        commit(sim, window);
        assert_eq!(sim.ranges(), [(window, State::Ready)]);
        sim.check_access(window.base(), window.bytes());
        for addr in [window.base(), last] {
            write(sim, addr, 17);
            assert_eq!(read(sim, addr), 17);
            let pointer = sim.pointer(addr);
            assert_eq!(sim.address(pointer), Some(addr));
            let unit = if usize::BITS > 32 { 1 << 28 } else { 1 << 25 };
            assert_eq!(pointer.addr().get() % unit, addr.value() % unit);
        }
        check_frames(sim);
        let (low, high) = window.split_at(window.bytes() / 2).expect("half of it");
        decommit(sim, low);
        assert_eq!(sim.ranges(), [(low, State::Prepared), (high, State::Ready)]);
        assert_eq!(sim.count(State::Ready), high.bytes() / granule);
        assert_eq!(read(sim, last), 17);
        fault(sim, window);
        assert_eq!(sim.ranges(), [(window, State::Reserved)]);
        assert_eq!(sim.footprint().table_frames, 0);
        release(sim, window);
        assert_eq!(sim.ranges(), []);
        assert_eq!(sim.frames_taken(), sim.frames_returned());
    }
}

/// Every byte is looked at, but for a sample under Miri.
const STEP: usize = if cfg!(miri) { 255 } else { 1 };

/// Contents after commit, anew after each decommit, down to a single granule.
fn contents<G: SimGeometry>(traps: bool) {
    for (zeroed, contents, fill) in [
        (true, Contents::Zeroed, 0),
        (false, Contents::Unknown, 0xA5),
    ] {
        let sim = Sim::<G>::builder()
            .zeroed_frames(zeroed)
            .traps(traps)
            .build();
        let window = windows::<G>()[2];
        make_ready(&sim, window);
        let granule = G::GEOMETRY.granule_bytes();
        for position in 0..window.bytes() / granule {
            let base = window.base().value() + position * granule;
            let one = granules::<G>(base, 1);
            for addr in (base..base + granule).step_by(STEP) {
                assert_eq!(read(&sim, VirtAddr::new(addr)), fill);
                write(&sim, VirtAddr::new(addr), 1);
            }
            decommit(&sim, one);
            // SAFETY: the simulated machine checks the state itself.
            let found = unsafe { sim.commit(one, Patience::Wait) };
            assert_eq!(found, Ok(contents));
            for addr in (base..base + granule).step_by(STEP) {
                assert_eq!(read(&sim, VirtAddr::new(addr)), fill);
            }
        }
    }
}

/// The settings of traps under test: on and off, or off alone where the host has none.
const TRAPS: &[bool] = if cfg!(miri) { &[false] } else { &[true, false] };

macro_rules! for_every_shape {
    ($($module:ident: $shape:ty),* $(,)?) => {$(
        mod $module {
            use super::*;

            #[test]
            fn states_frames_and_bias_hold_at_every_edge_of_the_space() {
                for &traps in TRAPS {
                    round_trip(&Sim::<$shape>::builder().traps(traps).build());
                }
            }

            #[test]
            fn commit_fills_anew_whatever_was_there() {
                for &traps in TRAPS {
                    contents::<$shape>(traps);
                }
            }
        }
    )*};
}

for_every_shape! {
    plain32: Plain32,
    plain31: Plain31,
    small: Small,
    wide_page: WidePage,
}

#[cfg(target_pointer_width = "64")]
for_every_shape!(x86_64: archipelago_sim::X86_64);

#[test]
fn tables_come_from_the_same_frames_and_go_when_nothing_needs_them() {
    let sim = Sim::<Plain32>::builder().frames(10).build();
    let window = range(0x1ff_f000, 0x2000);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    prepare(&sim, window);
    assert_eq!(
        sim.footprint().table_frames,
        3,
        "two last-level tables below one upper table"
    );
    assert_eq!(sim.available_frames(), 7);
    let (low, high) = window.split_at(0x1000).expect("half of it");
    fault(&sim, low);
    assert_eq!(sim.footprint().table_frames, 2);
    fault(&sim, high);
    assert_eq!(
        (sim.footprint().table_frames, sim.available_frames()),
        (0, 10)
    );
}

#[test]
fn prepare_and_commit_that_lack_frames_leave_everything_as_it_was() {
    let sim = Sim::<Plain32>::builder().frames(1).build();
    let window = range(0x10_0000, 0x4000);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    // SAFETY: the simulated machine checks the state itself.
    let refused = unsafe { sim.prepare(window, Patience::Wait) };
    assert_eq!(
        refused,
        Err(PrepareError::PageTables {
            needed: 2,
            available: 1
        })
    );
    assert_eq!(sim.ranges(), [(window, State::Reserved)]);
    sim.set_available_frames(5);
    prepare(&sim, window);
    // SAFETY: the simulated machine checks the state itself.
    let refused = unsafe { sim.commit(window, Patience::Wait) };
    assert_eq!(
        refused,
        Err(CommitError::Frames {
            needed: 4,
            available: 3
        })
    );
    assert_eq!(sim.ranges(), [(window, State::Prepared)]);
    assert_eq!(sim.available_frames(), 3);
    check_frames(&sim);
}

#[test]
fn frames_that_are_not_taken_back_are_held_and_used_first() {
    let sim = Sim::<Plain32>::builder()
        .frames(8)
        .takes_back(false)
        .build();
    let window = range(0x10_0000, 0x6000);
    make_ready(&sim, window);
    assert_eq!(sim.available_frames(), 0);
    decommit(&sim, window);
    assert_eq!((sim.footprint().held_frames, sim.frames_returned()), (6, 0));
    check_frames(&sim);
    commit(&sim, window);
    assert_eq!((sim.footprint().held_frames, sim.frames_taken()), (0, 8));
    release(&sim, window);
    assert_eq!(
        (sim.footprint().held_frames, sim.footprint().table_frames),
        (8, 0)
    );
    check_frames(&sim);
}

#[test]
fn reserve_refuses_what_is_taken_and_what_is_outside() {
    let sim = Sim::<Plain31>::default();
    let window = range(0x10_0000, 0x4000);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    let over = range(0xf_f000, 0x2000);
    let occupied = ReserveError::Occupied {
        occupied: range(0x10_0000, 0x1000),
    };
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { sim.reserve(over, Patience::Wait) }, Err(occupied));
    let foreign = range(0x20_0000, 0x1000);
    sim.occupy(foreign);
    let around = range(0x1f_0000, 0x20_0000);
    let occupied = ReserveError::Occupied { occupied: foreign };
    assert_eq!(
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { sim.reserve(around, Patience::Wait) },
        Err(occupied)
    );
    let beyond = range(0x7fff_f000, 0x2000);
    let outside = ReserveError::Outside { range: beyond };
    // SAFETY: no other call of the machine runs meanwhile.
    assert_eq!(unsafe { sim.reserve(beyond, Patience::Wait) }, Err(outside));
    assert_eq!(sim.ranges(), [(window, State::Reserved)]);
}

#[test]
fn a_released_window_is_reserved_again_in_any_cut() {
    let sim = Sim::<Plain32>::default();
    let times = if cfg!(miri) { 20 } else { 1000 };
    for _ in 0..times {
        let window = range(0x10_0000, 0x4000);
        make_ready(&sim, window);
        release(&sim, window);
    }
    let shifted = range(0x10_2000, 0x4000);
    make_ready(&sim, shifted);
    for addr in [shifted.base(), VirtAddr::new(0x10_5fff)] {
        write(&sim, addr, 3);
        assert_eq!(sim.address(sim.pointer(addr)), Some(addr));
    }
}

#[test]
fn a_pointer_into_a_window_that_another_took_over_has_no_address() {
    // Without traps, host memory is one piece up to a multiple of 256 MiB, here 0x1000_0000.
    let sim = Sim::<Plain32>::builder().traps(false).build();
    let addr = VirtAddr::new(0xfff_e000);
    let window = range(0xfff_c000, 0x4000);
    make_ready(&sim, window);
    let stale = sim.pointer(addr);
    assert_eq!(sim.address(stale), Some(addr));
    release(&sim, window);
    make_ready(&sim, range(0xfff_e000, 0x4000));
    assert_ne!(sim.pointer(addr), stale);
    assert_eq!(sim.address(stale), None);
}

/// Reserves two windows that touch, and checks that they are one piece of memory.
fn adjacent<G: SimGeometry>(sim: &Sim<G>, base: usize, low_first: bool) {
    let (low, high) = (granules::<G>(base, 3), granules::<G>(base, 7));
    let high = high.split_at(low.bytes()).expect("longer").1;
    let order = if low_first { [low, high] } else { [high, low] };
    for window in order {
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    }
    let both = range(base, low.bytes() + high.bytes());
    prepare(sim, both);
    commit(sim, both);
    let first = sim.pointer(low.base());
    // SAFETY: both windows are Ready and one piece of memory.
    let above = unsafe { first.add(low.bytes()) };
    assert_eq!(sim.pointer(high.base()), above);
    write(sim, high.base(), 23);
    // SAFETY: as above.
    assert_eq!(unsafe { above.read_volatile() }, 23);
    release(sim, both);
    assert_eq!(sim.frames_taken(), sim.frames_returned());
}

#[test]
fn adjacent_windows_are_one_piece_of_memory() {
    for low_first in [true, false] {
        for traps in [true, false] {
            let sim = Sim::<Plain32>::builder().traps(traps).build();
            adjacent(&sim, 0x10_0000, low_first);
            let sim = Sim::<Small>::builder().traps(traps).build();
            adjacent(&sim, 0x1_0400, low_first);
        }
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn windows_that_meet_where_addresses_wrap_stay_two_ranges() {
    let sim = Sim::<archipelago_sim::X86_64>::default();
    let upper = range(usize::MAX - 0x3fff, 0x4000);
    let lower = range(0, 0x4000);
    for window in [upper, lower] {
        // SAFETY: no other call of the machine runs meanwhile.
        unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    }
    assert_eq!(
        sim.ranges(),
        [(upper, State::Reserved), (lower, State::Reserved)]
    );
}

#[test]
fn foreign_pointers_have_no_address_and_foreign_addresses_a_dangling_pointer() {
    let sim = Sim::<Plain32>::builder().traps(false).build();
    let window = range(0x10_0000, 0x4000);
    let local = 0_u8;
    assert_eq!(sim.address((&local).into()), None);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    assert_eq!(sim.address((&local).into()), None);
    assert_eq!(sim.address(core::ptr::NonNull::dangling()), None);
    let above = VirtAddr::new(0x2000_0000);
    assert_eq!(sim.pointer(above), core::ptr::NonNull::dangling());
    assert_eq!(
        sim.pointer(VirtAddr::new(usize::MAX)),
        core::ptr::NonNull::dangling()
    );
}

#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
fn a_window_of_a_terabyte_costs_what_is_touched_of_it() {
    let sim = Sim::<archipelago_sim::X86_64>::default();
    let window = range(0xffff_c000_0000_0000, 1 << 40);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(window, Patience::Wait) }.expect("nothing is there");
    let far = range(0xffff_c0ff_ffff_f000, 0x1000);
    prepare(&sim, far);
    commit(&sim, far);
    write(&sim, far.base(), 9);
    assert_eq!(read(&sim, far.base()), 9);
    assert_eq!(sim.footprint().table_frames, 3);
    assert_eq!(sim.frames_taken(), 4);
}
