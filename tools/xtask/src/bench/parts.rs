//! The parts of the benchmark: the figures of each, their sources and their bounds.

use clap::ValueEnum;

use super::OWN;
use super::bitmap;
use super::replays;
use super::sources::Source;
use super::table::{Bound, Judged, Row, Table};
use crate::figures::Figures;
use crate::machine::{self, Machine};

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Metadata after the first allocation
    Metadata,
    /// The share of memory that is live when the first request is refused
    Fill,
    /// Objects of one size class after those of another, for all pairs
    History,
    /// Memory beyond the live bytes at the peak of the recorded traces, on the host
    Replays,
    /// Bytes that one object of many occupies
    Strides,
    /// Freeing every other block, then the rest
    Frees,
    /// Requests for objects where memory is at hand
    Objects,
    /// Allocating objects that the heap bitmap describes
    Maps,
    /// Walking the heap bitmap
    Walks,
    /// Memory of the heap bitmap on the recorded traces
    Bitmap,
    /// Finding a run of n pages, from 256 MiB to 1 TiB
    Runs,
    /// From an address to its span
    Lookup,
    /// Instructions of the sparse arena index on the recorded traces
    Index,
    /// Instructions per operation of the recorded traces
    Traces,
    /// Memory beyond the live bytes at the peak of the recorded traces, on every machine
    Overhead,
    /// Instructions per operation of one trace on every machine
    Machines,
    /// Instructions and times of the heap in a process beside other heaps; tables and a page
    Peers,
}

impl Part {
    /// The part's name on the command line and in figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Fill => "fill",
            Self::History => "history",
            Self::Replays => "replays",
            Self::Strides => "strides",
            Self::Frees => "frees",
            Self::Objects => "objects",
            Self::Maps => "maps",
            Self::Walks => "walks",
            Self::Bitmap => "bitmap",
            Self::Runs => "runs",
            Self::Lookup => "lookup",
            Self::Index => "index",
            Self::Traces => "traces",
            Self::Overhead => "overhead",
            Self::Machines => "machines",
            Self::Peers => "peers",
        }
    }

    /// The sources of the part's figures.
    pub(super) fn sources(self) -> &'static [Source] {
        match self {
            Self::Metadata => &[Source::HOST, Source::Metadata],
            Self::Fill | Self::History | Self::Replays | Self::Strides => &[Source::HOST],
            Self::Frees => &[Source::OBJECTS],
            Self::Objects => &[Source::OBJECTS, Source::OBJECTS_WITH_BITMAP],
            Self::Maps => &[Source::SCANNABLE],
            Self::Walks => &[Source::SCANNABLE, Source::SCANNABLE_FLAT],
            Self::Bitmap => &[Source::HOST_WITH_BITMAP],
            Self::Runs => &[Source::RUNS],
            Self::Lookup => &[Source::Listing],
            Self::Index => &[Source::REPLAYS, Source::FLAT_REPLAYS],
            Self::Traces => &[Source::REPLAYS],
            Self::Overhead | Self::Machines => &[Source::Machines],
            Self::Peers => &[],
        }
    }

    /// The part's table.
    pub(super) fn table(self, figures: &Figures) -> Table {
        match self {
            Self::Metadata => metadata(figures),
            Self::Fill => fill(figures),
            Self::History => history(figures),
            Self::Replays => replays::table(figures),
            Self::Strides => strides(figures),
            Self::Frees => frees(figures),
            Self::Objects => objects(figures),
            Self::Maps => bitmap::maps(figures),
            Self::Walks => bitmap::walks(figures),
            Self::Bitmap => bitmap::on_traces(figures),
            Self::Runs => runs(figures),
            Self::Lookup => lookup(figures),
            Self::Index => index(figures),
            Self::Traces => traces(figures),
            Self::Overhead => overhead(figures),
            Self::Machines => machines(figures),
            Self::Peers => unreachable!("peers have tables of their own"),
        }
    }
}

/// A table of all figures of a part, with a judgement for each row.
pub(super) fn table(
    figures: &Figures,
    part: Part,
    title: &'static str,
    judged: &'static str,
    judge: impl Fn(&str) -> Option<Judged>,
) -> Table {
    let columns = figures.columns(part.name());
    let row = |name: &&str| Row {
        name: (*name).to_owned(),
        cells: columns
            .iter()
            .map(|column| figures.number(part.name(), name, column))
            .collect(),
        judged: judge(name),
    };
    Table {
        title,
        judged,
        digits: (0, 0),
        rows: figures.rows(part.name()).iter().map(row).collect(),
        columns: columns.into_iter().map(str::to_owned).collect(),
    }
}

