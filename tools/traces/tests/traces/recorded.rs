//! The recorded traces have the figures that their README states.

use std::io::Read as _;

use crate::common::{check, recorded, traces};
use archipelago_traces::trace::{Operation, Summary, Trace, Workspace, blocks_needed};

/// The rows of the README's table: name, operations, most live blocks, peak live bytes.
fn documented() -> Vec<(String, Summary)> {
    let readme = std::fs::read_to_string(traces().join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, operations, blocks, bytes] = cells[..] else {
            return None;
        };
        let number = |cell: &str| cell.replace(',', "").parse::<u64>().ok();
        let summary = Summary {
            operations: number(operations)?,
            most_live_blocks: usize::try_from(number(blocks)?).unwrap(),
            peak_live_bytes: number(bytes)?,
            left_live_blocks: 0,
        };
        Some((name.to_owned(), summary))
    });
    rows.collect()
}

#[test]
fn the_traces_are_as_their_readme_says() {
    let documented = documented();
    assert_eq!(documented.len(), 4, "rows of the README's table");
    for (name, expected) in documented {
        let summary = check(&recorded(&name)).unwrap();
        let left_live_blocks = summary.left_live_blocks;
        assert_eq!(
            summary,
            Summary {
                left_live_blocks,
                ..expected
            },
            "{name}"
        );
    }
}

#[test]
fn the_table_needs_as_many_blocks_as_are_ever_live() {
    for (name, summary) in documented() {
        let needed = blocks_needed(&recorded(&name), &mut Workspace::new()).unwrap();
        assert_eq!(
            usize::try_from(needed).unwrap(),
            summary.most_live_blocks,
            "{name}"
        );
    }
}

#[test]
fn a_plain_trace_reads_as_the_packed_one_does() {
    let packed = recorded("sqlite");
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
    decoder.read_to_end(&mut plain).unwrap();
    let (mut one, mut other) = (Workspace::new(), Workspace::new());
    let mut packed = Trace::new(&packed, &mut one).unwrap();
    let mut plain = Trace::new(&plain, &mut other).unwrap();
    while let Some(record) = packed.read().unwrap() {
        assert_eq!(plain.read().unwrap(), Some(record));
    }
    assert_eq!(plain.read().unwrap(), None);
}

#[test]
fn a_record_says_all_that_its_bytes_do() {
    let bytes = [
        1, 5, 0x34, 0x12, 0x04, 0x03, 0x02, 0x01, 0x0d, 0x0c, 0x0b, 0x0a,
    ];
    let mut workspace = Workspace::new();
    let mut trace = Trace::new(&bytes, &mut workspace).unwrap();
    let record = trace.read().unwrap().unwrap();
    assert_eq!(
        (record.offset, record.thread, record.id),
        (0, 0x1234, 0x0102_0304)
    );
    let expected = Operation::Allocate {
        size: 0x0a0b_0c0d,
        log2_align: 5,
        zeroed: true,
    };
    assert_eq!(record.operation, expected);
}
