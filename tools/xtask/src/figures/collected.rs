//! Figures that were measured: the counts of programs and kernels, one a line:
//! `figure PART ROW COLUMN VALUE`, spaces in names written as `~`.

use crate::run::figures::{Figure as Counted, Figures as Replay};

/// The part with what traces ask of a heap, and with the frames that they take on [`PEAKS_ON`].
pub(crate) const PEAK: &str = "peak";

/// The machine whose frames are in the part [`PEAK`].
pub(crate) const PEAKS_ON: &str = "x86_64";

/// A number, or a bound that the number is known to be above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) value: f64,
    pub(crate) is_above: bool,
}

impl Number {
    /// A number that is known.
    pub(crate) const fn exact(value: f64) -> Self {
        Self {
            value,
            is_above: false,
        }
    }
}

impl From<Counted> for Number {
    fn from(counted: Counted) -> Self {
        Self {
            value: as_float(counted.value),
            is_above: counted.is_bound,
        }
    }
}

/// A number with its part, row and column.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    part: String,
    row: String,
    column: String,
    number: Number,
}

/// The figures of all sources.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    /// Adds the figure of a line, and returns whether the line has one.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        let figure = Figure::of(line);
        let is_figure = figure.is_some();
        self.0.extend(figure);
        is_figure
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, part: &str, row: &str, column: &str, number: Number) {
        let [part, row, column] = [part, row, column].map(str::to_owned);
        self.0.push(Figure {
            part,
            row,
            column,
            number,
        });
    }

    /// Adds a count.
    pub(crate) fn count(&mut self, part: &str, row: &str, column: &str, count: u64) {
        self.add(part, row, column, Number::exact(as_float(count)));
    }

    /// Adds the memory that a replay took.
    pub(crate) fn add_memory(&mut self, trace: &str, machine: &str, replay: &Replay) {
        if let Some(overhead) = replay.overhead() {
            self.add("overhead", trace, machine, Number::exact(overhead));
        }
        if machine != PEAKS_ON {
            return;
        }
        for name in ["operations", "peak_live_bytes", "frames_at_peak"] {
            if let Some(count) = replay.get(name) {
                self.count(PEAK, trace, name, count);
            }
        }
    }

    /// Whether there is no figure.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all figures of others.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The figure of that name.
    pub(crate) fn number(&self, part: &str, row: &str, column: &str) -> Option<Number> {
        let found = self.of_part(part);
        let mut named = found.filter(|figure| figure.row == row && figure.column == column);
        named.next().map(|figure| figure.number)
    }

    /// The figure of that name, if it is known.
    pub(crate) fn get(&self, part: &str, row: &str, column: &str) -> Option<f64> {
        let known = self.number(part, row, column);
        known
            .filter(|number| !number.is_above)
            .map(|number| number.value)
    }

    /// The rows of a part, in the order in which they came.
    pub(crate) fn rows(&self, part: &str) -> Vec<&str> {
        distinct(self.of_part(part).map(|figure| &*figure.row))
    }

    /// The columns of a part, in the order in which they came.
    pub(crate) fn columns(&self, part: &str) -> Vec<&str> {
        distinct(self.of_part(part).map(|figure| &*figure.column))
    }

    fn of_part<'a>(&'a self, part: &str) -> impl Iterator<Item = &'a Figure> {
        self.0.iter().filter(move |figure| figure.part == part)
    }
}

impl Figure {
    fn of(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("figure ")?.split_whitespace();
        let mut name = || words.next().map(str::to_owned);
        let (part, row, column) = (name()?, name()?, name()?);
        let number = Number::exact(name()?.parse().ok()?);
        words.next().is_none().then_some(Self {
            part,
            row,
            column,
            number,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts are far below what a double can tell apart"
)]
fn as_float(number: u64) -> f64 {
    number as f64
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_figures() {
        let mut figures = Figures::default();
        assert!(figures.read("figure fill filled talc 73.5"));
        assert!(figures.read("figure fill refilled talc 70"));
        for line in [
            "",
            "# figure fill filled talc 1",
            "figure fill filled talc",
            "figure fill filled talc many",
            "figure fill filled talc 1 2",
        ] {
            assert!(!figures.read(line), "{line:?}");
        }
        assert_eq!(figures.get("fill", "filled", "talc"), Some(73.5));
        assert_eq!(figures.get("fill", "filled", "rlsf"), None);
        assert_eq!(figures.rows("fill"), ["filled", "refilled"]);
        assert_eq!(figures.columns("fill"), ["talc"]);
    }

    #[test]
    fn what_a_number_is_above_is_not_the_number() {
        let mut figures = Figures::default();
        let above = Number {
            value: 9.0,
            is_above: true,
        };
        figures.add("traces", "jq", "linked_list", above);
        assert_eq!(figures.number("traces", "jq", "linked_list"), Some(above));
        assert_eq!(figures.get("traces", "jq", "linked_list"), None);
    }
}