/// Judges rows that must be there, and adds those that are not.
pub(super) fn require(
    mut table: Table,
    required: impl IntoIterator<Item = (String, Judged)>,
) -> Table {
    for (name, judged) in required {
        let row = table.rows.iter_mut().find(|row| row.name == name);
        match row {
            Some(row) => row.judged = Some(judged),
            None => table.rows.push(Row {
                name,
                cells: Vec::new(),
                judged: Some(judged),
            }),
        }
    }
    table
}

fn metadata(figures: &Figures) -> Table {
    /// Of a block of 64 KiB without an MMU: 6 % after the first allocation, 15 % when it is full.
    const FRESH: u32 = (64 << 10) * 6 / 100;
    const FULL: u32 = (64 << 10) * 15 / 100;
    let title = "metadata: bytes after the first allocation, the heap's static included, page tables \
                 apart; of flat blocks of 64 KiB, the bytes that objects cannot have";
    let all = table(figures, Part::Metadata, title, "all", |_| None);
    let simulated = [("x86_64", 48), ("plain32", 32), ("plain31", 31)];
    let simulated = simulated.map(|(row, bits)| (row.to_owned(), bits));
    let kernels = with_mmu().map(|one| (format!("{}~kernel", one.name), one.address_bits));
    let paged = simulated.into_iter().chain(kernels).map(|(row, bits)| {
        let most = if bits > 32 { 64 << 10 } else { 28 << 10 };
        (row, most)
    });
    let flat = [256, 512, 1024].into_iter().flat_map(|page| {
        let row = |state| format!("flat~{page}~{state}");
        [(row("fresh"), FRESH), (row("full"), FULL)]
    });
    require(
        all,
        paged.chain(flat).map(|(row, most)| {
            let value = figures.get("metadata", &row, "total");
            let bound = Bound::AtMost(f64::from(most));
            (row, Judged { value, bound })
        }),
    )
}

fn fill(figures: &Figures) -> Table {
    let title =
        "fill: 16 MiB full of objects of 1 to 128 bytes, aligned to 8: live bytes in percent";
    let mut all = table(figures, Part::Fill, title, OWN, |_| None);
    all.digits = (1, 1);
    let bounds = [("filled~of~Ready", 90.0), ("refilled~of~Ready", 85.0)];
    require(
        all,
        bounds.map(|(row, least)| {
            let value = figures.get("fill", row, OWN);
            let bound = Bound::AtLeast(least);
            (row.to_owned(), Judged { value, bound })
        }),
    )
}

fn history(figures: &Figures) -> Table {
    /// Points of a hundred that a heap with a history may be behind a fresh one.
    const POINTS: f64 = 2.0;
    let title = "history: the pair of size classes of which the second, after the first was freed, \
                 is farthest behind what it reaches in a fresh heap: objects";
    let all = table(figures, Part::History, title, "points", |_| None);
    let heaps = [
        "window~of~4~MiB",
        "flat~64~KiB,~pages~of~256",
        "flat~1~MiB,~pages~of~1~KiB",
    ];
    require(
        all,
        heaps.map(|row| {
            let value = figures.get("history", row, "points");
            let bound = Bound::AtMost(POINTS);
            (row.to_owned(), Judged { value, bound })
        }),
    )
}

fn strides(figures: &Figures) -> Table {
    let title = "strides: bytes that one object of many occupies, by size@alignment";
    let all = table(figures, Part::Strides, title, OWN, |_| None);
    let powers = (3..=12).map(|shift| (1 << shift, 8));
    require(
        all,
        powers.chain([(4096, 4096)]).map(|(size, align)| {
            let row = format!("{size}@{align}");
            let value = figures.get("strides", &row, OWN);
            let bound = Bound::Exactly(f64::from(size));
            (row, Judged { value, bound })
        }),
    )
}

fn frees(figures: &Figures) -> Table {
    let title =
        "frees: every other of so many pairs of 64 bytes, then the rest: instructions of one";
    let mut all = table(figures, Part::Frees, title, "to 1,000 pairs", |_| None);
    all.digits = (0, 2);
    let value = quotient(
        figures.get("frees", "free,500000", OWN),
        figures.get("frees", "free,1000", OWN),
    );
    let bound = Bound::AtMost(1.5);
    require(all, [("free,500000".to_owned(), Judged { value, bound })])
}

fn objects(figures: &Figures) -> Table {
    let title =
        "objects: instructions of a request where memory is at hand, lock included, by size";
    let all = table(figures, Part::Objects, title, "a pair", |_| None);
    require(
        all,
        PAIRS.map(|(kernel, most)| {
            let row = format!("pair~through~GlobalAlloc,~{kernel}");
            let value = figures.get("objects", &row, OWN);
            let bound = Bound::AtMost(most);
            (row, Judged { value, bound })
        }),
    )
}

