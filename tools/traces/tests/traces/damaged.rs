//! Damaged traces are refused, with the byte that is wrong; none makes the reader panic.

use std::io::Write as _;

use crate::common::{allocate, check, free, reallocate, record, recorded, table};
use archipelago_traces::Block;
use archipelago_traces::replay::{Mode, Replay, Target, replay};
use archipelago_traces::trace::{TraceError, TraceErrorKind as Kind, Workspace, validate};
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;

fn refused(file: &[u8], kind: Kind, offset: usize) {
    let offset = u64::try_from(offset).unwrap();
    assert_eq!(check(file), Err(TraceError { kind, offset }));
}

/// A gzip file with every optional field but the header's checksum.
fn packed(plain: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new()
        .extra("extra")
        .filename("name")
        .comment("comment");
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn small() -> Vec<u8> {
    [allocate(0, 10), allocate(1, 20), reallocate(0, 30), free(1)].concat()
}

#[test]
fn records_that_make_no_sense_are_refused_where_they_start() {
    let start = allocate(0, 8);
    let cases = [
        (record(4, 0, 1, 8), Kind::UnknownOperation { operation: 4 }),
        (
            record(255, 0, 0, 0),
            Kind::UnknownOperation { operation: 255 },
        ),
        (record(0, 32, 1, 8), Kind::Alignment { log2_align: 32 }),
        (record(1, 255, 1, 8), Kind::Alignment { log2_align: 255 }),
        (record(3, 0, 0, 8), Kind::FreeOfSize { size: 8 }),
        (allocate(0, 9), Kind::AlreadyLive { id: 0 }),
        (reallocate(1, 9), Kind::NeverAllocated { id: 1 }),
        (free(1), Kind::NeverAllocated { id: 1 }),
        (
            allocate(1 << 16, 8),
            Kind::TableTooShort {
                id: 1 << 16,
                blocks: 1 << 16,
            },
        ),
        (
            free(u32::MAX),
            Kind::TableTooShort {
                id: u32::MAX,
                blocks: 1 << 16,
            },
        ),
    ];
    for (wrong, kind) in cases {
        refused(&[start, wrong].concat(), kind, 12);
        refused(&packed(&[start, wrong].concat()), kind, 12);
    }
}

#[test]
fn a_dead_block_is_neither_freed_nor_reallocated() {
    let start = [allocate(0, 8), free(0)].concat();
    for wrong in [free(0), reallocate(0, 9)] {
        let file = [&start[..], &wrong].concat();
        refused(&file, Kind::Freed { id: 0 }, 24);
    }
    let again = [&start[..], &allocate(0, 9)].concat();
    assert_eq!(check(&again).unwrap().peak_live_bytes, 9);
}

#[test]
fn the_largest_alignment_there_is_is_read() {
    let largest = if usize::BITS == 32 { 30 } else { 31 };
    let file = record(0, largest, 0, 8);
    assert_eq!(check(&file).unwrap().peak_live_bytes, 8);
}

#[test]
fn a_record_that_is_cut_short_is_refused_where_it_starts() {
    let file = small();
    for length in 1..file.len() {
        let (whole, bytes) = (length / 12, length % 12);
        if bytes > 0 {
            refused(&file[..length], Kind::RecordTruncated { bytes }, whole * 12);
            refused(
                &packed(&file[..length]),
                Kind::RecordTruncated { bytes },
                whole * 12,
            );
        } else {
            assert!(check(&file[..length]).is_ok());
        }
    }
}

#[test]
fn a_trace_without_records_is_refused() {
    refused(&[], Kind::Empty, 0);
    refused(&packed(&[]), Kind::Empty, 0);
}

#[test]
fn a_gzip_file_that_is_cut_short_is_refused_at_its_end() {
    let file = packed(&small());
    assert!(check(&file).is_ok());
    for length in 2..file.len() {
        refused(&file[..length], Kind::FileTruncated, length);
    }
    refused(&file[..1], Kind::RecordTruncated { bytes: 1 }, 0);
}

#[test]
fn a_gzip_header_that_cannot_be_read_is_refused() {
    let mut file = packed(&small());
    file[2] = 7;
    refused(&file, Kind::Method { method: 7 }, 2);
    file[2] = 8;
    file[3] |= 0x40;
    let flags = file[3];
    refused(&file, Kind::ReservedFlags { flags }, 3);
}

#[test]
fn the_checksum_of_a_gzip_header_is_checked() {
    let mut file = packed(&small());
    let header = 10 + 2 + "extra".len() + "name\0".len() + "comment\0".len();
    file[3] |= 2;
    let mut crc = flate2::Crc::new();
    crc.update(&file[..header]);
    let [low, high, ..] = crc.sum().to_le_bytes();
    file.splice(header..header, [low, high]);
    assert!(check(&file).is_ok());
    file[header] ^= 1;
    let computed = u16::from_le_bytes([low, high]);
    let kind = Kind::HeaderChecksum {
        stated: computed ^ 1,
        computed,
    };
    refused(&file, kind, header);
}

#[test]
fn the_trailer_of_a_gzip_file_is_checked() {
    let file = packed(&small());
    let trailer = file.len() - 8;
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut wrong = file.clone();
    wrong[trailer] ^= 1;
    let computed = word(trailer);
    refused(
        &wrong,
        Kind::Checksum {
            stated: computed ^ 1,
            computed,
        },
        trailer,
    );
    let mut wrong = file.clone();
    wrong[trailer + 4] ^= 1;
    let unpacked = word(trailer + 4);
    refused(
        &wrong,
        Kind::Length {
            stated: unpacked ^ 1,
            unpacked,
        },
        trailer + 4,
    );
    let more = [&file[..], &[0]].concat();
    refused(&more, Kind::DataAfterEnd, file.len());
}

#[test]
fn packed_data_that_deflate_does_not_make_is_refused() {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0];
    // A last block of the reserved type 3.
    file.extend([0b111; 20]);
    assert_eq!(check(&file).unwrap_err().kind, Kind::Deflate);
}

