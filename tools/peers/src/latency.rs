//! Times of single allocations, of 16 bytes to 16 KiB, while some thousands of objects are live.
//!
//! A call takes some nanoseconds, and the longest ones are what whoever waits for memory sees. So
//! that the longest are those of the heap and not of the machine, several processes make the same
//! calls, and each call has the least time that any of them saw. Beside these are the percentiles
//! of the processes by themselves, of which the median is shown.
//! In a process the heaps take turns. The first calls of a turn find the caches full of what the
//! other heaps have left there, and are not timed; nor are frees.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use std::env;
use std::fs;
use std::process::Command;

use crate::Done;
use crate::clock::{Clock, now};
use crate::heaps::Heap;

/// Calls that are timed, of a heap that begins empty, and again of the same heap as it is then.
const CALLS: usize = 1_000_000;
/// Calls of a heap that are timed before it is the next one's turn.
const TURN: usize = 250_000;
/// Calls of a turn before those that are timed; of a heap that is empty, one, which opens it.
const BEFORE: usize = 500;
/// Objects that are live.
const LIVE: usize = 4096;
/// The sizes lie between these, each power of two as often as the next.
const LEAST_BYTES: usize = 16;
const DOUBLINGS: u32 = 10;

/// The heap before the first call: empty, or as the same calls have left it.
const PHASES: [&str; 2] = ["empty", "warm"];

/// A call: the object that it replaces, and the bytes of the new one.
#[derive(Clone, Copy)]
struct Call {
    place: u16,
    bytes: u16,
}

/// Measures the heaps of these names in so many processes, one after the other, and prints two
/// lines for each heap and phase.
///
/// # Errors
/// If the number of processes is none, a name is not a heap's, or a process does not end well.
pub(crate) fn print(processes: &str, names: &[&str]) -> Done {
    let processes: usize = processes
        .parse()
        .map_err(|_| "the number of processes is a number")?;
    let file = env::temp_dir().join(format!("latency-{}", std::process::id()));
    let mut least: Vec<f32> = Vec::new();
    let mut each = Vec::new();
    for process in 0..processes {
        let mut command = Command::new(env::current_exe()?);
        command.arg("latency-once").arg(&file).args(names);
        let ended = command.status()?;
        if !ended.success() {
            return Err("a process of the measurement failed".into());
        }
        let bytes = fs::read(&file)?;
        let times = bytes.chunks_exact(size_of::<f32>());
        let times = times.filter_map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)));
        let times: Vec<_> = times.collect();
        if process == 0 {
            least.clone_from(&times);
        }
        each.push(quantiles(&times));
        for (least, time) in least.iter_mut().zip(times) {
            *least = least.min(time);
        }
        eprintln!("latency: process {} of {processes}", process + 1);
    }
    fs::remove_file(&file)?;
    show("each", &medians(&each), names);
    show("least", &quantiles(&least), names);
    Ok(())
}

/// Percentiles of the times of one heap and phase: the 50th, the 99th, the 99.9th, the 99.99th, and
/// the longest.
type Quantiles = [f32; 5];

/// The percentiles of all heaps and phases.
fn quantiles(times: &[f32]) -> Vec<Quantiles> {
    let of = |times: &[f32]| {
        let mut times = times.to_vec();
        times.sort_by(f32::total_cmp);
        let at = |per_million: usize| times[(CALLS - 1) * per_million / 1_000_000];
        [500_000, 990_000, 999_000, 999_900, 1_000_000].map(at)
    };
    times.chunks_exact(CALLS).map(of).collect()
}

/// The median of each percentile over the processes.
fn medians(each: &[Vec<Quantiles>]) -> Vec<Quantiles> {
    let runs = each.first().map_or(0, Vec::len);
    let median = |run: usize, quantile: usize| {
        let mut all: Vec<_> = each.iter().map(|all| all[run][quantile]).collect();
        all.sort_by(f32::total_cmp);
        all[all.len() / 2]
    };
    let of = |run| core::array::from_fn(|quantile| median(run, quantile));
    (0..runs).map(of).collect()
}

