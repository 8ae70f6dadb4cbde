//! The ends of the address space: offset 0, address 0, the last page.

use archipelago::{AllocFlags, Cause, VirtAddr, Window};
use archipelago_sim::{Plain31, Plain32, Sim, SimGeometry, Top30};
use archipelago_testing::{Block, Rig, layout};

/// Fills a heap with pages and returns them in the order of their addresses.
fn fill<G: SimGeometry>(rig: &Rig<G>) -> Vec<Block> {
    let page = layout(Rig::<G>::PAGE, Rig::<G>::PAGE);
    let mut blocks = Vec::new();
    let error = loop {
        match rig.allocate(page, AllocFlags::empty()) {
            Ok(block) => blocks.push(block),
            Err(error) => break error,
        }
    };
    let full = matches!(
        error.cause,
        Cause::Window { .. } | Cause::MetadataWindow { .. }
    );
    assert!(full, "{error}");
    blocks.sort_by_key(|block| rig.address(*block).value().wrapping_sub(G::GEOMETRY.base));
    for (id, block) in (0..).zip(&blocks) {
        block.fill(id);
    }
    rig.check();
    rig.verify();
    blocks
}

/// Checks the contents of the pages, frees them, and checks that the heap takes them all back.
fn empty<G: SimGeometry>(rig: &Rig<G>, blocks: Vec<Block>) {
    let count = blocks.len();
    for (id, block) in (0..).zip(blocks) {
        assert_eq!(block.find_damage(id, block.layout.size()), None);
        rig.free(block);
    }
    rig.check();
    rig.verify();
    let again = fill(rig);
    assert_eq!(again.len(), count);
    for block in again {
        rig.free(block);
    }
}

/// A heap whose objects are in `window`, with metadata elsewhere.
fn objects_in<G: SimGeometry>(window: Window) -> Rig<G> {
    let middle = G::GEOMETRY
        .base
        .wrapping_add(G::GEOMETRY.last_offset().value() / 2 + 1);
    let metadata = middle + G::GEOMETRY.arena_bytes();
    let metadata = Window::for_metadata(metadata, G::GEOMETRY.last_offset().value() / 8 + 1);
    Rig::on(Sim::default(), &[window, metadata])
}

/// Growth that ends at 2^32: base plus length is 0 there.
fn growth_reaches_the_top_of_a_space_and_stops<G: SimGeometry>(bytes: usize) {
    let geometry = G::GEOMETRY;
    let last = geometry.address(geometry.last_offset()).value();
    let page = geometry.page_bytes();
    let window = Window::new(last - bytes + 1, bytes);
    let rig = objects_in::<G>(window);
    let blocks = fill(&rig);
    let first = rig.address(blocks[0]).value();
    let highest = rig.address(blocks[blocks.len() - 1]).value();
    assert_eq!(first, window.base);
    assert_eq!(highest, last - 2 * page + 1, "all but the last page");
    assert_eq!(blocks.len(), bytes / page - 1);
    look_up_around_every_boundary(&rig, window);
    let blocks = search_the_last_pages(&rig, blocks);
    empty(&rig, blocks);
}

/// One below, at and one above every boundary of `window`, whose last page the heap does not own:
/// its ends, those of its arenas, of its chunks and of its last pages.
fn look_up_around_every_boundary<G: SimGeometry>(rig: &Rig<G>, window: Window) {
    let geometry = G::GEOMETRY;
    let page = geometry.page_bytes();
    let last = window.base + (window.bytes - 1);
    let edges = (window.base..=last).step_by(geometry.chunk_bytes()).chain([
        last - 2 * page + 1,
        last - page + 1,
        last,
    ]);
    for edge in edges {
        for address in [edge.checked_sub(1), Some(edge), edge.checked_add(1)] {
            let Some(address) = address else { continue };
            let inside = address >= window.base && address <= last - page;
            assert_eq!(
                rig.heap.owns(VirtAddr::new(address)),
                inside,
                "{address:#x}, beside {edge:#x}"
            );
        }
    }
}

/// Frees the three highest pages and a lower one, and finds the run of three and then the single
/// one by their sizes.
fn search_the_last_pages<G: SimGeometry>(rig: &Rig<G>, mut blocks: Vec<Block>) -> Vec<Block> {
    let page = Rig::<G>::PAGE;
    let highest = blocks.split_off(blocks.len() - 3);
    let lower = blocks.remove(blocks.len() / 2);
    let run = highest[0].pointer;
    for block in highest.into_iter().chain([lower]) {
        rig.free(block);
    }
    let three = rig.get(3 * page, page);
    assert_eq!(three.pointer, run, "the only run of three pages");
    assert_eq!(rig.get(page, page).pointer, lower.pointer);
    assert!(
        rig.allocate(layout(page, page), AllocFlags::empty())
            .is_err()
    );
    rig.check();
    rig.verify();
    rig.free(three);
    rig.free(lower);
    let mut again = fill(rig);
    assert_eq!(again.len(), 4);
    blocks.append(&mut again);
    blocks.sort_by_key(|block| rig.address(*block).value());
    for (id, block) in (0..).zip(&blocks) {
        block.fill(id);
    }
    blocks
}

