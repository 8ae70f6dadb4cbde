//! The smallest windows: a heap that is online serves.

use archipelago::{AllocFlags, InitError, Window, WindowRule};
use archipelago_api::{Geometry, IndexWord};
use archipelago_sim::{Plain32, Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

/// Tries a heap in `windows`: whether it came online, and then it serves a byte and a page; or the
/// window that is too small, and its smallest length that would do.
fn try_windows<G: SimGeometry>(windows: &[Window]) -> Result<(), (Window, usize)> {
    let rig = Rig::<G>::uninitialised(Sim::default());
    match rig.init(windows) {
        Ok(()) => {
            let page = Rig::<G>::PAGE;
            let blocks = [layout(1, 1), layout(page, page)].map(|wanted| {
                let served = rig.allocate(wanted, AllocFlags::empty());
                served.unwrap_or_else(|error| panic!("{windows:?}: {error}\n{}", rig.heap.stats()))
            });
            rig.verify();
            rig.check();
            blocks.into_iter().for_each(|block| rig.free(block));
            Ok(())
        }
        Err(failure) => {
            let text = failure.to_string();
            let InitError::Window { window, rule } = failure.error else {
                panic!("{windows:?}: {text}");
            };
            let WindowRule::NoRoomForMetadata { smallest } = rule else {
                panic!("{text}");
            };
            assert!(text.contains(&format!("make it {smallest} bytes or more")));
            Err((window, smallest))
        }
    }
}

/// Tries a heap in `window` alone: the smallest length that would do, if it is too small.
fn try_window<G: SimGeometry>(window: Window) -> Result<(), usize> {
    try_windows::<G>(&[window]).map_err(|(named, smallest)| {
        assert_eq!(named, window);
        smallest
    })
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

/// Follows the advice for `windows` until a heap in them serves. Counts in `named` how often the
/// windows for objects and the one for metadata were named.
fn follow_advice<G: SimGeometry>(mut windows: Vec<Window>, named: &mut [usize; 2]) {
    let mut before = None;
    while let Err((window, smallest)) = try_windows::<G>(&windows) {
        let index = windows.iter().position(|given| *given == window);
        let index = index.expect("it names one of the windows");
        assert!(smallest > window.bytes, "{window}: {smallest} bytes");
        // Once there are pages for objects, the window for metadata may still be too small to note
        // where other windows are.
        let is_second = before == Some(false) && window.for_metadata;
        assert!(before.is_none() || is_second, "{windows:?}: {smallest}");
        windows[index].bytes = smallest - G::GEOMETRY.granule_bytes();
        try_windows::<G>(&windows).expect_err("no shorter window would do");
        windows[index].bytes = smallest;
        named[usize::from(window.for_metadata)] += 1;
        before = Some(window.for_metadata);
    }
}

/// Windows for objects of many lengths beside windows for metadata of every length.
fn a_window_for_metadata_is_large_enough_or_one_is_named<G: SimGeometry>() {
    let (page, arena) = (Rig::<G>::PAGE, G::GEOMETRY.arena_bytes());
    let start = lone_window::<G>(arena).base;
    let mut named = [0, 0];
    for shift in [0, 1, 5, 15] {
        let base = start + shift * page;
        for pages in [1, 2, 3, 7, 20, 40] {
            for metadata_pages in 1..=40 {
                let objects = Window::new(base, pages * page);
                let metadata = Window::for_metadata(base + 4 * arena, metadata_pages * page);
                follow_advice::<G>(vec![objects, metadata], &mut named);
                for more in [1, 13, 19, 20] {
                    let other = Window::new(base + 50 * page, more * page);
                    follow_advice::<G>(vec![metadata, objects, other], &mut named);
                }
            }
        }
    }
    assert!(named.into_iter().all(|count| count > 0), "{named:?}");
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

/// Metadata without room in its own window goes on in the largest window for objects: others may be
/// too small for that.
fn metadata_goes_on_in_the_largest_window<G: SimGeometry>() {
    let (page, arena) = (Rig::<G>::PAGE, G::GEOMETRY.arena_bytes());
    let start = lone_window::<G>(arena).base;
    let mut tried = 0;
    for metadata_pages in 1..=40 {
        let metadata = Window::for_metadata(start + 4 * arena, metadata_pages * page);
        let Err((named, smallest)) = try_windows::<G>(&[metadata, Window::new(start, page)]) else {
            continue;
        };
        // One page less than what would do, and a little more, as growth may have taken some.
        let shorter = Window::new(start + 2 * arena, smallest - page);
        let longer = Window::new(start, smallest + 3 * page);
        // The window for metadata may be too small to note where others are.
        if named.for_metadata || try_windows::<G>(&[metadata, longer]).is_err() {
            continue;
        }
        assert_eq!(try_windows::<G>(&[metadata, longer, shorter]), Ok(()));
        tried += 1;
    }
    assert!(tried > 0, "metadata goes on");
}

/// A space whose blocks of metadata are long, compared with a granule.
struct LongBlocks;

impl SimGeometry for LongBlocks {
    const GEOMETRY: Geometry = Geometry {
        granule_shift: 8,
        page_shift: 8,
        chunk_shift: 17,
        ..Plain32::GEOMETRY
    };
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[];
}

#[test]
fn a_window_may_lack_many_granules() {
    let window = Window::new(1 << 30, 1 << 10);
    let smallest = try_window::<LongBlocks>(window).expect_err("a kilobyte is too little");
    assert!(smallest > 64 << 10, "{smallest} bytes");
    let less = Window::new(window.base, smallest - 256);
    assert_eq!(try_window::<LongBlocks>(less), Err(smallest));
    let window = Window::new(window.base, smallest);
    assert_eq!(try_window::<LongBlocks>(window), Ok(()));
}

/// A space like [`Plain32`] whose windows are the memory, with records of both kinds.
struct Fixed32;

impl SimGeometry for Fixed32 {
    const GEOMETRY: Geometry = Plain32::GEOMETRY;
    type IndexRoot = [IndexWord; 1];
    const TABLE_SHIFTS: &'static [u32] = &[];
    const DECOMMITS: bool = false;
}

#[test]
fn records_of_both_kinds_have_pages_where_memory_is_never_taken_back() {
    a_heap_that_comes_online_serves::<Fixed32>();
}

archipelago_testing::on_every_geometry!(
    a_heap_that_comes_online_serves,
    a_window_for_metadata_is_large_enough_or_one_is_named,
    a_small_window_beside_a_large_one_is_used,
    metadata_goes_on_in_the_largest_window,
);
