//! Statics of heaps take no room in a program's file: their initial state is zero, so that they lie
//! in `.bss`.
#![cfg(all(target_os = "linux", not(miri)))]
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use archipelago::{AllocFlags, EarlyRegion, Heap};
use archipelago_firmware::FirmwareHeap;
use archipelago_flat::{FlatHeap, Small};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::layout;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

static STATICS_WHOLE: Heap<Sim<Plain32>, Hosted> = Heap::new();
static STATICS_EARLY: EarlyRegion<4096> = EarlyRegion::new();
static STATICS_FLAT: FlatHeap<Hosted> = FlatHeap::empty();
static STATICS_FLAT_OF_ONE: FlatHeap<Hosted, Small<21, 10>, 1> = FlatHeap::empty();
static STATICS_FIRMWARE: FirmwareHeap<Hosted> = FirmwareHeap::empty();
static STATICS_FIRMWARE_1024: FirmwareHeap<Hosted, 1024> = FirmwareHeap::empty();
/// A static that is not zero, which the check must find.
static STATICS_PLANTED: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(1);

/// Whether the static of this name in the program that runs lies in `.bss`.
fn takes_no_room(name: &str) -> bool {
    let path = std::env::current_exe().expect("a program");
    let data = std::fs::read(path).expect("it can be read");
    let file = object::File::parse(&*data).expect("a program");
    let is_named = |symbol: &object::Symbol<'_, '_>| {
        // Mangled: the length of the name, the name, and what is no part of it.
        let mangled = format!("{}{name}", name.len());
        let found = symbol.name().unwrap_or_default().find(&mangled);
        found.is_some()
    };
    let symbol = file.symbols().find(is_named).expect(name);
    let index = symbol.section_index().expect("in a section");
    let section = file.section_by_index(index).expect("it exists");
    section.kind() == SectionKind::UninitializedData
}

#[test]
fn statics_of_heaps_lie_in_bss() {
    // So that all of them are in the program.
    let wanted = layout(8, 8);
    assert!(STATICS_WHOLE.allocate(wanted, AllocFlags::empty()).is_err());
    assert!(STATICS_FLAT.allocate(wanted, AllocFlags::empty()).is_err());
    let of_one = STATICS_FLAT_OF_ONE.allocate(wanted, AllocFlags::empty());
    assert!(of_one.is_err());
    assert_eq!(STATICS_FIRMWARE.allocate(wanted), None);
    assert_eq!(STATICS_FIRMWARE_1024.allocate(wanted), None);
    assert!(format!("{STATICS_EARLY:?}").contains("4096"));
    STATICS_PLANTED.fetch_add(1, core::sync::atomic::Ordering::Relaxed);

    assert!(!takes_no_room("STATICS_PLANTED"), "the check finds nothing");
    for name in [
        "STATICS_WHOLE",
        "STATICS_EARLY",
        "STATICS_FLAT",
        "STATICS_FLAT_OF_ONE",
        "STATICS_FIRMWARE",
        "STATICS_FIRMWARE_1024",
    ] {
        assert!(takes_no_room(name), "{name} is not in .bss");
    }
}
