//! The parts of the benchmark about the heap bitmap.

use super::parts::{Part, TRACES, quotient, require, table};
use super::table::{Bound, Judged, Table};
use crate::figures::Figures;

/// The instructions that a map of up to 64 words may take beyond a plain allocation.
const MOST_OF_A_MAP: f64 = 40.0;
/// The instructions that the sparse bitmap may take, divided by those of a flat one.
const MOST_TO_FLAT: f64 = 1.02;
/// The percentage of the pages that the bitmap may take: a little more than a thirty-second, or
/// than a sixteenth, since pages of bitmap lie among those that it covers.
const MOST_OF_PAGES: [(&str, f64); 2] = [("64~bits", 3.5), ("32~bits", 6.9)];

/// Words of the objects that are walked.
const WALKED: [u32; 4] = [2, 8, 60, 64];

/// Allocations with a map beside plain ones.
pub(super) fn maps(figures: &Figures) -> Table {
    let title = "maps: instructions of an allocation, plain and with a map of all words, on the average \
                 over the slots of a span; instructions of the map in the worst of them";
    let mut all = table(figures, Part::Maps, title, "worst", |row| {
        let value = figures.get("maps", row, "worst");
        let bound = Bound::AtMost(MOST_OF_A_MAP);
        Some(Judged { value, bound })
    });
    all.digits = (1, 0);
    // The longest of them stands for all, where there are none.
    let longest = "64~words".to_owned();
    let value = figures.get("maps", &longest, "worst");
    let bound = Bound::AtMost(MOST_OF_A_MAP);
    require(all, [(longest, Judged { value, bound })])
}

/// Requests for scannable objects, and walks of their bitmap, beside those of a flat one.
pub(super) fn walks(figures: &Figures) -> Table {
    let title = "walks: instructions of a request for a scannable object of so many words, and of walking \
                 a word of the bitmap, object by object and word by word; a flat bitmap of the whole \
                 window beside it";
    let mut all = table(figures, Part::Walks, title, "sparse / flat", |_| None);
    all.digits = (2, 3);
    let rows = ["allocate", "walk", "step"].into_iter();
    let rows = rows.flat_map(|what| WALKED.map(|words| format!("{what},{words}")));
    let judged = rows.map(|row| {
        let value = quotient(
            figures.get("walks", &row, "sparse"),
            figures.get("walks", &row, "flat"),
        );
        let bound = Bound::AtMost(MOST_TO_FLAT);
        (row, Judged { value, bound })
    });
    require(all, judged)
}

/// The bitmap's memory on the recorded traces.
pub(super) fn on_traces(figures: &Figures) -> Table {
    let title = "bitmap: on the traces, when most pages are in spans, all objects of 16 bytes and \
                 more full of pointers: percent of the arena pages that have memory, and of those \
                 of them that are in spans; with no pointers at all, bytes";
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
    use crate::figures::Number;

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
        for (table, bounds) in [(maps(&none), 1), (walks(&none), 12), (on_traces(&none), 16)] {
            let verdict = table.verdict();
            assert_eq!((verdict.kept, verdict.broken), (0, bounds));
        }
    }

    #[test]
    fn one_instruction_too_many_for_one_class_breaks_a_bound() {
        let [kept, broken] = [40.0, 41.0].map(|worst| {
            let all = figures(&[
                ("maps", "3~words", "worst", worst),
                ("maps", "64~words", "worst", 40.0),
            ]);
            maps(&all).verdict().broken
        });
        assert_eq!((kept, broken), (0, 1));
    }

    #[test]
    fn a_walk_is_held_against_the_flat_one() {
        let kept = |sparse| {
            let all = figures(&[
                ("walks", "step,8", "sparse", sparse),
                ("walks", "step,8", "flat", 10.0),
            ]);
            walks(&all).verdict().kept
        };
        assert_eq!((kept(10.2), kept(10.21)), (1, 0));
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
            (kept(6.9, 0.0), kept(6.901, 0.0), kept(6.9, 4096.0)),
            (2, 1, 1)
        );
    }
}
