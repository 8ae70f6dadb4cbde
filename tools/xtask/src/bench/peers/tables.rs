//! The figures as tables of Markdown, and as the lines that the page is drawn from.

use core::fmt::Write;

use super::counted::{Cell, Counted};
use crate::table::number;

/// A heap, and the version of its package.
#[derive(Clone, Debug)]
pub(super) struct Heap {
    pub(super) name: String,
    pub(super) version: String,
}

/// A row, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) about: String,
}

/// Nanoseconds of a request in the rounds of one heap with so many threads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Time {
    pub(super) heap: String,
    pub(super) threads: f64,
    /// The minimum, the median, and the 90th and 99th of a hundred.
    pub(super) quantiles: [f64; 4],
}

impl Time {
    /// Reads `time HEAP THREADS MINIMUM MEDIAN P90 P99`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("time ")?.split(' ');
        let heap = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let threads = number()?;
        let quantiles = [number()?, number()?, number()?, number()?];
        Some(Self {
            heap,
            threads,
            quantiles,
        })
    }
}

/// Nanoseconds of an allocation of one heap, by the heap before the first of them, and by how many
/// processes are looked at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Latency {
    heap: String,
    phase: String,
    kind: String,
    /// The median, the 99th of a hundred, the 999th of a thousand, the 9,999th of ten thousand, and
    /// the longest.
    quantiles: [f64; 5],
}

impl Latency {
    /// Reads `latency HEAP PHASE KIND P50 P99 P999 P9999 MOST`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("latency ")?.split(' ');
        let mut name = || words.next().map(str::to_owned);
        let (heap, phase, kind) = (name()?, name()?, name()?);
        let mut number = || words.next()?.parse().ok();
        let quantiles = [number()?, number()?, number()?, number()?, number()?];
        Some(Self {
            heap,
            phase,
            kind,
            quantiles,
        })
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Compiler, profiler, processor.
    pub(super) notes: Vec<String>,
    pub(super) heaps: Vec<Heap>,
    pub(super) rows: Vec<Row>,
    pub(super) counted: Counted,
    pub(super) times: Vec<Time>,
    pub(super) latencies: Vec<Latency>,
}

impl Measured {
    /// The tables in Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from("# archipelago and its peers\n\n");
        for note in &self.notes {
            line(&mut text, format_args!("- {note}"));
        }
        line(&mut text, format_args!("- {}", self.versions()));
        text.push_str(
            "\n## Instructions a request\n\nUnder callgrind, less those of a heap that does \
             nothing; without those of `memset`, `memcpy` and `memmove`, which the next table has. \
             Not measured are rows that take a heap minutes, and snmalloc, which takes more address \
             space than valgrind has.\n\n",
        );
        self.table(&mut text, |cell| Some(number(cell.own, 1)));
        text.push_str("\n## Instructions of `memset`, `memcpy` and `memmove` a request\n\n");
        self.table(&mut text, |cell| {
            (cell.memory >= 0.05).then(|| number(cell.memory, 1))
        });
        text.push('\n');
        for row in &self.rows {
            line(&mut text, format_args!("- **{}**: {}", row.name, row.about));
        }
        if self.times.is_empty() {
            return text;
        }
        text.push_str(
            "\n## Nanoseconds a request\n\nOf one thread, while so many make the same requests \
             (c300): the minimum, the median and the 90th and 99th of a hundred of short rounds, \
             which the heaps take in turn; archipelago-trusting is another program, and takes none. \
             The harness is included: `null` is what it takes.\n\n\
             | heap | threads | minimum | median | p90 | p99 | million a second, all threads |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for time in &self.times {
            let [least, ..] = time.quantiles;
            let cells = time.quantiles.map(|value| number(value, 1));
            let rate = number(time.threads * 1000.0 / least, 1);
            let (heap, threads) = (&time.heap, time.threads);
            line(
                &mut text,
                format_args!("| {heap} | {threads} | {} | {rate} |", cells.join(" | ")),
            );
        }
        self.latency_table(&mut text);
        text
    }

    /// The table of single allocations.
    fn latency_table(&self, text: &mut String) {
        if self.latencies.is_empty() {
            return;
        }
        text.push_str(
            "\n## Nanoseconds of an allocation\n\nOf a million of 16 bytes to 16 KiB, with 4,096 \
             objects live, without what the clock takes. *Empty* is a heap without memory, or, of \
             talc and rlsf, one whose memory was mapped beforehand; *warm* is the same heap after \
             these calls. *Each* is the median of what several processes saw, in which the longest \
             are mostly the machine's; *least* has the least of them for each call, since all make \
             the same calls.\n\n\
             | heap | before | of | p50 | p99 | p99.9 | p99.99 | most |\n\
             | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for Latency {
            heap,
            phase,
            kind,
            quantiles,
        } in &self.latencies
        {
            let cells = quantiles.map(|value| number(value, 0)).join(" | ");
            line(
                text,
                format_args!("| {heap} | {phase} | {kind} | {cells} |"),
            );
        }
    }

    /// The heaps, each with its version.
    fn versions(&self) -> String {
        let heaps = self.heaps.iter();
        let versions = heaps.map(|heap| format!("{} {}", heap.name, heap.version));
        versions.collect::<Vec<_>>().join(", ")
    }

    /// A table of the cells for which `show` has a text. Rows without one are left out.
    fn table(&self, text: &mut String, show: impl Fn(Cell) -> Option<String>) {
        let heaps: Vec<_> = self.heaps.iter().map(|heap| heap.name.as_str()).collect();
        line(text, format_args!("| row | {} |", heaps.join(" | ")));
        line(
            text,
            format_args!("| --- |{}", " ---: |".repeat(heaps.len())),
        );
        for row in &self.rows {
            let cell = |heap: &&str| show(self.counted.get(&row.name, heap)?);
            let cells: Vec<_> = heaps.iter().map(cell).collect();
            if cells.iter().any(Option::is_some) {
                let cells = cells.into_iter().map(|cell| cell.unwrap_or("–".to_owned()));
                let cells: Vec<_> = cells.collect();
                line(
                    text,
                    format_args!("| {} | {} |", row.name, cells.join(" | ")),
                );
            }
        }
    }

    /// The lines from which the page is drawn.
    pub(super) fn lines(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            line(&mut text, format_args!("note {note}"));
        }
        line(&mut text, format_args!("note {}", self.versions()));
        for Row { name, about } in &self.rows {
            line(&mut text, format_args!("row {name} {about}"));
            for Heap { name: heap, .. } in &self.heaps {
                if let Some(Cell { own, memory }) = self.counted.get(name, heap) {
                    line(
                        &mut text,
                        format_args!("cell {name} {heap} {own:.2} {memory:.2}"),
                    );
                }
            }
        }
        for Time {
            heap,
            threads,
            quantiles,
        } in &self.times
        {
            let quantiles = quantiles.map(|value| format!("{value:.2}"));
            line(
                &mut text,
                format_args!("time {heap} {threads} {}", quantiles.join(" ")),
            );
        }
        text
    }
}

