//! The counted figures, and the committed ones that they are compared with.

use alloc::collections::BTreeMap;
use core::fmt::Write;

use anyhow::{Context, Result};

/// Percent that a figure may differ from the committed one.
pub(super) const TOLERANCE: f64 = 2.0;

/// Instructions by which small figures may differ, whatever that is in percent.
const LEAST_DIFFERENCE: f64 = 0.05;

/// A figure: instructions of a request, less those of the harness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    /// Instructions without those that copy and clear memory.
    pub(super) own: f64,
    /// Instructions that copy and clear memory.
    pub(super) memory: f64,
}

/// Figures by row and heap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted(BTreeMap<(String, String), Cell>);

impl Counted {
    pub(super) fn add(&mut self, row: &str, heap: &str, cell: Cell) {
        self.0.insert((row.to_owned(), heap.to_owned()), cell);
    }

    pub(super) fn get(&self, row: &str, heap: &str) -> Option<Cell> {
        self.0.get(&(row.to_owned(), heap.to_owned())).copied()
    }

    /// The figures, each with its row and its heap.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&str, &str, Cell)> {
        let cells = self.0.iter();
        cells.map(|((row, heap), cell)| (row.as_str(), heap.as_str(), *cell))
    }

    /// The figures of the other, and those of this one that the other has not.
    pub(super) fn updated(mut self, other: &Self) -> Self {
        let cells = other.0.iter().map(|(place, cell)| (place.clone(), *cell));
        self.0.extend(cells);
        self
    }

    /// Reads lines `ROW HEAP INSTRUCTIONS MEMORY`; those that begin with `#` are comments.
    ///
    /// # Errors
    /// The line that is none of these.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<_> = line.split_whitespace().collect();
            let [row, heap, own, memory] = words[..] else {
                anyhow::bail!("`{line}` is not ROW HEAP INSTRUCTIONS MEMORY");
            };
            let number = |word: &str| word.parse::<f64>().with_context(|| line.to_owned());
            let (own, memory) = (number(own)?, number(memory)?);
            all.add(row, heap, Cell { own, memory });
        }
        Ok(all)
    }

    /// The lines that [`read`](Self::read) reads, after comments.
    pub(super) fn write(&self, comments: &[String]) -> String {
        let mut text = String::new();
        for comment in comments {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# {comment}");
        }
        for ((row, heap), Cell { own, memory }) in &self.0 {
            let _ = writeln!(text, "{row} {heap} {own:.2} {memory:.2}");
        }
        text
    }

    /// Compares with the committed figures, of the heaps that were measured: how many are the same,
    /// and a sentence for each that is not.
    pub(super) fn compare(&self, committed: &Self, heaps: &[&str]) -> (usize, Vec<String>) {
        let (mut right, mut faults) = (0, Vec::new());
        for ((row, heap), cell) in &self.0 {
            let Some(expected) = committed.get(row, heap) else {
                faults.push(format!(
                    "{row}, {heap}: {:.2}, and no committed figure",
                    cell.own
                ));
                continue;
            };
            let difference = cell.own - expected.own;
            let allowed = (expected.own.abs() * TOLERANCE / 100.0).max(LEAST_DIFFERENCE);
            if difference.abs() <= allowed {
                right += 1;
            } else {
                let percent = 100.0 * difference / expected.own;
                faults.push(format!(
                    "{row}, {heap}: {:.2} instead of {:.2} ({percent:+.1} %, at most {TOLERANCE} %)",
                    cell.own, expected.own
                ));
            }
        }
        let places = committed.0.keys();
        let missing = places.filter(|place| !self.0.contains_key(place));
        for (row, heap) in missing.filter(|(_, heap)| heaps.contains(&heap.as_str())) {
            faults.push(format!("{row}, {heap}: committed, and not measured"));
        }
        (right, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(cells: &[(&str, &str, f64)]) -> Counted {
        let mut all = Counted::default();
        for (row, heap, own) in cells {
            all.add(
                row,
                heap,
                Cell {
                    own: *own,
                    memory: 1.5,
                },
            );
        }
        all
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let all = counted(&[("pair", "talc", 96.0), ("c300", "talc", 61.25)]);
        let text = all.write(&["a comment".to_owned()]);
        assert_eq!(
            text,
            "# a comment\nc300 talc 61.25 1.50\npair talc 96.00 1.50\n"
        );
        assert_eq!(Counted::read(&text).expect("lines"), all);
        assert!(Counted::read("pair talc 96\n").is_err());
        assert!(Counted::read("pair talc 96 many\n").is_err());
    }

    #[test]
    fn a_figure_beyond_two_percent_fails_in_either_direction() {
        let committed = counted(&[("pair", "talc", 100.0)]);
        for (own, faults) in [(100.0, 0), (102.0, 0), (98.0, 0), (102.1, 1), (97.9, 1)] {
            let measured = counted(&[("pair", "talc", own)]);
            let (right, found) = measured.compare(&committed, &["talc"]);
            assert_eq!(
                (right, found.len()),
                (1 - faults, faults),
                "{own}: {found:?}"
            );
        }
        let measured = counted(&[("pair", "talc", 103.0)]);
        let (_, found) = measured.compare(&committed, &["talc"]);
        assert_eq!(
            found,
            ["pair, talc: 103.00 instead of 100.00 (+3.0 %, at most 2 %)"]
        );
    }

    #[test]
    fn small_figures_may_differ_by_a_twentieth_of_an_instruction() {
        let committed = counted(&[("pair", "talc", 1.0)]);
        let faults = |own| {
            counted(&[("pair", "talc", own)])
                .compare(&committed, &["talc"])
                .1
        };
        assert_eq!(faults(1.04), [""; 0]);
        assert_eq!(faults(1.06).len(), 1);
    }

    #[test]
    fn figures_that_only_one_side_has_fail_unless_their_heap_is_left_out() {
        let committed = counted(&[("pair", "talc", 100.0), ("pair", "rlsf", 100.0)]);
        let measured = counted(&[("pair", "talc", 100.0)]);
        assert_eq!(measured.compare(&committed, &["talc"]).1, [""; 0]);
        let (_, faults) = measured.compare(&committed, &["talc", "rlsf"]);
        assert_eq!(faults, ["pair, rlsf: committed, and not measured"]);
        let (_, faults) = committed.compare(&measured, &["talc", "rlsf"]);
        assert_eq!(faults, ["pair, rlsf: 100.00, and no committed figure"]);
    }
}
