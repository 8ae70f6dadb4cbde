//! Layers: which folders of the library use which, and which files of a layer use which.

use alloc::collections::BTreeSet;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::modules::Crate;
use crate::source::Source;
use crate::uses::Uses;

/// Layers of `src/`, lowest first. Folders on one line are siblings and do not see each other.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["bits"],
    &["region"],
    &["arena", "page"],
    &["span"],
    &["pageheap"],
    &["heap"],
    &["inspect"],
    &["global"],
];

/// Files that belong to no layer and see all of them.
const OUTSIDE_LAYERS: &[&str] = &["src/lib.rs", "src/testing/"];

/// Layers whose files have an order, lowest first: a file uses those before it. A method that a
/// file adds to a shared type counts as part of that file, so that nothing hides in `self`.
const ORDERS: &[Order] = &[
    Order {
        folder: "pageheap",
        files: &[
            "mod.rs",
            "in_place.rs",
            "gate.rs",
            "run.rs",
            "bitmap/memory.rs",
            "bitmap/none.rs",
            "plan.rs",
            "reserve.rs",
            "side.rs",
            "pool.rs",
            "stock.rs",
            "page_heap.rs",
            "commit.rs",
            "held.rs",
            "grow.rs",
            "reclaim.rs",
            "idle.rs",
            "scavenge.rs",
            "limit.rs",
            "machine.rs",
            "long_piece.rs",
            "long.rs",
            "ahead.rs",
            "alloc.rs",
            "adjacent.rs",
            "bitmap/mod.rs",
            "cover.rs",
            "requests.rs",
            "array.rs",
            "window.rs",
            "home.rs",
            "init.rs",
            "refill.rs",
        ],
    },
    Order {
        folder: "heap",
        files: &[
            "mod.rs",
            "misuse.rs",
            "early_map.rs",
            "early.rs",
            "object_heap.rs",
            "request.rs",
            "memory.rs",
            "records.rs",
            "lookup.rs",
            "scannable/none.rs",
            "scannable/hooks.rs",
            "retired.rs",
            "blocks.rs",
            "missed.rs",
            "drain.rs",
            "hidden.rs",
            "reserve.rs",
            "reclaim.rs",
            "cpu_memory.rs",
            "spans.rs",
            "cpus.rs",
            "elsewhere.rs",
            "alloc.rs",
            "remote.rs",
            "free.rs",
            "init.rs",
            "pages.rs",
            "adjacent.rs",
            "resize.rs",
            "scannable/mod.rs",
            "scannable/alloc.rs",
            "scannable/resize.rs",
        ],
    },
];

/// Faults of the number that a layer gives itself: the documentation of its `mod.rs` begins with
/// `Layer N`, its place in [`LAYERS`], of which the lowest is 1.
fn misnumbered(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let Some((level, folder)) = layer_of(&source.path) else {
            continue;
        };
        if source.path != format!("src/{folder}/mod.rs") {
            continue;
        }
        let number = level + 1;
        let said = source.text.strip_prefix(&format!("//! Layer {number}"));
        let is_said = said.is_some_and(|rest| rest.starts_with([':', ',']));
        if !is_said {
            faults.push(format!("{}: is layer {number}", source.path));
        }
    }
    faults
}

/// The order of the files of a layer.
struct Order {
    folder: &'static str,
    files: &'static [&'static str],
}

/// The layer of a file, by its level and name; `None` outside of all layers.
fn layer_of(path: &str) -> Option<(usize, &str)> {
    let folder = path.strip_prefix("src/")?.split('/').next()?;
    let level = LAYERS.iter().position(|layer| layer.contains(&folder))?;
    Some((level, folder))
}

fn is_outside(path: &str) -> bool {
    OUTSIDE_LAYERS
        .iter()
        .any(|outside| path.starts_with(outside))
}