fn runs(figures: &Figures) -> Table {
    let title = "runs: instructions to find, take and free n pages, by state and size of the heap";
    let mut all = table(figures, Part::Runs, title, "1 TiB / 256 MiB", |_| None);
    all.digits = (0, 2);
    let mut required = Vec::new();
    for what in ["find", "take"] {
        for state in [
            "empty",
            "full~but~one~run",
            "every~other~page",
            "random~pages",
        ] {
            for run in [1, 2, 16, 64, 65, 512, 513, 5000] {
                let row = format!("{what},{state},{run}");
                let value = quotient(
                    figures.get("runs", &row, "1~TiB"),
                    figures.get("runs", &row, "256~MiB"),
                );
                let bound = Bound::AtMost(2.0);
                required.push((row, Judged { value, bound }));
            }
        }
    }
    require(all, required)
}

fn lookup(figures: &Figures) -> Table {
    let title = "lookup: loads on the longest path of dependent loads, from an address to its span";
    let all = table(figures, Part::Lookup, title, "loads", |_| None);
    let value = figures.get("lookup", "owns", "x86_64");
    let bound = Bound::AtMost(3.0);
    require(all, [("owns".to_owned(), Judged { value, bound })])
}

fn index(figures: &Figures) -> Table {
    let title =
        "index: instructions on the traces, with the sparse arena index and with a flat one";
    let mut all = table(figures, Part::Index, title, "sparse / flat", |_| None);
    all.digits = (0, 3);
    require(
        all,
        TRACES.map(|(trace, _)| {
            let value = quotient(
                figures.get("index", trace, "sparse"),
                figures.get("index", trace, "flat"),
            );
            let bound = Bound::AtMost(1.03);
            (trace.to_owned(), Judged { value, bound })
        }),
    )
}

fn traces(figures: &Figures) -> Table {
    let title = "traces: instructions of one operation, reading the trace apart";
    table(figures, Part::Traces, title, "", |_| None)
}

fn overhead(figures: &Figures) -> Table {
    let title = "overhead: frames beyond the live bytes at their peak, in percent, page tables \
                 included; no more on other machines than on x86_64";
    let all = Table {
        title,
        columns: Vec::new(),
        judged: "frames",
        digits: (1, 1),
        rows: Vec::new(),
    };
    let row = |(trace, most): (&'static str, f64), one: &Machine| {
        let of = |machine: &str| figures.get("overhead", trace, machine);
        let most = if one.name == X86_64 {
            most
        } else {
            of(X86_64).unwrap_or(0.0)
        };
        let value = of(one.name);
        let bound = Bound::AtMost(most);
        (format!("{trace},{}", one.name), Judged { value, bound })
    };
    let rows = TRACES.map(|trace| with_mmu().map(move |machine| row(trace, machine)));
    require(all, rows.into_iter().flatten())
}

fn machines(figures: &Figures) -> Table {
    let title = "machines: instructions of one operation of sqlite's trace, reading it apart";
    let judged = "to linked_list_allocator";
    let mut all = table(figures, Part::Machines, title, judged, |_| None);
    all.digits = (0, 2);
    require(
        all,
        machine::all().map(|machine| {
            let of = |allocator| figures.number("machines", machine.name, allocator);
            // A bound below the number serves: the number is larger.
            let list = of("linked_list_allocator").map(|number| number.value);
            let value = quotient(figures.get("machines", machine.name, OWN), list);
            let bound = Bound::Below(1.0);
            (machine.name.to_owned(), Judged { value, bound })
        }),
    )
}

/// The machine that others are compared with.
const X86_64: &str = "x86_64";

/// The machines on which memory comes in frames.
fn with_mmu() -> impl Iterator<Item = &'static Machine> {
    machine::all().filter(|machine| machine.has_mmu)
}

/// The recorded traces, and the percentage of memory beyond the live bytes that they may take.
pub(super) const TRACES: [(&str, f64); 4] = [
    ("git", 13.0),
    ("jq", 13.0),
    ("rustc", 8.0),
    ("sqlite", 28.0),
];

/// Kernels of one CPU, and the instructions that a pair of 64 bytes may take there, calls and loop
/// included: without preemption, with threads, and with the promise that handlers alone come
/// between.
const PAIRS: [(&str, f64); 3] = [
    ("one~CPU", 99.0),
    ("threads", 92.0),
    ("handlers~alone", 92.0),
];

pub(super) fn quotient(dividend: Option<f64>, divisor: Option<f64>) -> Option<f64> {
    Some(dividend? / divisor?)
}