/// Adds a line.
fn line(text: &mut String, what: core::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let mut counted = Counted::default();
        for (row, heap, own, memory) in [
            ("pair", "talc", 96.04, 0.0),
            ("git", "talc", 91.0, 80.26),
            ("pair", "rlsf", 1110.5, 0.0),
        ] {
            counted.add(row, heap, Cell { own, memory });
        }
        let heap = |name: &str| Heap {
            name: name.to_owned(),
            version: "1.2".to_owned(),
        };
        let row = |name: &str| Row {
            name: name.to_owned(),
            about: "requests".to_owned(),
        };
        Measured {
            notes: vec!["rustc".to_owned()],
            heaps: ["talc", "rlsf"].map(heap).into(),
            rows: ["pair", "git"].map(row).into(),
            counted,
            times: vec![Time::read("time talc 2 4.00 5.00 6.00 7.00").expect("a time")],
            latencies: vec![
                Latency::read("latency rlsf warm least 10.0 20.0 30.4 1700.0 9.0").expect("one"),
            ],
        }
    }

    #[test]
    fn cells_stand_in_their_places_and_copies_are_apart() {
        let text = measured().markdown();
        for line in [
            "- talc 1.2, rlsf 1.2",
            "| row | talc | rlsf |",
            "| pair | 96.0 | 1,110.5 |",
            "| git | 91.0 | – |",
            "| git | 80.3 | – |",
            "- **pair**: requests",
            "| talc | 2 | 4.0 | 5.0 | 6.0 | 7.0 | 500.0 |",
            "| rlsf | warm | least | 10 | 20 | 30 | 1,700 | 9 |",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in:\n{text}");
        }
    }

    #[test]
    fn the_page_gets_every_figure() {
        let lines = measured().lines();
        for line in [
            "note talc 1.2, rlsf 1.2",
            "row git requests",
            "cell git talc 91.00 80.26",
        ] {
            assert!(lines.lines().any(|one| one == line), "{line} in:\n{lines}");
        }
        assert!(lines.ends_with("time talc 2 4.00 5.00 6.00 7.00\n"));
        assert_eq!(Time::read("time talc 2 4.00"), None);
        assert_eq!(Latency::read("latency rlsf warm least 10.0"), None);
    }
}