#[test]
fn errors_say_where_they_are() {
    let error = check(&[allocate(0, 8), free(5)].concat()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 12 of the unpacked trace: block 5 was never allocated"
    );
    let error = check(&packed(&small())[..20]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 20 of the file: the gzip file ends early"
    );
}

/// A target that is never called: a replay in [`Mode::Null`] makes no requests.
struct NoTarget;

// SAFETY: no block is ever returned.
unsafe impl Target for NoTarget {
    fn allocate(&mut self, _: core::alloc::Layout, _: bool) -> Option<core::ptr::NonNull<u8>> {
        panic!("a request in the null mode");
    }

    unsafe fn reallocate(
        &mut self,
        _: core::ptr::NonNull<u8>,
        _: core::alloc::Layout,
        _: usize,
    ) -> Option<core::ptr::NonNull<u8>> {
        panic!("a request in the null mode");
    }

    unsafe fn deallocate(&mut self, _: core::ptr::NonNull<u8>, _: core::alloc::Layout) {
        panic!("a request in the null mode");
    }
}

/// Validates and replays `file`; both must agree, and neither may panic.
fn survive(file: &[u8]) -> Result<(), TestCaseError> {
    let (mut workspace, mut table) = (Workspace::new(), table());
    let checked = validate(file, &mut workspace, &mut table);
    let replay = replay(
        Replay {
            file,
            workspace: &mut workspace,
            table: &mut table,
            mode: Mode::Null,
            peak_live_bytes: u64::MAX,
            every: None,
        },
        &mut NoTarget,
        |_, _, _| {},
    );
    let operations = replay.map(|progress| progress.operations);
    prop_assert_eq!(checked.map(|summary| summary.operations), operations);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        survive(&bytes)?;
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0];
        survive(&[&header[..], &bytes].concat())?;
        survive(&packed(&bytes))?;
    }

    #[test]
    fn no_damage_to_a_recorded_trace_goes_unnoticed(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let good = recorded("sqlite");
        let mut file = good.clone();
        // The fields before the packed data, but the first three bytes, do not bear on the
        // contents.
        for (index, mask) in flips {
            let index = 10 + index.index(good.len() - 10);
            file[index] ^= mask;
        }
        prop_assume!(file != good);
        survive(&file)?;
        prop_assert!(validate(&file, &mut Workspace::new(), &mut vec![Block::UNUSED; 1 << 16]).is_err());
    }

    #[test]
    fn no_sequence_of_records_makes_the_reader_panic(
        records in prop::collection::vec((0_u8..5, 0_u8..34, 0_u32..8, any::<u32>()), 0..200),
    ) {
        let records = records.into_iter().map(|(operation, align, id, size)| {
            record(operation, align, id, if operation == 3 { 0 } else { size })
        });
        survive(&records.collect::<Vec<_>>().concat())?;
    }
}
