//! Tables of figures, each bounded one beside its bound.

use crate::figures::Number;
use crate::table::{Side, number, render};

/// The bound of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
    Exactly(f64),
}

/// A figure that has a bound. Without the figure, the bound is not kept.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) value: Option<f64>,
    pub(super) bound: Bound,
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// A figure for each column; not every subject has every figure.
    pub(super) cells: Vec<Option<Number>>,
    pub(super) judged: Option<Judged>,
}

/// A table of figures.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The figures' subject and unit.
    pub(super) title: &'static str,
    pub(super) columns: Vec<String>,
    /// The name of the judged figures: a column, or a quotient of two.
    pub(super) judged: &'static str,
    /// Digits after the point, of the cells and of the judged figures.
    pub(super) digits: (usize, usize),
    pub(super) rows: Vec<Row>,
}

/// How many figures kept to their bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kept: usize,
    pub(super) broken: usize,
}

impl Judged {
    fn is_kept(&self) -> bool {
        self.value.is_some_and(|value| match self.bound {
            Bound::AtMost(most) => value <= most,
            Bound::Below(end) => value < end,
            Bound::AtLeast(least) => value >= least,
            // Only figures that are whole numbers are bound so.
            Bound::Exactly(only) => (value - only).abs() < 0.5,
        })
    }
}

impl Table {
    /// Counts the judged figures.
    pub(super) fn verdict(&self) -> Verdict {
        let judged: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| row.judged.as_ref())
            .collect();
        let kept = judged.iter().filter(|judged| judged.is_kept()).count();
        Verdict {
            kept,
            broken: judged.len() - kept,
        }
    }

    /// The table as text, columns aligned.
    pub(super) fn render(&self) -> String {
        let mut lines = vec![self.head()];
        lines.extend(self.rows.iter().map(|row| self.line(row)));
        let mut sides = vec![Side::Right; self.columns.len() + 4];
        // The name of the row, and the verdict.
        sides[0] = Side::Left;
        sides[self.columns.len() + 3] = Side::Left;
        format!("{}\n{}", self.title, render(&lines, &sides, 2))
    }

    fn head(&self) -> Vec<String> {
        let mut head = vec![String::new()];
        head.extend(self.columns.iter().map(|column| column.replace('~', " ")));
        head.extend([self.judged.to_owned(), "bound".to_owned(), String::new()]);
        head
    }

    fn line(&self, row: &Row) -> Vec<String> {
        let (digits, judged_digits) = self.digits;
        let mut line = vec![row.name.replace('~', " ").replace(',', ", ")];
        for column in 0..self.columns.len() {
            let cell = row.cells.get(column).copied().flatten();
            let text = cell.map(|cell| {
                let above = if cell.is_above { ">" } else { "" };
                above.to_owned() + &number(cell.value, digits)
            });
            line.push(text.unwrap_or_default());
        }
        match &row.judged {
            None => line.extend([const { String::new() }; 3]),
            Some(judged) => {
                let (relation, bound) = match judged.bound {
                    Bound::AtMost(most) => ("≤", most),
                    Bound::Below(end) => ("<", end),
                    Bound::AtLeast(least) => ("≥", least),
                    Bound::Exactly(only) => ("=", only),
                };
                let value = judged.value.map(|value| number(value, judged_digits));
                line.push(value.unwrap_or_else(|| "missing".to_owned()));
                line.push(format!("{relation} {}", number(bound, judged_digits)));
                line.push(if judged.is_kept() { "ok" } else { "FAIL" }.to_owned());
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Option<f64>, bound: Bound) -> Row {
        Row {
            name: "a~row".to_owned(),
            cells: vec![value.map(Number::exact), None],
            judged: Some(Judged { value, bound }),
        }
    }

    fn table(rows: Vec<Row>) -> Table {
        Table {
            title: "bytes",
            columns: vec!["heap".to_owned(), "peer".to_owned()],
            judged: "heap",
            digits: (0, 2),
            rows,
        }
    }

    #[test]
    fn a_figure_beyond_its_bound_or_missing_fails() {
        let kept = [
            row(Some(3.0), Bound::AtMost(3.0)),
            row(Some(3.0), Bound::AtLeast(3.0)),
            row(Some(8.0), Bound::Exactly(8.0)),
        ];
        let broken = [
            row(Some(3.1), Bound::AtMost(3.0)),
            row(Some(2.9), Bound::AtLeast(3.0)),
            row(Some(16.0), Bound::Exactly(8.0)),
            row(None, Bound::AtMost(3.0)),
        ];
        for row in &kept {
            let verdict = table(vec![row.clone()]).verdict();
            assert_eq!((verdict.kept, verdict.broken), (1, 0), "{row:?}");
        }
        for row in &broken {
            let verdict = table(vec![row.clone()]).verdict();
            assert_eq!((verdict.kept, verdict.broken), (0, 1), "{row:?}");
        }
    }

    #[test]
    fn rows_have_the_bound_and_the_verdict() {
        let text = table(vec![row(Some(12345.0), Bound::AtMost(9.0))]).render();
        let line = text.lines().last().map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.join(" ")
        });
        assert_eq!(line.as_deref(), Some("a row 12,345 12,345.00 ≤ 9.00 FAIL"));
    }
}
