//! Replays against the host's allocator, and against allocators that do wrong.

use core::alloc::{GlobalAlloc as _, Layout};
use core::num::NonZeroU64;
use core::ptr::NonNull;
use std::alloc::System;

use crate::common::{allocate, check, free, reallocate, record, recorded, table};
use archipelago_traces::replay::{Fault, Mode, Moment, Progress, Replay, Target, When, replay};
use archipelago_traces::trace::{TraceError, TraceErrorKind, Workspace};

/// The fault of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    Nothing,
    /// A zeroed block has a byte that is not zero.
    Zeroing,
    /// A reallocation loses a byte.
    Copying,
    /// Every allocation writes to the end of the block allocated before it.
    Isolating,
    /// Blocks lie one byte further than they should.
    Aligning,
    /// Requests of more than this many bytes fail.
    Above(usize),
}

/// The host's allocator, as the target of a replay.
struct Host {
    fails: Fails,
    /// Blocks that are live.
    live: usize,
    requests: u64,
    before: Option<(NonNull<u8>, usize)>,
}

impl Host {
    fn new(fails: Fails) -> Self {
        Self {
            fails,
            live: 0,
            requests: 0,
            before: None,
        }
    }

    fn refuses(&self, size: usize) -> bool {
        matches!(self.fails, Fails::Above(most) if size > most)
    }

    /// Bytes that blocks are out of place by.
    fn shift(&self) -> usize {
        usize::from(self.fails == Fails::Aligning)
    }

    fn padded(&self, layout: Layout) -> Layout {
        Layout::from_size_align(layout.size() + self.shift(), layout.align()).unwrap()
    }
}

// SAFETY: the host's allocator keeps its contract; bytes that are spoilt on purpose lie within live
// blocks.
unsafe impl Target for Host {
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        self.requests += 1;
        if self.refuses(layout.size()) {
            return None;
        }
        let layout = self.padded(layout);
        // SAFETY: the size is not 0, as `Target` promises; zeroed, so that all bytes are
        // initialised.
        let pointer = NonNull::new(unsafe { System.alloc_zeroed(layout) })?;
        self.live += 1;
        if self.fails == Fails::Zeroing && zeroed {
            // SAFETY: the first byte of the new block.
            unsafe { pointer.write(1) };
        }
        let before = self.before.replace((pointer, layout.size()));
        if let Some((pointer, size)) = before.filter(|_| self.fails == Fails::Isolating) {
            // SAFETY: the block is live in the test that asks for this, and its last byte is inside
            // it.
            let last = unsafe { pointer.add(size - 1) };
            // SAFETY: as above; all bytes are initialised.
            unsafe { flip(last) };
        }
        // SAFETY: the padding makes room for that.
        Some(unsafe { pointer.add(self.shift()) })
    }

    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        self.requests += 1;
        if self.refuses(new_size) {
            return None;
        }
        // SAFETY: as the caller promises.
        let moved = unsafe { System.realloc(pointer.as_ptr(), layout, new_size) };
        let moved = NonNull::new(moved)?;
        if self.fails == Fails::Copying {
            // SAFETY: the first byte of the block, which the test has filled.
            unsafe { flip(moved) };
        }
        Some(moved)
    }

    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        self.requests += 1;
        self.live -= 1;
        // SAFETY: undoes what `allocate` added.
        let pointer = unsafe { pointer.sub(self.shift()) };
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer.as_ptr(), self.padded(layout)) };
    }
}

/// Changes a byte.
///
/// # Safety
///
/// The byte lies in a live block and is initialised.
unsafe fn flip(byte: NonNull<u8>) {
    // SAFETY: as the caller promises.
    let value = unsafe { byte.read() };
    // SAFETY: as the caller promises.
    unsafe { byte.write(value ^ 0x40) };
}

/// Replays `file` in `mode`; every block must have been freed.
fn run(file: &[u8], mode: Mode, host: &mut Host) -> Result<Progress, TraceError> {
    let mut table = table();
    let replayed = replay(
        Replay {
            file,
            workspace: &mut Workspace::new(),
            table: &mut table,
            mode,
            peak_live_bytes: u64::MAX,
            every: None,
        },
        host,
        |_, _, _| {},
    );
    assert_eq!(host.live, 0, "blocks that were not freed");
    replayed
}

fn checked(records: &[[u8; 12]], fails: Fails) -> Progress {
    run(&records.concat(), Mode::Checked, &mut Host::new(fails)).unwrap()
}

#[test]
fn recorded_traces_replay_without_an_error() {
    for name in ["git", "jq", "rustc", "sqlite"] {
        let file = recorded(name);
        let summary = check(&file).unwrap();
        for mode in [Mode::Checked, Mode::Bare] {
            let progress = run(&file, mode, &mut Host::new(Fails::Nothing)).unwrap();
            assert!(progress.is_clean(), "{name}: {progress:?}");
            assert_eq!(progress.operations, summary.operations);
            assert_eq!(progress.peak_live_bytes, summary.peak_live_bytes);
            assert_eq!(progress.live_blocks, summary.left_live_blocks);
        }
    }
}

#[test]
fn the_null_mode_makes_no_requests() {
    let file = recorded("rustc");
    let mut host = Host::new(Fails::Nothing);
    let progress = run(&file, Mode::Null, &mut host).unwrap();
    assert_eq!(host.requests, 0);
    let bare = run(&file, Mode::Bare, &mut Host::new(Fails::Nothing)).unwrap();
    assert_eq!(progress, bare);
}