/// Prints the percentiles of all heaps and phases.
fn show(kind: &str, all: &[Quantiles], names: &[&str]) {
    let runs = names
        .iter()
        .flat_map(|name| PHASES.map(|phase| (name, phase)));
    for ((name, phase), quantiles) in runs.zip(all) {
        let quantiles = quantiles.map(|time| format!("{time:.1}"));
        println!("latency {name} {phase} {kind} {}", quantiles.join(" "));
    }
}

/// Times the calls of all heaps in this process, and writes them to a file.
///
/// # Errors
/// If a name is not a heap's, or the file cannot be written.
pub(crate) fn once(file: &str, names: &[&str]) -> Done {
    let heaps: Option<Vec<_>> = names.iter().map(|name| Heap::find(name)).collect();
    let heaps = heaps.ok_or("there is no such heap; `heaps` lists them")?;
    let (clock, calls) = (Clock::calibrated(), calls());
    let mut runs: Vec<_> = heaps.iter().map(Run::new).collect();
    let (before, timed) = calls.split_at(BEFORE);
    for _ in PHASES {
        for turn in timed.chunks(TURN) {
            for run in &mut runs {
                let before = if run.times.is_empty() {
                    &before[..1]
                } else {
                    before
                };
                let untimed = run.times.len();
                run.make(&clock, before);
                run.times.truncate(untimed);
                run.make(&clock, turn);
            }
        }
    }
    let times = runs.iter().flat_map(|run| &run.times);
    let bytes: Vec<_> = times.flat_map(|time| time.to_le_bytes()).collect();
    fs::write(file, bytes)?;
    Ok(())
}

/// The calls before a turn and those of a phase, the same in every process.
fn calls() -> Vec<Call> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or_default() % bound
    };
    let mut call = |_| {
        let doublings = u32::try_from(random(DOUBLINGS as usize)).unwrap_or_default();
        let least = LEAST_BYTES << doublings;
        let number = |number| u16::try_from(number).unwrap_or(u16::MAX);
        Call {
            place: number(random(LIVE)),
            bytes: number(least + random(least + 1)),
        }
    };
    (0..BEFORE + CALLS).map(&mut call).collect()
}

/// The calls of one heap.
struct Run {
    heap: &'static (dyn GlobalAlloc + Sync),
    /// Whether its objects have memory.
    has_memory: bool,
    live: Vec<Option<(*mut u8, Layout)>>,
    times: Vec<f32>,
}

impl Run {
    fn new(heap: &Heap) -> Self {
        Self {
            heap: heap.open(),
            has_memory: heap.has_memory(),
            live: vec![None; LIVE],
            // Written once, so that no page of it is new while calls are timed.
            times: {
                let mut times = vec![1.0; BEFORE + CALLS * PHASES.len()];
                times.clear();
                times
            },
        }
    }

    /// Makes calls one by one, and notes how long each takes.
    #[inline(never)]
    fn make(&mut self, clock: &Clock, calls: &[Call]) {
        for call in calls {
            let live = &mut self.live[usize::from(call.place)];
            if let Some((pointer, layout)) = live.take() {
                // SAFETY: the object is live, and has this layout.
                unsafe { self.heap.dealloc(pointer, layout) };
            }
            let Ok(layout) = Layout::from_size_align(usize::from(call.bytes), 8) else {
                continue;
            };
            let before = now();
            // SAFETY: the layout is not empty.
            let pointer = black_box(unsafe { self.heap.alloc(layout) });
            let after = now();
            assert!(!pointer.is_null(), "the heap has memory");
            self.times.push(clock.between(before, after));
            if self.has_memory {
                touch(pointer, layout.size());
            }
            *live = Some((pointer, layout));
        }
    }
}

/// Writes to every page of an object, as its user would.
fn touch(pointer: *mut u8, bytes: usize) {
    for at in (0..bytes).step_by(4096) {
        // SAFETY: the byte is one of the object's.
        let byte = unsafe { pointer.add(at) };
        // SAFETY: as above; nobody else uses the object.
        unsafe { byte.write(1) };
    }
}
