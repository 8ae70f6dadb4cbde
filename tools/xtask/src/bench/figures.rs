//! Figures: the counts of programs and kernels, one a line: `figure PART ROW COLUMN VALUE`, spaces
//! in names written as `~`.

/// A number, or a bound that the number is known to be above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) value: f64,
    pub(super) is_above: bool,
}

impl Number {
    /// A number that is known.
    pub(super) const fn exact(value: f64) -> Self {
        Self {
            value,
            is_above: false,
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
pub(super) struct Figures(Vec<Figure>);

impl Figures {
    /// Adds the figure of a line, and returns whether the line has one.
    pub(super) fn read(&mut self, line: &str) -> bool {
        let figure = Figure::of(line);
        let is_figure = figure.is_some();
        self.0.extend(figure);
        is_figure
    }

    /// Adds a figure.
    pub(super) fn add(&mut self, part: &str, row: &str, column: &str, number: Number) {
        let [part, row, column] = [part, row, column].map(str::to_owned);
        self.0.push(Figure {
            part,
            row,
            column,
            number,
        });
    }

    /// The figure of that name.
    pub(super) fn number(&self, part: &str, row: &str, column: &str) -> Option<Number> {
        let found = self.of_part(part);
        let mut named = found.filter(|figure| figure.row == row && figure.column == column);
        named.next().map(|figure| figure.number)
    }

    /// The figure of that name, if it is known.
    pub(super) fn get(&self, part: &str, row: &str, column: &str) -> Option<f64> {
        let known = self.number(part, row, column);
        known
            .filter(|number| !number.is_above)
            .map(|number| number.value)
    }

    /// The rows of a part, in the order in which they came.
    pub(super) fn rows(&self, part: &str) -> Vec<&str> {
        distinct(self.of_part(part).map(|figure| &*figure.row))
    }

    /// The columns of a part, in the order in which they came.
    pub(super) fn columns(&self, part: &str) -> Vec<&str> {
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