#[test]
fn the_observer_is_called_at_the_peak_periodically_and_at_the_end() {
    let file = recorded("sqlite");
    let summary = check(&file).unwrap();
    let mut host = Host::new(Fails::Nothing);
    let (mut peaks, mut periods, mut ends) = (0, 0, 0);
    let every = 1000;
    replay(
        Replay {
            file: &file,
            workspace: &mut Workspace::new(),
            table: &mut table(),
            mode: Mode::Bare,
            peak_live_bytes: summary.peak_live_bytes,
            every: NonZeroU64::new(every),
        },
        &mut host,
        |moment, progress, host| {
            assert_eq!(host.live, progress.live_blocks);
            match moment {
                Moment::Peak => {
                    peaks += 1;
                    assert_eq!(progress.live_bytes, summary.peak_live_bytes);
                }
                Moment::Periodic => {
                    periods += 1;
                    assert_eq!(progress.operations, periods * every);
                }
                Moment::End => {
                    ends += 1;
                    assert_eq!(progress.live_blocks, summary.left_live_blocks);
                }
            }
        },
    )
    .unwrap();
    assert_eq!((peaks, periods, ends), (1, summary.operations / every, 1));
    assert_eq!(host.live, 0);
}

fn first_byte(progress: &Progress) -> (u64, u32, When, usize) {
    let error = progress.first_content_error.expect("a content error");
    match error.fault {
        Fault::Byte { when, index, .. } => (error.offset, error.id, when, index),
        Fault::Misaligned { .. } => panic!("{error}"),
    }
}

#[test]
fn memory_that_is_not_zero_is_noticed() {
    let trace = [allocate(0, 8), record(1, 4, 1, 30), free(1)];
    let progress = checked(&trace, Fails::Zeroing);
    assert_eq!(first_byte(&progress), (12, 1, When::Zeroed, 0));
    assert_eq!(progress.content_errors, 1);
}

#[test]
fn contents_that_a_reallocation_loses_are_noticed() {
    let trace = [allocate(0, 8), reallocate(0, 100), reallocate(0, 5)];
    let progress = checked(&trace, Fails::Copying);
    assert_eq!(first_byte(&progress), (12, 0, When::AfterReallocation, 0));
    assert_eq!(progress.content_errors, 2);
}

#[test]
fn a_block_that_another_overwrites_is_noticed_at_its_free() {
    let trace = [allocate(0, 19), allocate(1, 8), free(1), free(0)];
    let progress = checked(&trace, Fails::Isolating);
    assert_eq!(first_byte(&progress), (36, 0, When::BeforeFree, 18));
    let message = progress.first_content_error.unwrap().to_string();
    assert!(
        message.starts_with("byte 36 of the trace: block 0 at 0x"),
        "{message}"
    );
    assert!(message.ends_with("before it was freed"), "{message}");
}

#[test]
fn a_block_that_another_overwrites_is_noticed_at_its_reallocation() {
    let trace = [allocate(0, 19), allocate(1, 8), reallocate(0, 40)];
    let progress = checked(&trace, Fails::Isolating);
    assert_eq!(first_byte(&progress), (24, 0, When::BeforeReallocation, 18));
}

#[test]
fn a_block_that_is_out_of_place_is_noticed() {
    let progress = checked(&[allocate(0, 8), free(0)], Fails::Aligning);
    let error = progress.first_content_error.unwrap();
    assert_eq!(error.fault, Fault::Misaligned { align: 16 });
    assert_eq!((error.offset, error.id, error.address % 16), (0, 0, 1));
}

#[test]
fn a_block_that_is_left_live_is_checked_too() {
    let progress = checked(&[allocate(0, 19), allocate(1, 8)], Fails::Isolating);
    assert_eq!(first_byte(&progress), (12, 0, When::BeforeFree, 18));
}

#[test]
fn a_target_that_spoils_recorded_blocks_is_caught() {
    let file = recorded("sqlite");
    for fails in [Fails::Copying, Fails::Zeroing] {
        let progress = run(&file, Mode::Checked, &mut Host::new(fails)).unwrap();
        let noticed = progress.content_errors > 0;
        // The program asks for no zeroed memory.
        assert_eq!(noticed, fails == Fails::Copying);
    }
}

#[test]
fn requests_that_fail_are_reported_and_done_without() {
    let trace = [
        allocate(0, 101),
        reallocate(0, 50),
        reallocate(0, 102),
        allocate(1, 103),
        free(1),
    ];
    let progress = checked(&trace, Fails::Above(100));
    assert_eq!(progress.failures, 3);
    assert_eq!(progress.content_errors, 0);
    let failure = progress.first_failure.unwrap();
    let expected = "byte 0 of the trace: no 101 B aligned to 16 for block 0";
    assert_eq!(failure.to_string(), expected);
    assert_eq!((progress.live_bytes, progress.live_blocks), (50, 1));
}

#[test]
fn a_block_of_no_bytes_is_asked_for_as_one_byte() {
    let trace = [allocate(0, 0), reallocate(0, 20), reallocate(0, 0), free(0)];
    let mut host = Host::new(Fails::Nothing);
    let progress = run(&trace.concat(), Mode::Checked, &mut host).unwrap();
    assert!(progress.is_clean());
    assert_eq!(host.requests, 4);
    assert_eq!(progress.peak_live_bytes, 20);
}

#[test]
fn a_damaged_trace_ends_the_replay_and_frees_every_block() {
    let trace = [allocate(0, 10), allocate(1, 10), free(2)].concat();
    let error = run(&trace, Mode::Checked, &mut Host::new(Fails::Nothing)).unwrap_err();
    let kind = TraceErrorKind::NeverAllocated { id: 2 };
    assert_eq!(error, TraceError { kind, offset: 24 });
}