#[test]
fn growth_reaches_the_top_of_a_32_bit_space() {
    growth_reaches_the_top_of_a_space_and_stops::<Plain32>(0x0100_0000);
}

#[test]
fn growth_reaches_the_top_of_a_31_bit_space() {
    growth_reaches_the_top_of_a_space_and_stops::<Plain31>(0x0100_0000);
}

/// The last page is that of the pointers, though address 0 is not next to it on the space's line.
#[test]
fn growth_reaches_the_top_of_a_space_without_address_0() {
    growth_reaches_the_top_of_a_space_and_stops::<Top30>(0x0100_0000);
}

#[test]
fn one_arena_at_the_top_of_a_32_bit_space_is_used() {
    growth_reaches_the_top_of_a_space_and_stops::<Top30>(0x0040_0000);
    growth_reaches_the_top_of_a_space_and_stops::<Plain32>(0x0040_0000);
    growth_reaches_the_top_of_a_space_and_stops::<Plain31>(0x0040_0000);
}

#[test]
fn a_window_with_its_metadata_at_the_top_of_a_32_bit_space() {
    let rig = Rig::<Plain32>::on(Sim::default(), &[Window::new(0xff00_0000, 0x0100_0000)]);
    let blocks = fill(&rig);
    assert!(blocks.len() * 10 > 4096 * 9, "{} pages", blocks.len());
    empty(&rig, blocks);
    let error = rig
        .allocate(layout(0x0100_0000, 8), AllocFlags::empty())
        .expect_err("all of it");
    assert!(matches!(error.cause, Cause::Window { .. }), "{error}");
}

/// An object, a page or a window at offset 0 is not mistaken for a failure or for "not yet".
fn the_lowest_offset_is_an_offset<G: SimGeometry>() {
    let geometry = G::GEOMETRY;
    let (page, arena) = (geometry.page_bytes(), geometry.arena_bytes());
    let rig = objects_in::<G>(Window::new(geometry.base, 2 * arena));
    let blocks = fill(&rig);
    let lowest = rig.address(blocks[0]).value();
    // At address 0 no object can be.
    let first = if geometry.base == 0 {
        page
    } else {
        geometry.base
    };
    assert_eq!(lowest, first);
    assert_eq!(blocks.len(), (2 * arena - (first - geometry.base)) / page);
    empty(&rig, blocks);
}

/// The page at address 0 holds no object, and neither does the one before it on the line; all
/// around them do.
fn nothing_lies_at_address_zero_and_everything_beside_it<G: SimGeometry>() {
    let (page, arena) = (G::GEOMETRY.page_bytes(), G::GEOMETRY.arena_bytes());
    let rig = objects_in::<G>(Window::new(0, arena));
    let blocks = fill(&rig);
    assert_eq!(rig.address(blocks[0]).value(), page);
    assert_eq!(blocks.len(), arena / page - 1);
    assert!(!rig.heap.owns(VirtAddr::new(0)) && !rig.heap.owns(VirtAddr::new(page - 1)));
    empty(&rig, blocks);
}

/// On a space whose line wraps at address 0, the last addresses are its middle.
fn the_last_address_is_not_the_end_of_the_heap<G: SimGeometry>() {
    let (page, arena) = (G::GEOMETRY.page_bytes(), G::GEOMETRY.arena_bytes());
    let last = if G::GEOMETRY.base == 0 {
        G::GEOMETRY.last_offset().value()
    } else {
        usize::MAX
    };
    let rig = objects_in::<G>(Window::new(last - arena + 1, arena));
    let blocks = fill(&rig);
    assert_eq!(blocks.len(), arena / page - 1);
    let highest = rig.address(blocks[blocks.len() - 1]).value();
    assert_eq!(highest, last - 2 * page + 1);
    assert!(!rig.heap.owns(VirtAddr::new(last)));
    empty(&rig, blocks);
}

archipelago_testing::on_every_geometry!(
    the_lowest_offset_is_an_offset,
    nothing_lies_at_address_zero_and_everything_beside_it,
    the_last_address_is_not_the_end_of_the_heap,
);
