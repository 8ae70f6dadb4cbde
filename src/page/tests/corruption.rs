//! Every rule that `verify` knows can be broken, and is then called by its name.

use super::damage::Corruption;
use super::{Fixture, chunk, places, run};
use crate::page::tree::Tree;
use crate::testing::{Shaped, TestGeometry};

on_every_geometry! {
    planted_corruptions_are_named,
}

/// A heap of two ranges with free pages of either kind, taken pages, and a free page at its end.
fn sound<G: TestGeometry>() -> Fixture<G> {
    let base = places::<G>(20)[1] * chunk::<G>();
    let few = chunk::<G>().min(40);
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, few));
    heap.grow(run(base + 9 * chunk::<G>(), few));
    let taken = heap.alloc(4).expect("fresh");
    heap.made_ready(taken.run).expect("taken");
    heap.free(run(base + 1, 2)).expect("taken");
    heap.check();
    heap
}

fn planted_corruptions_are_named<G: TestGeometry>() {
    for (corruption, name) in Corruption::ALL
        .into_iter()
        .step_by(if cfg!(miri) { 3 } else { 1 })
    {
        let mut heap = sound::<G>();
        let planted = heap.pages.corrupt(&mut heap.state, corruption);
        let is_search = matches!(corruption, Corruption::RunAbove | Corruption::Unordered);
        if is_search && Tree::<Shaped<G>>::SHORT_CHUNKS {
            continue;
        }
        assert!(planted, "{corruption:?} cannot be planted");
        assert_eq!(heap.pages.verify(&heap.state), Err(name), "{corruption:?}");
    }
}
