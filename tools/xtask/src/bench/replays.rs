//! The part of the benchmark that replays traces on simulated machines.

use super::parts::{Part, TRACES, require, table as all_figures};
use super::table::{Bound, Judged, Table};
use crate::figures::Figures;

/// The geometry that the bounds are for.
const BOUNDED: &str = "x86_64";

/// The heap's memory on the recorded traces.
pub(super) fn table(figures: &Figures) -> Table {
    let title = "replays: memory beyond the live bytes at their peak, in percent, on the host; \
                 metadata and the simulated machine's page tables included";
    let mut all = all_figures(figures, Part::Replays, title, BOUNDED, |_| None);
    all.digits = (1, 1);
    let judged = TRACES.map(|(trace, most)| {
        let value = figures.get("replays", trace, BOUNDED);
        let bound = Bound::AtMost(most);
        (trace.to_owned(), Judged { value, bound })
    });
    require(all, judged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Number;

    #[test]
    fn every_trace_has_a_bound() {
        let mut figures = Figures::default();
        figures.add("replays", "git", BOUNDED, Number::exact(12.5));
        figures.add("replays", "jq", BOUNDED, Number::exact(13.1));
        let verdict = table(&figures).verdict();
        assert_eq!((verdict.kept, verdict.broken), (1, 3));
    }
}
