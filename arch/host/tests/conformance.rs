//! The machine of a process keeps the contract, wherever its window is.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{Machine, VirtAddr, VirtRange};
use archipelago_host::Host;

const GRANULE: usize = 4096;

/// The first of the free addresses.
#[cfg(target_pointer_width = "64")]
const FIRST: usize = 0x1234_0000_0000;
#[cfg(not(target_pointer_width = "64"))]
const FIRST: usize = 0x5000_0000;

/// A machine, and a window of `granules` granules that no other test has, over the end of a page
/// table.
fn made(granules: usize) -> (Host, VirtRange) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let base = FIRST + number * (4 << 20) + (2 << 20) - 9 * GRANULE;
    let window = VirtRange::new(VirtAddr::new(base), granules * GRANULE);
    (
        Host::new().expect("pages of 4 KiB"),
        window.expect("does not wrap"),
    )
}

archipelago_conformance::conformance!(small, made(21));
archipelago_conformance::conformance!(more_than_a_table, made(700));

#[test]
fn an_address_is_that_of_its_pointer_and_nothing_outside_the_space_has_one() {
    let (machine, window) = made(16);
    let pointer = machine.pointer(window.base());
    assert_eq!(pointer.addr().get(), window.base().value());
    if Host::GEOMETRY.address_bits < usize::BITS {
        let above = core::ptr::without_provenance_mut::<u8>(1 << Host::GEOMETRY.address_bits);
        let above = core::ptr::NonNull::new(above).expect("not null");
        assert_eq!(machine.address(above), None);
    }
}
