//! The reference vectors: the page layer gives the recorded results, page for page.
//!
//! `ARCHIPELAGO_VECTORS=DIR cargo test --test vectors` runs the files of another folder of the same
//! form.

#[path = "vectors/json.rs"]
mod json;

use core::error::Error;
use core::fmt::{Debug, Write as _};
use core::iter;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use archipelago_inside::testing::{Bitmap, Geometry, PageLayer, RangeList, Taken, TestGeometry};
use archipelago_sim::SimGeometry;
use serde_json::Value;

use self::json::{address, list, number, numbers, runs};

type Failure = Box<dyn Error>;

/// Pages of a chunk in the recordings.
const CHUNK_PAGES: usize = 512;

#[cfg(target_pointer_width = "64")]
struct X86_64;
#[cfg(target_pointer_width = "64")]
impl TestGeometry for X86_64 {
    const GEOMETRY: Geometry = archipelago_sim::X86_64::GEOMETRY;
}

struct Plain32;
impl TestGeometry for Plain32 {
    const GEOMETRY: Geometry = archipelago_sim::Plain32::GEOMETRY;
}

/// The cases and steps of a file.
#[derive(Default)]
struct Tally {
    cases: usize,
    steps: usize,
}

/// Where in the address space the chunks of a case are put.
#[derive(Clone, Copy, Debug)]
enum Place {
    Bottom,
    Middle,
    Top,
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_64_bit_vectors_hold_on_the_64_bit_geometry() -> Result<(), Failure> {
    run_folder::<X86_64>("64bit")
}

#[test]
fn the_32_bit_vectors_hold_on_the_32_bit_geometry() -> Result<(), Failure> {
    run_folder::<Plain32>("32bit")
}

fn run_folder<G: TestGeometry>(name: &str) -> Result<(), Failure> {
    let folder = vectors().join(name);
    for place in [Place::Bottom, Place::Middle, Place::Top] {
        let what = format!("page_alloc, {name}, {place:?}");
        run_file(&folder.join("page_alloc.jsonl"), &what, |case| {
            page_alloc::<G>(case, place)
        })?;
    }
    let what = format!("chunk_bits, {name}");
    run_file(&folder.join("chunk_bits.jsonl"), &what, chunk_bits)?;
    let what = format!("addr_ranges, {name}");
    run_file(&folder.join("addr_ranges.jsonl"), &what, addr_ranges)
}

/// Tests the harness: a result that is recorded wrongly is noticed, wherever it stands.
#[test]
fn planted_wrong_results_are_noticed() -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/32bit");
    let mut planted = 0;
    for case in cases(&folder.join("page_alloc.jsonl"))?.iter().take(5) {
        let check = |case: &Value| page_alloc::<Plain32>(case, Place::Middle);
        let ops = list(&case["ops"])?.iter().enumerate();
        for (number, op) in ops.step_by(if cfg!(miri) { 40 } else { 1 }) {
            let results: &[usize] = match op[0].as_str() {
                Some("alloc" | "cache_alloc") if op[2] != -1 => &[2, 3],
                Some("alloc" | "cache_alloc") => &[2],
                Some("cache_fill") if op[1] != -1 => &[1, 2, 3],
                _ => &[],
            };
            for result in results {
                plant(case, &format!("/ops/{number}/{result}"), check)?;
                planted += 1;
            }
        }
        plant(case, "/final/0/alloc", check)?;
        plant(case, "/final/0/scavenged", check)?;
        planted += 2;
    }
    for case in &cases(&folder.join("chunk_bits.jsonl"))? {
        for result in [
            "/summary/0",
            "/summary/1",
            "/summary/2",
            "/find/0/2",
            "/popcount/0/2",
        ] {
            plant(case, result, chunk_bits)?;
            planted += 1;
        }
    }
    for case in &cases(&folder.join("addr_ranges.jsonl"))? {
        for result in ["/ranges", "/ranges/0/0", "/ranges/0/1", "/total"] {
            plant(case, result, addr_ranges)?;
            planted += 1;
        }
    }
    writeln!(io::stderr(), "{planted} wrong results planted and noticed")?;
    Ok(())
}

