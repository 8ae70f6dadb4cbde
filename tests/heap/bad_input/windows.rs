//! Windows that break a rule are refused by range and rule, and nothing has changed.

use archipelago::{InitError, VirtAddr, VirtRange, Window, WindowRule};
use archipelago_api::Geometry;
use archipelago_sim::{Sim, SimGeometry, State, Top30};
use archipelago_testing::{Rig, lone_window};

/// A good window of 64 pages, away from both ends of the space.
fn good<G: SimGeometry>() -> Window {
    lone_window::<G>(64 * Rig::<G>::PAGE)
}

/// The window `good`, moved up.
fn moved<G: SimGeometry>(bytes: usize) -> Window {
    let good = good::<G>();
    Window::new(good.base + bytes, good.bytes)
}

/// The visible state of a heap and its machine.
fn everything<G: SimGeometry>(rig: &Rig<G>) -> impl PartialEq + core::fmt::Debug {
    (
        rig.heap.stats(),
        rig.machine.ranges(),
        rig.machine.frames_taken() - rig.machine.frames_returned(),
    )
}

/// Gives `windows` to a heap in vain, once at `init` and once, the last of them, to a running heap;
/// then again without fault.
fn check<G: SimGeometry>(windows: &[Window], broken: Window, rule: WindowRule) {
    let error = InitError::Window {
        window: broken,
        rule,
    };
    let text = error.to_string();
    assert!(text.contains(&format!("{:#x}", broken.base)), "{text}");
    assert!(text.contains(&rule.to_string()), "{text}");

    let rig = Rig::<G>::uninitialised(Sim::default());
    let before = everything(&rig);
    let failure = rig.init(windows).expect_err("a broken rule");
    assert_eq!(failure.error, error);
    assert_eq!(failure.to_string(), text);
    assert_eq!(everything(&rig), before, "{error}");
    assert_eq!(rig.machine.count(State::Reserved), 0);
    rig.heap
        .init(&[good::<G>()], failure.machine)
        .expect("the machine came back");
    rig.free(rig.get(100, 8));
    rig.check();
    rig.verify();
}

/// Gives `window` to a running heap in vain.
fn check_later<G: SimGeometry>(window: Window, rule: WindowRule) {
    let rig = Rig::<G>::on(Sim::default(), &[good::<G>()]);
    let block = rig.get(100, 8);
    let before = everything(&rig);
    let error = rig.heap.add_window(window).expect_err("a broken rule");
    assert_eq!(error, InitError::Window { window, rule });
    assert_eq!(everything(&rig), before, "{error}");
    rig.heap
        .add_window(moved::<G>(1 << 20))
        .expect("a good window");
    rig.free(block);
    rig.check();
    rig.verify();
}

/// Checks a window that is invalid by itself: alone, after a valid one, before a valid one, and
/// added later.
fn check_alone<G: SimGeometry>(window: Window, rule: WindowRule) {
    check::<G>(&[window], window, rule);
    check::<G>(&[good::<G>(), window], window, rule);
    check::<G>(&[window, good::<G>()], window, rule);
    check_later::<G>(window, rule);
}

fn an_empty_window_is_refused<G: SimGeometry>() {
    for base in [0, good::<G>().base, usize::MAX, 1] {
        check_alone::<G>(Window::new(base, 0), WindowRule::Empty);
    }
}

fn a_misaligned_window_is_refused<G: SimGeometry>() {
    let granule = G::GEOMETRY.granule_bytes();
    let good = good::<G>();
    let rule = WindowRule::Misaligned { granule };
    for (base, bytes) in [
        (1, 0),
        (granule / 2, 0),
        (0, 1),
        (0, granule / 2),
        (8, granule - 8),
    ] {
        check_alone::<G>(Window::new(good.base + base, good.bytes + bytes), rule);
    }
}

fn a_window_that_wraps_is_refused<G: SimGeometry>() {
    let granule = G::GEOMETRY.granule_bytes();
    let last = 0_usize.wrapping_sub(granule);
    for (base, bytes) in [
        (last, 2 * granule),
        (last, last),
        (good::<G>().base, last),
        (granule, last + 1),
    ] {
        if bytes != 0 && base.checked_add(bytes - 1).is_none() {
            check_alone::<G>(Window::new(base, bytes), WindowRule::Wraps);
        }
    }
    check_alone::<G>(Window::new(last, 2 * granule), WindowRule::Wraps);
}

