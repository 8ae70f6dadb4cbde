//! The table of the replayed traces.

use super::figures::{Figure, Figures};
use crate::machine::Machine;
use crate::table::{Side, count, render};

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every operation, every byte and every identity was right.
    Held,
    /// The trace has more live bytes than the machine has memory.
    TooLarge,
    Failed,
}

/// The figures of one trace on one machine.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) machine: &'static Machine,
    pub(crate) name: String,
    pub(crate) figures: Figures,
    pub(crate) outcome: Outcome,
}

/// A column: the lines of its head, and a row's cell.
struct Column {
    head: [&'static str; 2],
    cell: fn(&Row) -> String,
}

/// Columns of every table, the first ones to the left.
const TRACE: [Column; 2] = [
    column("", "trace", |row| row.name.clone()),
    column("", "operations", |row| row.number("operations")),
];

/// Besides, of a table of one machine.
const ONE_MACHINE: [Column; 3] = [
    column("peak", "live bytes", |row| row.number("peak_live_bytes")),
    column("peak", "Ready bytes", |row| row.number("peak_ready_bytes")),
    column("peak", "frames", |row| row.number("peak_frames")),
];

/// Before the others, of a table of several.
const MACHINE: [Column; 2] = [
    column("", "machine", |row| row.machine.name.to_owned()),
    column("address", "bits", |row| row.number("address_bits")),
];

const RESULT: [Column; 3] = [
    column("memory", "overhead", |row| {
        let overhead = row.figures.overhead();
        overhead.map_or_else(missing, |per_cent| format!("{per_cent:.1} %"))
    }),
    column("instructions", "per operation", |row| {
        let instructions = row.figures.instructions("archipelago");
        instructions.map_or_else(missing, bounded)
    }),
    column("frame", "identity", Row::identity),
];

const fn column(first: &'static str, second: &'static str, cell: fn(&Row) -> String) -> Column {
    Column {
        head: [first, second],
        cell,
    }
}

impl Row {
    fn number(&self, name: &str) -> String {
        self.figures.get(name).map_or_else(missing, count)
    }

    /// The kernel counts the checks of the account once all of them have held.
    fn identity(&self) -> String {
        match (self.outcome, self.figures.lack()) {
            (Outcome::TooLarge, Some((needed, available))) => {
                let [needed, available] = [needed, available].map(count);
                format!("does not fit: {needed} bytes needed, {available} available")
            }
            _ if self.figures.get("account_checks").is_some() => "held".to_owned(),
            _ => "NOT SHOWN".to_owned(),
        }
    }
}

/// The table: words to the left, numbers to the right.
pub(crate) fn of(rows: &[Row], has_machines: bool) -> String {
    let columns: Vec<&Column> = if has_machines {
        MACHINE.iter().chain(&TRACE).chain(&RESULT).collect()
    } else {
        TRACE.iter().chain(&ONE_MACHINE).chain(&RESULT).collect()
    };
    let cells = |row: &Row| columns.iter().map(|column| (column.cell)(row)).collect();
    let heads = (0..2).map(|line| {
        let head = columns.iter().map(|column| column.head[line].to_owned());
        head.collect()
    });
    let lines: Vec<Vec<String>> = heads.chain(rows.iter().map(cells)).collect();
    let words = ["trace", "machine", "identity"];
    let side = |column: &&Column| {
        if words.contains(&column.head[1]) {
            Side::Left
        } else {
            Side::Right
        }
    };
    let sides: Vec<_> = columns.iter().map(side).collect();
    render(&lines, &sides, 0).trim_end().to_owned()
}

fn missing() -> String {
    "-".to_owned()
}

fn bounded(figure: Figure) -> String {
    let bound = if figure.is_bound { ">" } else { "" };
    format!("{bound}{}", count(figure.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;

    fn row(name: &str, lines: &[&str], outcome: Outcome) -> Row {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        Row {
            machine: machine::find("x86_64").expect("it is there"),
            name: name.to_owned(),
            figures: Figures::read(&lines),
            outcome,
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_gaps_are_seen() {
        let lines = ["figure operations 1234567890123"];
        let row = row("a long name of a trace", &lines, Outcome::Failed);
        let table = of(&[row], false);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("trace "));
        assert!(lines[2].starts_with("a long name of a trace  1,234,567,890,123  "));
        assert!(lines[2].ends_with("NOT SHOWN"));
    }

    #[test]
    fn a_table_of_machines_names_them_and_what_a_trace_lacks() {
        let lines = [
            "figure address_bits 48",
            "figure bytes_needed 5000",
            "figure bytes_available 4000",
        ];
        let table = of(&[row("git", &lines, Outcome::TooLarge)], true);
        let last = table.lines().last().expect("a row");
        assert!(last.starts_with("x86_64        48  git"), "{last}");
        assert!(
            last.ends_with("does not fit: 5,000 bytes needed, 4,000 available"),
            "{last}"
        );
    }
}
