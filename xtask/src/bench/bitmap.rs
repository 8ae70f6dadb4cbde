//! The parts of the benchmark that are of the heap bitmap.

use super::figures::Figures;
use super::parts::{Part, TRACES, require, table};
use super::table::{Bound, Judged, Table};

/// What the bitmap may take of the pages, in percent: a thirty-second, or a sixteenth, and what may
/// be added to that.
const MOST_OF_PAGES: [(&str, f64); 2] = [("64~bits", 3.2), ("32~bits", 6.3)];

/// Allocations with a map beside plain ones.
pub(super) fn maps(figures: &Figures) -> Table {
    let title = "maps: instructions of an allocation, plain and with a map of all words, on the average \
                 over the slots of a span; what the map takes in the worst of them";
    let mut all = table(figures, Part::Maps, title, "", |_| None);
    all.digits = (1, 0);
    all
}

/// Requests for mapped objects, and walks of their bitmap.
pub(super) fn walks(figures: &Figures) -> Table {
    let title = "walks: instructions of a request for a mapped object of so many words, and of walking \
                 a word of the bitmap, object by object and word by word";
    let mut all = table(figures, Part::Walks, title, "", |_| None);
    all.digits = (2, 0);
    all
}

/// What the bitmap takes on the recorded traces.
pub(super) fn on_traces(figures: &Figures) -> Table {
    let title = "bitmap: at its peak on the traces, all objects of 16 bytes and more full of pointers: \
                 percent of the arena pages that have memory, and of those of them that are in \
                 spans; with no pointers at all, bytes";
    let mut all = table(figures, Part::Bitmap, title, "with memory", |_| None);
    all.digits = (3, 3);
    let rows = TRACES.into_iter().flat_map(|(trace, _)| {
        MOST_OF_PAGES.into_iter().flat_map(move |(words, most)| {
            let row = format!("{trace},{words}");
            let none = format!("{row},no~pointers");
            [
                (row, "with~memory", Bound::AtMost(most)),
                (none, "bytes", Bound::Exactly(0.0)),
            ]
        })
    });
    let judged = rows.map(|(row, column, bound)| {
        let value = figures.get("bitmap", &row, column);
        (row, Judged { value, bound })
    });
    require(all, judged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Number;

    fn figures(figures: &[(&str, &str, &str, f64)]) -> Figures {
        let mut all = Figures::default();
        for (part, row, column, value) in figures {
            all.add(part, row, column, Number::exact(*value));
        }
        all
    }

    #[test]
    fn without_figures_no_bound_is_kept() {
        let none = Figures::default();
        let verdict = on_traces(&none).verdict();
        assert_eq!((verdict.kept, verdict.broken), (0, 16));
    }

    #[test]
    fn memory_is_held_against_the_pages_and_against_none() {
        let kept = |percent, bytes| {
            let all = figures(&[
                ("bitmap", "git,32~bits", "with~memory", percent),
                ("bitmap", "git,32~bits,no~pointers", "bytes", bytes),
            ]);
            on_traces(&all).verdict().kept
        };
        assert_eq!(
            (kept(6.3, 0.0), kept(6.301, 0.0), kept(6.3, 4096.0)),
            (2, 1, 1)
        );
    }
}
