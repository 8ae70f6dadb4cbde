//! A place for a figure in the template of the README's tables, and how the figure is written.
//!
//! A place is `{PART ROW COLUMN}` with the names of figures. More words may follow: `.N` for the
//! digits after the point, and `%N` for a percentage of `N`. A `*` in the row stands for any text,
//! and the figure is then the largest one of all such rows; `A/B` as the column is the quotient of
//! two columns.

use anyhow::{Context, Result, bail};

use super::collected::{Figures, Number};
use crate::table::number;

/// A place for a figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) part: String,
    row: String,
    column: String,
    digits: usize,
    /// The number of which the figure is a percentage.
    whole: Option<f64>,
}

impl Place {
    /// Reads the words between the braces.
    ///
    /// # Errors
    /// If words are missing or not understood.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let mut name = || {
            let name = words.next().map(str::to_owned);
            name.with_context(|| format!("{{{text}}} has no part, row and column"))
        };
        let mut place = Self {
            part: name()?,
            row: name()?,
            column: name()?,
            digits: 0,
            whole: None,
        };
        for word in words {
            let not_understood = || format!("{word} in {{{text}}} is not understood");
            if let Some(digits) = word.strip_prefix('.') {
                place.digits = digits.parse().with_context(not_understood)?;
            } else if let Some(whole) = word.strip_prefix('%') {
                place.whole = Some(whole.parse().with_context(not_understood)?);
            } else {
                bail!(not_understood());
            }
        }
        Ok(place)
    }

    /// The figure as the README writes it, if it was measured.
    pub(super) fn measured(&self, figures: &Figures) -> Option<String> {
        let found = match self.row.split_once('*') {
            None => self.in_row(figures, &self.row),
            Some((start, end)) => {
                let rows = figures.rows(&self.part).into_iter();
                let rows = rows.filter(|row| row.starts_with(start) && row.ends_with(end));
                let all = rows.filter_map(|row| self.in_row(figures, row));
                all.reduce(|one, other| if other.value > one.value { other } else { one })
            }
        }?;
        let value = self
            .whole
            .map_or(found.value, |whole| found.value / whole * 100.0);
        let text = number(value, self.digits);
        Some(if found.is_above {
            format!("over {text}")
        } else {
            text
        })
    }

    fn in_row(&self, figures: &Figures, row: &str) -> Option<Number> {
        match self.column.split_once('/') {
            None => figures.number(&self.part, row, &self.column),
            Some((dividend, divisor)) => {
                let of = |column| figures.get(&self.part, row, column);
                Some(Number::exact(of(dividend)? / of(divisor)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let mut figures = Figures::default();
        for line in [
            "figure walks step,2 sparse 4",
            "figure walks step,2 flat 2",
            "figure walks step,8 sparse 3",
            "figure walks step,8 flat 2",
            "figure walks walk,8 sparse 9",
            "figure memory fresh total 2048",
        ] {
            assert!(figures.read(line), "{line}");
        }
        let value = 9_000.0;
        let is_above = true;
        figures.add("traces", "jq", "list", Number { value, is_above });
        figures
    }

    #[test]
    fn a_figure_is_written_as_its_place_says() {
        let of = |text| {
            let place = Place::read(text).expect("a place");
            place.measured(&figures())
        };
        for (text, written) in [
            ("memory fresh total", Some("2,048")),
            ("memory fresh total .1 %65536", Some("3.1")),
            ("walks step,8 sparse/flat .2", Some("1.50")),
            ("walks step,* sparse/flat .2", Some("2.00")),
            ("walks *,8 sparse", Some("9")),
            ("traces jq list", Some("over 9,000")),
            ("walks step,4 sparse", None),
            ("walks walk,8 sparse/flat", None),
            ("walks none,* sparse", None),
        ] {
            assert_eq!(of(text).as_deref(), written, "{text}");
        }
    }

    #[test]
    fn a_place_that_is_not_understood_is_an_error() {
        for text in ["", "walks step", "a b c d", "a b c .x", "a b c %y"] {
            assert!(Place::read(text).is_err(), "{text}");
        }
    }
}