/// Changes one value of a case; `check` has to fail.
fn plant(
    case: &Value,
    pointer: &str,
    check: impl Fn(&Value) -> Result<usize, Failure>,
) -> Result<(), Failure> {
    let mut wrong = case.clone();
    let value = wrong
        .pointer_mut(pointer)
        .ok_or("nothing to change there")?;
    *value = match &*value {
        Value::String(hex) => match hex.strip_prefix("0x") {
            Some(digits) => format!("{:#x}", usize::from_str_radix(digits, 16)? ^ 1).into(),
            None => format!("{:016x}", u64::from_str_radix(hex, 16)? ^ 1).into(),
        },
        Value::Array(items) if items.is_empty() => serde_json::json!([[0, 1]]),
        Value::Array(items) => items[1..].into(),
        other => (other.as_i64().ok_or("no number")? + 1).into(),
    };
    match check(&wrong) {
        Err(_) => Ok(()),
        Ok(_) => Err(format!("a wrong result at {pointer} went unnoticed").into()),
    }
}

fn vectors() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    env::var_os("ARCHIPELAGO_VECTORS").map_or(own, PathBuf::from)
}

/// Runs `check`, which counts its steps, on every case of a file.
fn run_file(
    path: &Path,
    what: &str,
    check: impl Fn(&Value) -> Result<usize, Failure>,
) -> Result<(), Failure> {
    let mut tally = Tally::default();
    for case in cases(path)? {
        let number = tally.cases + 1;
        let steps =
            check(&case).map_err(|error| format!("{}, line {number}: {error}", path.display()))?;
        tally.cases += 1;
        tally.steps += steps;
    }
    if tally.cases == 0 {
        return Err(format!("{} has no cases", path.display()).into());
    }
    // Written past the capture of the test harness, so that a passing run shows the counts, too.
    let (cases, steps) = (tally.cases, tally.steps);
    writeln!(io::stderr(), "{what}: {cases} cases, {steps} steps")?;
    Ok(())
}

/// Reads a file of one JSON value a line. Miri runs the first few cases alone.
fn cases(path: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let limit = if cfg!(miri) { 2 } else { usize::MAX };
    lines
        .take(limit)
        .map(|line| serde_json::from_str(line).map_err(Failure::from))
        .collect()
}

/// Replays one case on the page layer, checking it after every step.
fn page_alloc<G: TestGeometry>(case: &Value, place: Place) -> Result<usize, Failure> {
    let mut heap = Heap::<G>::at(place, case)?;
    for op in list(&case["ops"])? {
        heap.step(op).map_err(|error| format!("{op}: {error}"))?;
        heap.layer.verify()?;
    }
    heap.compare(&case["final"])?;
    Ok(list(&case["ops"])?.len())
}

struct Heap<G> {
    layer: PageLayer<G>,
    /// Page 0 of chunk 0 of the case.
    origin: usize,
}

impl<G: TestGeometry> Heap<G> {
    /// A heap in the state that a case starts from.
    fn at(place: Place, case: &Value) -> Result<Self, Failure> {
        let chunks = list(&case["chunks"])?;
        let mut span = 0;
        for chunk in chunks {
            span = span.max(number(&chunk["chunk"])? + 1);
        }
        let room = (1usize << G::GEOMETRY.chunk_number_bits())
            .checked_sub(span)
            .ok_or("the case does not fit the address space")?;
        let chunk = match place {
            Place::Bottom => 0,
            Place::Middle => room / 2,
            Place::Top => room,
        };
        let mut heap = Self {
            layer: PageLayer::new(),
            origin: chunk * CHUNK_PAGES,
        };
        for chunk in chunks {
            heap.add_chunk(chunk)?;
            heap.layer.verify()?;
        }
        Ok(heap)
    }

    fn add_chunk(&mut self, chunk: &Value) -> Result<(), Failure> {
        let first = self.origin + number(&chunk["chunk"])? * CHUNK_PAGES;
        self.layer.grow(first, CHUNK_PAGES)?;
        let fresh = Some(Taken {
            page: first,
            scavenged: CHUNK_PAGES,
        });
        expect("take", self.layer.take(first, CHUNK_PAGES), fresh)?;
        expect("ready", self.layer.made_ready(first, CHUNK_PAGES), true)?;
        for run in runs(&chunk["scavenged"])? {
            let noted = self.layer.set_scavenged(first + run.start, run.len());
            expect("scavenge", noted, true)?;
        }
        let mut at = 0;
        for run in runs(&chunk["alloc"])?
            .into_iter()
            .chain(iter::once(CHUNK_PAGES..CHUNK_PAGES))
        {
            if run.start > at {
                let freed = self.layer.free(first + at, run.start - at);
                expect("free", freed, true)?;
            }
            at = run.end;
        }
        Ok(())
    }

