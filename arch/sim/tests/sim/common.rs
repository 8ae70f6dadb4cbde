//! Helpers of the simulated machine's tests.

use archipelago_api::{Machine, Patience, VirtAddr, VirtRange};
use archipelago_sim::{Sim, SimGeometry, State};

/// The range of `bytes` bytes from `base`.
pub(crate) fn range(base: usize, bytes: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), bytes).expect("the range does not wrap")
}

/// The range of `count` granules of `G` from `base`.
pub(crate) fn granules<G: SimGeometry>(base: usize, count: usize) -> VirtRange {
    range(base, count << G::GEOMETRY.granule_shift)
}

/// `prepare` that must succeed.
pub(crate) fn prepare<G: SimGeometry>(sim: &Sim<G>, range: VirtRange) {
    // SAFETY: the simulated machine checks the state itself.
    unsafe { sim.prepare(range, Patience::Wait) }.expect("nothing is short");
}

/// `commit` that must succeed.
pub(crate) fn commit<G: SimGeometry>(sim: &Sim<G>, range: VirtRange) {
    // SAFETY: the simulated machine checks the state itself.
    unsafe { sim.commit(range, Patience::Wait) }.expect("nothing is short");
}

/// `decommit` that may wait.
pub(crate) fn decommit<G: SimGeometry>(sim: &Sim<G>, range: VirtRange) {
    // SAFETY:
    // - the simulated machine checks the state itself;
    // - no test keeps a reference into the range.
    unsafe { sim.decommit(range, Patience::Wait) }.expect("it may wait");
}

/// `fault` that may wait.
pub(crate) fn fault<G: SimGeometry>(sim: &Sim<G>, range: VirtRange) {
    // SAFETY:
    // - the simulated machine checks the state itself;
    // - no test keeps a reference into the range.
    unsafe { sim.fault(range, Patience::Wait) }.expect("it may wait");
}

/// `release` that may wait.
pub(crate) fn release<G: SimGeometry>(sim: &Sim<G>, range: VirtRange) {
    // SAFETY:
    // - the simulated machine checks the state itself;
    // - no test keeps a reference into the range.
    unsafe { sim.release(range, Patience::Wait) }.expect("it may wait");
}

/// Takes a range from None to Ready.
pub(crate) fn make_ready<G: SimGeometry>(sim: &Sim<G>, range: VirtRange) {
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { sim.reserve(range, Patience::Wait) }.expect("nothing is there");
    prepare(sim, range);
    commit(sim, range);
}

/// Writes `value` to the byte at `addr`.
pub(crate) fn write<G: SimGeometry>(sim: &Sim<G>, addr: VirtAddr, value: u8) {
    // SAFETY: where the test expects the address to be Ready it is; elsewhere the test is about
    // what happens.
    unsafe { sim.pointer(addr).write_volatile(value) };
}

/// Reads the byte at `addr`.
pub(crate) fn read<G: SimGeometry>(sim: &Sim<G>, addr: VirtAddr) -> u8 {
    // SAFETY: as for `write`; every Ready byte is initialised.
    unsafe { sim.pointer(addr).read_volatile() }
}

/// Checks that every frame is accounted for.
pub(crate) fn check_frames<G: SimGeometry>(sim: &Sim<G>) {
    let footprint = sim.footprint();
    assert_eq!(
        sim.frames_taken() - sim.frames_returned(),
        sim.count(State::Ready) + footprint.table_frames + footprint.held_frames,
        "{sim:?}"
    );
}