fn a_window_outside_the_space_is_refused<G: SimGeometry>() {
    let geometry = G::GEOMETRY;
    let (granule, address_bits) = (geometry.granule_bytes(), geometry.address_bits);
    if address_bits == usize::BITS {
        // Every address is one of the space.
        return;
    }
    let rule = if geometry.base == 0 {
        WindowRule::BeyondGeometry { address_bits }
    } else {
        WindowRule::NotCanonical
    };
    // The first address that is none of the space, going up from address 0.
    let beyond = if geometry.base == 0 {
        geometry.last_offset().value() + 1
    } else {
        1 << (address_bits - 1)
    };
    let bytes = 16 * Rig::<G>::PAGE;
    for window in [
        Window::new(beyond, bytes),
        Window::new(beyond - granule, bytes),
        Window::new(beyond + (1 << 20), bytes),
        Window::new(beyond - bytes, bytes + granule),
    ] {
        check_alone::<G>(window, rule);
    }
    if geometry.base != 0 {
        check_alone::<G>(Window::new(geometry.base - granule, bytes), rule);
        check_alone::<G>(Window::new(geometry.base - bytes, bytes), rule);
        let both_halves = geometry.base.wrapping_sub(beyond) + 2 * granule;
        check_alone::<G>(Window::new(beyond - granule, both_halves), rule);
    } else {
        check_alone::<G>(Window::new(0, 0_usize.wrapping_sub(granule)), rule);
    }
}

fn a_window_without_a_usable_page_is_refused<G: SimGeometry>() {
    let geometry = G::GEOMETRY;
    let (granule, page) = (geometry.granule_bytes(), geometry.page_bytes());
    let last_page = geometry.last_offset().value() - page + 1;
    // The page at address 0, and the last one below it on the line of the space.
    check_alone::<G>(Window::new(0, page), WindowRule::TooSmall);
    let before_zero = if geometry.base == 0 {
        last_page
    } else {
        0_usize.wrapping_sub(page)
    };
    check_alone::<G>(Window::new(before_zero, page), WindowRule::TooSmall);
    if page > granule {
        let base = good::<G>().base;
        check_alone::<G>(Window::new(base, granule), WindowRule::TooSmall);
        check_alone::<G>(Window::new(base + granule, page), WindowRule::TooSmall);
    }
}

fn windows_that_overlap_are_refused<G: SimGeometry>() {
    let first = good::<G>();
    let other = VirtRange::new(VirtAddr::new(first.base), first.bytes).expect("it does not wrap");
    let rule = WindowRule::Overlaps { other };
    let page = Rig::<G>::PAGE;
    let metadata = Window::for_metadata(first.base + page, 4 * page);
    check::<G>(&[first, metadata], metadata, rule);
    for second in [
        first,
        moved::<G>(page),
        moved::<G>(63 * page),
        Window::new(first.base - page, 2 * page),
        Window::new(first.base + 3 * page, page),
        Window::new(first.base - page, first.bytes + 2 * page),
    ] {
        check::<G>(&[first, second], second, rule);
        check::<G>(
            &[moved::<G>(1 << 20), first, moved::<G>(1 << 19), second],
            second,
            rule,
        );
        check_later::<G>(second, rule);
    }
}

/// Windows that overlap by less than a page are refused, too.
fn windows_that_share_a_granule_are_refused<G: SimGeometry>() {
    let granule = G::GEOMETRY.granule_bytes();
    let first = good::<G>();
    let first = Window::new(first.base, first.bytes + granule);
    let second = Window::new(first.base + first.bytes - granule, first.bytes);
    let other = VirtRange::new(VirtAddr::new(first.base), first.bytes).expect("it does not wrap");
    check::<G>(&[first, second], second, WindowRule::Overlaps { other });
}

fn one_window_at_most_is_for_metadata<G: SimGeometry>() {
    let metadata = |up| {
        let window = moved::<G>(up);
        Window::for_metadata(window.base, window.bytes)
    };
    let (first, second) = (metadata(1 << 20), metadata(1 << 19));
    check::<G>(
        &[first, good::<G>(), second],
        second,
        WindowRule::SecondForMetadata,
    );
    check_later::<G>(second, WindowRule::SecondForMetadata);
}

fn windows_that_touch_are_good<G: SimGeometry>() {
    let (first, second) = (good::<G>(), good::<G>().bytes);
    let rig = Rig::<G>::on(Sim::default(), &[moved::<G>(second), first]);
    rig.heap
        .add_window(moved::<G>(2 * second))
        .expect("it touches and does not overlap");
    let blocks: Vec<_> = (0..40).map(|_| rig.get(Rig::<G>::PAGE, 8)).collect();
    rig.check();
    rig.verify();
    for block in blocks {
        rig.free(block);
    }
}

/// The space has no hole, but ends; address 0 is below it.
#[test]
fn a_window_below_a_space_without_address_0_is_refused() {
    let Geometry {
        base, address_bits, ..
    } = Top30::GEOMETRY;
    let rule = WindowRule::BeyondGeometry { address_bits };
    for window in [
        Window::new(base - 4096, 4096),
        Window::new(base - 4096, 1 << 20),
        Window::new(0, 1 << 20),
    ] {
        check_alone::<Top30>(window, rule);
    }
}

archipelago_testing::on_every_geometry!(
    an_empty_window_is_refused,
    a_misaligned_window_is_refused,
    a_window_that_wraps_is_refused,
    a_window_outside_the_space_is_refused,
    a_window_without_a_usable_page_is_refused,
    windows_that_overlap_are_refused,
    windows_that_share_a_granule_are_refused,
    one_window_at_most_is_for_metadata,
    windows_that_touch_are_good,
);
