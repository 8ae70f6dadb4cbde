//! Bounds on the cost of the heap: bytes of metadata, the share of memory that is live, the bytes
//! that an object occupies. All figures are counted. `cargo xtask bench` prints them beside those
//! of other heaps, and those that take a kernel to count.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

use core::alloc::Layout;

use archipelago_bench::{Archipelago, PAGE, fill, metadata, occupied, stride};
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{Plain31, Plain32, SimGeometry};

const MIB: usize = 1 << 20;

fn first_metadata_is_at_most<G: SimGeometry>(bytes: usize) {
    let metadata = metadata::<G>();
    assert!(metadata.total() <= bytes, "{metadata:?}");
    assert!(
        metadata.by_purpose.iter().any(|(_, bytes)| *bytes > 0),
        "the first object cannot do without metadata: {metadata:?}"
    );
}

#[test]
fn a_first_object_costs_little_metadata() {
    #[cfg(target_pointer_width = "64")]
    first_metadata_is_at_most::<X86_64>(64 << 10);
    first_metadata_is_at_most::<Plain32>(24 << 10);
    first_metadata_is_at_most::<Plain31>(24 << 10);
}

fn small_objects_fill_memory<G: SimGeometry>() {
    let (filled, refilled) = fill(&mut Archipelago::<G>::with_memory(16 * MIB), true);
    assert!(filled.memory > 15 * MIB, "{filled:?}: most of it was used");
    assert!(filled.share() >= 0.90, "{filled:?}");
    let refilled = refilled.expect("asked for");
    assert!(refilled.share() >= 0.85, "{refilled:?}");
}

#[test]
fn small_objects_fill_memory_and_fill_it_again() {
    #[cfg(target_pointer_width = "64")]
    small_objects_fill_memory::<X86_64>();
    small_objects_fill_memory::<Plain32>();
}

fn occupies_its_size<G: SimGeometry>(size: usize, align: usize) {
    let layout = Layout::from_size_align(size, align).expect("a valid layout");
    let heap = || Archipelago::<G>::with_memory(16 * MIB);
    assert_eq!(stride(&mut heap(), layout), size, "{layout:?}");
    let (bytes, objects) = occupied(&mut heap(), layout);
    assert_eq!(bytes, objects * size, "{layout:?}");
}

#[test]
fn powers_of_two_and_pages_occupy_their_size() {
    for shift in 3..=12 {
        #[cfg(target_pointer_width = "64")]
        occupies_its_size::<X86_64>(1 << shift, 8);
        occupies_its_size::<Plain32>(1 << shift, 1 << shift);
    }
    #[cfg(target_pointer_width = "64")]
    occupies_its_size::<X86_64>(PAGE, PAGE);
    occupies_its_size::<Plain32>(PAGE, PAGE);
}