    /// Does one op, and compares the result with the recorded one.
    fn step(&mut self, op: &Value) -> Result<(), Failure> {
        match op[0].as_str() {
            Some("alloc") => {
                let taken = self.layer.alloc(number(&op[1])?);
                self.expect_taken(op, taken)
            }
            Some("cache_alloc") => {
                let taken = self.layer.cache_alloc(number(&op[1])?);
                self.expect_taken(op, taken)
            }
            Some("free") => {
                let page = self.origin + number(&op[1])?;
                expect("free", self.layer.free(page, number(&op[2])?), true)
            }
            Some("cache_fill") => {
                let wanted = self.page(&op[1])?.map(|base| (base, &op[2], &op[3]));
                let image = self.layer.fill_cache();
                let words = image.map(|image| {
                    let hex = |word: u64| Value::from(format!("{word:016x}"));
                    (image.base, hex(image.free), hex(image.scavenged))
                });
                let got = words
                    .as_ref()
                    .map(|(base, free, scavenged)| (*base, free, scavenged));
                expect("cache", got, wanted)
            }
            Some("cache_flush") => {
                self.layer.flush_cache();
                Ok(())
            }
            _ => Err("no such op".into()),
        }
    }

    /// Compares with the recorded run, whose pages then get their memory.
    fn expect_taken(&mut self, op: &Value, taken: Option<Taken>) -> Result<(), Failure> {
        let wanted = match self.page(&op[2])? {
            Some(page) => Some(Taken {
                page,
                scavenged: number(&op[3])?,
            }),
            None => None,
        };
        expect("run", taken, wanted)?;
        match taken {
            Some(taken) => {
                let ready = self.layer.made_ready(taken.page, number(&op[1])?);
                expect("ready", ready, true)
            }
            None => Ok(()),
        }
    }

    /// A recorded page number, where -1 is none.
    fn page(&self, value: &Value) -> Result<Option<usize>, Failure> {
        if value.as_i64() == Some(-1) {
            return Ok(None);
        }
        Ok(Some(self.origin + number(value)?))
    }

    /// Compares every chunk with its recorded state.
    fn compare(&self, chunks: &Value) -> Result<(), Failure> {
        for chunk in list(chunks)? {
            let first = self.origin + number(&chunk["chunk"])? * CHUNK_PAGES;
            let taken = self.layer.taken_runs(first, CHUNK_PAGES);
            expect("taken at the end", taken, runs(&chunk["alloc"])?)?;
            let scavenged = self.layer.scavenged_runs(first, CHUNK_PAGES);
            expect(
                "scavenged at the end",
                scavenged,
                runs(&chunk["scavenged"])?,
            )?;
        }
        Ok(())
    }
}

/// Checks one bitmap's summary, searches and counts.
fn chunk_bits(case: &Value) -> Result<usize, Failure> {
    let bitmap = Bitmap::new(CHUNK_PAGES, &runs(&case["alloc"])?);
    let summary: Vec<usize> = numbers(&case["summary"])?;
    expect("summary", bitmap.summary().to_vec(), summary)?;
    let (finds, counts) = (list(&case["find"])?, list(&case["popcount"])?);
    for find in finds {
        let found = bitmap.find(number(&find[0])?, number(&find[1])?);
        let wanted = match find[2].as_i64() {
            Some(-1) => None,
            _ => Some(number(&find[2])?),
        };
        expect("find", found, wanted).map_err(|error| format!("{find}: {error}"))?;
    }
    for count in counts {
        let pages = number(&count[1])?;
        let taken = pages - bitmap.free_pages(number(&count[0])?, pages);
        expect("popcount", taken, number(&count[2])?)?;
    }
    Ok(1 + finds.len() + counts.len())
}

/// Replays one case on ranges, checking them after every step.
fn addr_ranges(case: &Value) -> Result<usize, Failure> {
    let mut ranges = RangeList::new();
    let ops = list(&case["ops"])?;
    for op in ops {
        match op[0].as_str() {
            Some("add") => {
                let added = ranges.add(address(&op[1])?..address(&op[2])?);
                expect("add", added, true).map_err(|error| format!("{op}: {error}"))?;
            }
            Some("find_succ") => {
                let found = ranges.find_succ(address(&op[1])?);
                expect("index", found, number(&op[2])?)
                    .map_err(|error| format!("{op}: {error}"))?;
            }
            _ => return Err(format!("{op}: no such op").into()),
        }
        ranges.verify()?;
    }
    let mut wanted = Vec::new();
    for range in list(&case["ranges"])? {
        wanted.push(address(&range[0])?..address(&range[1])?);
    }
    expect("ranges", ranges.ranges(), wanted)?;
    expect("total", ranges.total(), address(&case["total"])?)?;
    Ok(ops.len())
}

fn expect<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Result<(), Failure> {
    if got == wanted {
        return Ok(());
    }
    let mut message = String::new();
    write!(message, "{what}: {got:?}, recorded is {wanted:?}")?;
    Err(message.into())
}
