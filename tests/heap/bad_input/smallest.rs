//! The smallest windows: a heap that is online serves.

use archipelago::{AllocFlags, InitError, Window, WindowRule};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

/// Tries a heap in `window` alone: whether it came online, and then it serves a byte and a page; or
/// the smallest window that it says would do.
fn try_window<G: SimGeometry>(window: Window) -> Result<(), usize> {
    let rig = Rig::<G>::uninitialised(Sim::default());
    match rig.init(&[window]) {
        Ok(()) => {
            let page = Rig::<G>::PAGE;
            let blocks = [layout(1, 1), layout(page, page)].map(|wanted| {
                let served = rig.allocate(wanted, AllocFlags::empty());
                served.unwrap_or_else(|error| panic!("{window}: {error}\n{}", rig.heap.stats()))
            });
            rig.verify();
            rig.check();
            blocks.into_iter().for_each(|block| rig.free(block));
            Ok(())
        }
        Err(failure) => {
            let text = failure.to_string();
            let InitError::Window { rule, .. } = failure.error else {
                panic!("{text}");
            };
            let WindowRule::NoRoomForMetadata { smallest } = rule else {
                panic!("{text}");
            };
            assert!(text.contains(&format!("make it {smallest} bytes or more")));
            Err(smallest)
        }
    }
}

/// Windows of every length, at bases of every alignment that blocks of metadata have.
fn a_heap_that_comes_online_serves<G: SimGeometry>() {
    let geometry = G::GEOMETRY;
    let start = lone_window::<G>(geometry.arena_bytes()).base;
    let granule = geometry.granule_bytes();
    for shift in [0, 1, 2, 5, 8, 15] {
        let base = start + shift * granule;
        let mut refused = 0;
        let mut smallest = None;
        for granules in 1..=64 {
            if base + granules * granule < (base + Rig::<G>::PAGE).next_multiple_of(Rig::<G>::PAGE)
            {
                continue;
            }
            let bytes = granules * granule;
            match try_window::<G>(Window::new(base, bytes)) {
                Ok(()) => assert!(smallest.is_none_or(|smallest| bytes >= smallest)),
                Err(named) => {
                    assert!(named > bytes, "{named} bytes would do, and {bytes} do not");
                    assert!(smallest.is_none_or(|smallest| smallest == named));
                    smallest = Some(named);
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "one granule is too little");
        let smallest = smallest.expect("one was refused");
        assert_eq!(try_window::<G>(Window::new(base, smallest)), Ok(()));
        let less = Window::new(base, smallest - granule);
        assert_eq!(try_window::<G>(less), Err(smallest));
    }
}

/// A window that is too small for metadata holds objects beside one that is not.
fn a_small_window_beside_a_large_one_is_used<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    let small = lone_window::<G>(page);
    let large = Window::new(small.base + 2 * page, G::GEOMETRY.arena_bytes());
    let rig = Rig::<G>::on(Sim::default(), &[small, large]);
    let block = rig.get(page, page);
    let is_lowest = rig.address(block).value() == small.base;
    // Or else it holds the record of the object's span.
    assert!(is_lowest || rig.heap.stats().record_pages == 1);
    rig.free(block);
    rig.verify();
    rig.check();
}

archipelago_testing::on_every_geometry!(
    a_heap_that_comes_online_serves,
    a_small_window_beside_a_large_one_is_used,
);
