//! The table of what the traces came to.

use super::figures::{Figure, Figures};

/// What one trace came to.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) figures: Figures,
    pub(crate) passed: bool,
}

/// The columns, and the lines of their heads.
const HEADS: [[&str; 2]; 8] = [
    ["", "trace"],
    ["", "operations"],
    ["peak", "live bytes"],
    ["peak", "Ready bytes"],
    ["peak", "frames"],
    ["memory", "overhead"],
    ["instructions", "per operation"],
    ["frame", "identity"],
];

/// The table: the first column to the left, the others to the right.
pub(crate) fn of(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        let heads = HEADS[column].iter().map(|head| head.len());
        cells.chain(heads).max().unwrap_or(0)
    };
    let widths: [usize; HEADS.len()] = core::array::from_fn(width);
    let line = |cells: [&str; HEADS.len()]| {
        let mut line = format!("{:<width$}", cells[0], width = widths[0]);
        for (cell, width) in cells.iter().zip(widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        line.trim_end().to_owned()
    };
    let heads = (0..HEADS[0].len()).map(|row| line(HEADS.map(|head| head[row])));
    let rows = rows
        .iter()
        .map(|row| line(core::array::from_fn(|column| &row[column][..])));
    heads.chain(rows).collect::<Vec<_>>().join("\n")
}

fn cells(row: &Row) -> [String; HEADS.len()] {
    let number = |name: &str| row.figures.get(name).map_or_else(missing, grouped);
    let overhead = row.figures.overhead();
    let instructions = row.figures.instructions("archipelago");
    [
        row.name.clone(),
        number("operations"),
        number("peak_live_bytes"),
        number("peak_ready_bytes"),
        number("peak_frames"),
        overhead.map_or_else(missing, |per_cent| format!("{per_cent:.1} %")),
        instructions.map_or_else(missing, bounded),
        identity(row).to_owned(),
    ]
}

/// The kernel counts the checks of the account once all of them have held.
fn identity(row: &Row) -> &'static str {
    if row.figures.get("account_checks").is_some() {
        "held"
    } else {
        "NOT SHOWN"
    }
}

fn missing() -> String {
    "-".to_owned()
}

fn bounded(figure: Figure) -> String {
    let bound = if figure.is_bound { ">" } else { "" };
    format!("{bound}{}", grouped(figure.value))
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let grouped: Vec<_> = [0, 12, 999, 1000, 1_234_567].map(grouped).into();
        assert_eq!(grouped, ["0", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_gaps_are_seen() {
        let lines = ["figure operations 1234567890123".to_owned()];
        let row = Row {
            name: "a long name of a trace".to_owned(),
            figures: Figures::read(&lines),
            passed: false,
        };
        let table = of(&[row]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("trace "));
        assert!(lines[2].starts_with("a long name of a trace  1,234,567,890,123  "));
        assert!(lines[2].ends_with("NOT SHOWN"));
    }
}
