//! Placements of windows where address arithmetic breaks.

use archipelago::Window;
use archipelago_sim::SimGeometry;

/// Windows at addresses with a property, which the name says.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The placement in words.
    pub name: &'static str,
    /// The windows given to `init`.
    pub windows: Vec<Window>,
    /// A window that is added to the running heap.
    pub later: Option<Window>,
}

impl Placement {
    fn of(name: &'static str, windows: &[Window]) -> Self {
        Self {
            name,
            windows: windows.to_vec(),
            later: None,
        }
    }
}

/// A window of about `bytes` bytes, in whole pages, at an ordinary address: the middle of the
/// space, aligned to an arena.
#[must_use]
pub fn lone_window<G: SimGeometry>(bytes: usize) -> Window {
    let half = G::GEOMETRY.last_offset().value() / 2 + 1;
    let arena = G::GEOMETRY.arena_bytes();
    Window::new(
        address::<G>(half / 2 / arena * arena),
        whole_pages::<G>(bytes),
    )
}

/// Windows of about `bytes` bytes altogether, at most an eighth of the space, in every placement
/// where address arithmetic breaks.
#[must_use]
pub fn placements<G: SimGeometry>(bytes: usize) -> Vec<Placement> {
    let geometry = G::GEOMETRY;
    let (page, arena) = (geometry.page_bytes(), geometry.arena_bytes());
    let last = geometry.last_offset().value();
    let bytes = whole_pages::<G>(bytes.min(last / 8 + 1));
    let third = whole_pages::<G>(bytes / 3);
    let at = |offset: usize, bytes: usize| Window::new(address::<G>(offset), bytes);
    let middle = last / 2 + 1;
    // Neither at the start of an arena nor of a chunk.
    let odd = middle / 2 / arena * arena + arena / 2 + 3 * page;
    let last_address = if geometry.base == 0 { last } else { usize::MAX };
    vec![
        Placement::of("at offset 0", &[at(0, bytes)]),
        Placement::of("at address 0", &[Window::new(0, bytes)]),
        Placement::of("in the middle of the space", &[at(middle, bytes)]),
        Placement::of("up to the last offset", &[at(last - bytes + 1, bytes)]),
        Placement::of(
            "up to the last address",
            &[Window::new(last_address - bytes + 1, bytes)],
        ),
        Placement::of(
            "in the last quarter of the space",
            &[at(middle + middle / 2 + page, bytes)],
        ),
        Placement::of("off every boundary", &[at(odd, bytes)]),
        Placement::of(
            "three windows in no order",
            &[
                at(odd + arena, third),
                at(odd - third - page, third),
                at(odd + 2 * arena + third, third),
            ],
        ),
        Placement::of(
            "a window for metadata, above",
            &[
                at(odd, bytes),
                Window::for_metadata(address::<G>(odd + 2 * bytes), third),
            ],
        ),
        Placement::of(
            "a window for metadata, below",
            &[
                Window::for_metadata(address::<G>(odd - 2 * third), third),
                at(odd, bytes),
            ],
        ),
        Placement {
            later: Some(at(odd - 2 * third, 2 * third)),
            ..Placement::of("a window below added later", &[at(odd, third)])
        },
        Placement {
            later: Some(at(odd + third, 2 * third)),
            ..Placement::of("a window directly above added later", &[at(odd, third)])
        },
    ]
}

fn address<G: SimGeometry>(offset: usize) -> usize {
    G::GEOMETRY.base.wrapping_add(offset)
}

fn whole_pages<G: SimGeometry>(bytes: usize) -> usize {
    bytes.next_multiple_of(G::GEOMETRY.page_bytes())
}