/// Uses of a layer from one that is not above it, and files that belong to no layer.
fn upward_uses(parsed: &Crate, uses: &Uses) -> Vec<String> {
    let is_lost = |path: &&String| layer_of(path).is_none() && !is_outside(path);
    let lost = parsed.files.iter().filter(is_lost);
    let mut faults: Vec<String> = lost
        .map(|path| format!("{path}: belongs to no layer"))
        .collect();
    for ((from, to), example) in uses {
        let (from, to) = (&parsed.files[*from], &parsed.files[*to]);
        let (Some((own, folder)), Some((level, used))) = (layer_of(from), layer_of(to)) else {
            continue;
        };
        if folder != used && level >= own {
            faults.push(format!("{from}: {folder} uses {used} ({example})"));
        }
    }
    faults
}

/// Uses of a file of a layer from one that does not come after it, files without a place in the
/// order, and places without a file.
fn out_of_order(parsed: &Crate, uses: &Uses, order: &Order) -> Vec<String> {
    let folder = format!("src/{}/", order.folder);
    let place = |path: &str| {
        let file = path.strip_prefix(&folder)?;
        order.files.iter().position(|name| *name == file)
    };
    let own = parsed.files.iter().filter(|path| path.starts_with(&folder));
    let own: BTreeSet<&String> = own.collect();
    let mut faults: Vec<String> = own
        .iter()
        .filter(|path| place(path).is_none())
        .map(|path| format!("{path}: has no place in the order of its layer"))
        .collect();
    let exists = |file: &str| own.contains(&format!("{folder}{file}"));
    let gone = order.files.iter().filter(|file| !exists(file));
    faults.extend(gone.map(|file| format!("{folder}{file}: is in the order, and does not exist")));
    for ((from, to), example) in uses {
        let (from, to) = (&parsed.files[*from], &parsed.files[*to]);
        let places = place(from).zip(place(to));
        if places.is_some_and(|(own, used)| used > own) {
            faults.push(format!("{from}: uses {to} above it ({example})"));
        }
    }
    faults
}

