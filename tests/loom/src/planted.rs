//! Faults that are planted in the library's source: accesses whose order is too weak.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::cell::RefCell;
use core::ops::Range;
use core::panic::Location;
use core::sync::atomic::Ordering;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use crate::memory;

/// A function of the library with accesses that are ordered. If it is planted, they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The file, from the root of the repository.
    pub file: &'static str,
    /// The name of the function.
    pub function: &'static str,
}

/// The planted site, and all that were seen.
#[derive(Debug, Default)]
struct Sites {
    /// The file and the lines of the planted one.
    planted: Option<(&'static str, Range<u32>)>,
    /// Files and lines of ordered accesses.
    seen: BTreeSet<(String, u32)>,
}

std::thread_local! {
    static SITES: RefCell<Sites> = RefCell::default();
}

/// Weakens the accesses of `site`, of none if there is no site.
///
/// # Panics
/// There is no such function.
pub(crate) fn plant(site: Option<Site>) {
    let planted = site.map(|site| (site.file, lines_of(site)));
    SITES.with_borrow_mut(|sites| sites.planted = planted);
}

/// The order of the access at `place` whose source says `order`.
pub(crate) fn order(order: Ordering, place: &Location<'_>) -> Ordering {
    if order == Ordering::Relaxed {
        return order;
    }
    SITES.with_borrow_mut(|sites| {
        sites.seen.insert((place.file().into(), place.line()));
        let is_planted = sites.planted.as_ref().is_some_and(|(file, lines)| {
            place.file().ends_with(file) && lines.contains(&place.line())
        });
        if is_planted { Ordering::Relaxed } else { order }
    })
}

/// The ordered accesses of all models that ran on this thread, apart from those in functions of
/// `sites`.
#[must_use]
pub fn seen_outside_of(sites: &[Site]) -> Vec<String> {
    let known: Vec<_> = sites
        .iter()
        .map(|site| (site.file, lines_of(*site)))
        .collect();
    let is_known = |file: &str, line: &u32| {
        known
            .iter()
            .any(|(known, lines)| file.ends_with(known) && lines.contains(line))
    };
    SITES.with_borrow(|sites| {
        let unknown = sites
            .seen
            .iter()
            .filter(|(file, line)| !is_known(file, line));
        unknown
            .map(|(file, line)| format!("{file}:{line}"))
            .collect()
    })
}

/// The lines of a function, from its name to the line that closes it.
fn lines_of(site: Site) -> Range<u32> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Ok(text) = fs::read_to_string(root.join(site.file)) else {
        unreachable!("{site:?}: the file cannot be read");
    };
    let mut lines = (1..).zip(text.lines());
    let names = [
        format!("fn {}(", site.function),
        format!("fn {}<", site.function),
    ];
    let first = lines.find(|(_, line)| names.iter().any(|name| line.contains(name)));
    let Some((first, text)) = first else {
        unreachable!("{site:?}: the file has no such function");
    };
    let indent = text.len() - text.trim_start().len();
    let close = format!("{}}}", " ".repeat(indent));
    let last = lines
        .find(|(_, line)| *line == close)
        .map_or(u32::MAX, |(last, _)| last);
    first..last
}

/// The outcomes of a model, over all its executions: one that has never seen a part taken back has
/// said nothing of withdrawal.
#[derive(Clone, Debug)]
pub(crate) struct Outcomes<T>(Arc<Mutex<BTreeSet<T>>>);

impl<T: Clone + Ord> Outcomes<T> {
    pub(crate) fn note(&self, outcome: T) {
        self.0
            .lock()
            .expect("no thread has panicked")
            .insert(outcome);
    }
}

/// Runs a model in every order of its accesses, with the accesses of `site` weakened, and returns
/// the outcomes that it noted.
pub(crate) fn explore<T: Clone + Ord + Send + 'static>(
    site: Option<Site>,
    model: impl Fn(&Outcomes<T>) + Send + Sync + 'static,
) -> BTreeSet<T> {
    explore_within(None, site, model)
}

/// [`explore`], in those orders in which threads are interrupted two or, optimised, three times:
/// for models that have too many others.
pub(crate) fn explore_briefly<T: Clone + Ord + Send + 'static>(
    site: Option<Site>,
    model: impl Fn(&Outcomes<T>) + Send + Sync + 'static,
) -> BTreeSet<T> {
    let interruptions = if cfg!(debug_assertions) { 2 } else { 3 };
    explore_within(Some(interruptions), site, model)
}

/// [`explore`], in those orders in which threads are interrupted so many times at most.
pub(crate) fn explore_within<T: Clone + Ord + Send + 'static>(
    interruptions: Option<usize>,
    site: Option<Site>,
    model: impl Fn(&Outcomes<T>) + Send + Sync + 'static,
) -> BTreeSet<T> {
    let outcomes = Outcomes(Arc::default());
    let noted = outcomes.clone();
    let mut builder = loom::model::Builder::new();
    // Setting a heap up takes steps, too.
    builder.max_branches = 20_000;
    builder.preemption_bound = interruptions;
    builder.check(move || {
        memory::forget_all();
        plant(site);
        model(&noted);
    });
    outcomes.0.lock().expect("no thread has panicked").clone()
}