/// The files of a layer in an order that holds, unless they have a cycle; lowest first.
fn natural_order(parsed: &Crate, uses: &Uses, folder: &str) -> String {
    let folder = format!("src/{folder}/");
    let is_inside = |file: usize| parsed.files[file].starts_with(&folder);
    let mut graph: DiGraphMap<usize, ()> = DiGraphMap::new();
    for file in (0..parsed.files.len()).filter(|&file| is_inside(file)) {
        graph.add_node(file);
    }
    let inside = uses
        .keys()
        .filter(|(from, to)| is_inside(*from) && is_inside(*to));
    for (from, to) in inside {
        graph.add_edge(*from, *to, ());
    }
    // The algorithm gives what is used before what uses it.
    let files = tarjan_scc(&graph).concat();
    let names = files
        .iter()
        .map(|&file| &parsed.files[file][folder.len()..]);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{ORDERS, Order, misnumbered, natural_order, out_of_order, upward_uses};
    use crate::config::Tests;
    use crate::modules::Crate;
    use crate::source::{self, Source};
    use crate::uses;

    /// A crate of one file in a layer that uses others.
    fn planted(layer: &str, text: &str) -> Vec<String> {
        let layers = ["base", "region", "arena", "page", "heap"];
        let mut lib: String = layers.map(|name| format!("mod {name};")).concat();
        if !layers.contains(&layer) {
            lib.push_str(&format!("mod {layer};"));
        }
        let mut sources = vec![Source::planted("src/lib.rs", &lib)];
        for name in layers {
            let item = format!("pub fn in_{name}() {{}}");
            let declared = if name == layer { "mod a;" } else { "" };
            let text = format!("{item} {declared}");
            sources.push(Source::planted(&format!("src/{name}/mod.rs"), &text));
        }
        sources.push(Source::planted(&format!("src/{layer}/a.rs"), text));
        sources.push(Source::planted(&format!("src/{layer}/mod.rs"), "mod a;"));
        let parsed = Crate::parse(&sources, Tests::Included);
        upward_uses(&parsed, &uses::uses(&parsed))
    }

    #[test]
    fn layers_use_only_those_below() {
        let parsed = Crate::parse(&source::library(), Tests::Included);
        crate::none("layers", &upward_uses(&parsed, &uses::uses(&parsed)));
        for (layer, text) in [
            ("base", "use crate::heap::in_heap;"),
            ("page", "use crate::arena::in_arena as f;"),
            ("region", "fn f() { crate::page::in_page(); }"),
            (
                "base",
                "#[cfg(test)] mod tests { use crate::page::in_page; }",
            ),
            ("base", "fn f() { assert!(crate::heap::in_heap()); }"),
        ] {
            assert_eq!(planted(layer, text).len(), 1, "{layer}: {text}");
        }
        // Both the file and its `mod.rs`.
        assert_eq!(planted("nowhere", "").len(), 2);
        assert_eq!(planted("heap", "use crate::page::in_page;"), [""; 0]);
    }

    #[test]
    fn layers_say_their_place() {
        crate::none("numbers of layers", &misnumbered(&source::library()));
        let numbered = |folder: &str, text: &str| {
            let path = format!("src/{folder}/mod.rs");
            misnumbered(&[Source::planted(&path, text)]).len()
        };
        assert_eq!(numbered("base", "//! Layer 1, numbers: all of them."), 0);
        assert_eq!(numbered("page", "//! Layer 4: free pages."), 0);
        assert_eq!(numbered("arena", "//! Layer 4: the index."), 0);
        assert_eq!(numbered("page", "//! Layer 3: free pages."), 1);
        assert_eq!(numbered("base", "//! Layer 11: numbers."), 1);
        assert_eq!(numbered("bits", "//! The heap bitmap."), 1);
    }

    #[test]
    fn files_of_a_layer_use_only_those_below() {
        let parsed = Crate::parse(&source::library(), Tests::Excluded);
        let uses = uses::uses(&parsed);
        for order in ORDERS {
            let mut faults = out_of_order(&parsed, &uses, order);
            if !faults.is_empty() {
                let folder = order.folder;
                let names = natural_order(&parsed, &uses, folder);
                faults.push(format!("src/{folder}/: an order that may hold is {names}"));
            }
            crate::none("order of files", &faults);
        }
    }

    #[test]
    fn a_use_against_the_order_is_found() {
        let order = Order {
            folder: "heap",
            files: &["mod.rs", "low.rs", "high.rs"],
        };
        let check = |low: &str, high: &str| {
            let sources = [
                Source::planted("src/lib.rs", "mod heap;"),
                Source::planted("src/heap/mod.rs", "mod low; mod high; struct Heap;"),
                Source::planted("src/heap/low.rs", low),
                Source::planted("src/heap/high.rs", high),
            ];
            let parsed = Crate::parse(&sources, Tests::Excluded);
            let uses = uses::uses(&parsed);
            let natural = natural_order(&parsed, &uses, "heap");
            assert_eq!(natural.split(", ").count(), 3, "{natural}");
            out_of_order(&parsed, &uses, &order)
        };
        let high = "impl super::Heap { fn high(&self) { self.low(); } }";
        let sound = "impl super::Heap { fn low(&self) {} }";
        assert_eq!(check(sound, high), [""; 0]);
        let imported = "use super::high::f;";
        assert_eq!(check(imported, "pub fn f() {}").len(), 1);
        let hidden = "impl super::Heap { fn low(&self) { self.high(); } }";
        assert_eq!(check(hidden, high).len(), 1);
        let in_a_closure = "impl super::Heap { fn low(&self) { f(|| self.high()) } }";
        assert_eq!(check(in_a_closure, high).len(), 1);
        let associated = "impl super::Heap { fn low(&self) { Self::high(self); } }";
        assert_eq!(check(associated, high).len(), 1);
    }

    #[test]
    fn files_and_places_match() {
        let order = Order {
            folder: "heap",
            files: &["mod.rs", "gone.rs"],
        };
        let sources = [
            Source::planted("src/lib.rs", "mod heap;"),
            Source::planted("src/heap/mod.rs", "mod new;"),
            Source::planted("src/heap/new.rs", ""),
        ];
        let parsed = Crate::parse(&sources, Tests::Excluded);
        assert_eq!(out_of_order(&parsed, &uses::uses(&parsed), &order).len(), 2);
    }
}
