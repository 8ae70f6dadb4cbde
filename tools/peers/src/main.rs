//! The heap beside its peers, in one binary. `cargo xtask bench peers` runs this program, under a
//! profiler for instructions and by itself for times.
//!
//! ```text
//! peers heaps               one line a heap: `heap NAME PACKAGE`
//! peers rows                one line a row: `row NAME WHAT IT IS`
//! peers count HEAP ROW      one workload, to be profiled: `actions COUNT`
//! peers times ROUNDS HEAP…  lines `time HEAP THREADS MINIMUM MEDIAN P90 P99`, ns a request
//! peers latency N HEAP…     lines `latency HEAP PHASE KIND P50 P99 P999 P9999 MOST`, ns a call
//! peers latency-once FILE HEAP…   what one of its processes does: the times, into a file
//! peers page FILE OUT       draws the lines of a file as a page of HTML
//! ```

extern crate alloc;

mod clock;
mod heaps;
mod kernels;
mod latency;
mod page;
mod times;

use std::io::Write;
use std::process::ExitCode;

use archipelago_workloads::Row;
use heaps::Heap;

/// The exit code of a command line that is not understood.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["heaps"] => heaps(),
        ["rows"] => rows(),
        ["count", heap, row] => count(heap, row),
        ["times", rounds, names @ ..] => times::print(rounds, names),
        ["latency", processes, names @ ..] => latency::print(processes, names),
        ["latency-once", file, names @ ..] => latency::once(file, names),
        ["page", file, out] => page::draw(file, out),
        _ => Err(
            "say `heaps`, `rows`, `count HEAP ROW`, `times ROUNDS HEAP…`, `latency N HEAP…` or `page \
             FILE OUT`"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

type Done = Result<(), Box<dyn core::error::Error>>;

fn heaps() -> Done {
    for heap in Heap::all() {
        println!("heap {} {}", heap.name, heap.package);
    }
    Ok(())
}

fn rows() -> Done {
    for row in Row::ALL {
        println!("row {} {}", row.name(), row.about());
    }
    Ok(())
}

/// Runs one workload. Nothing is printed for a row that is not measured.
fn count(heap: &str, row: &str) -> Done {
    let heap = Heap::find(heap).ok_or("there is no such heap; `heaps` lists them")?;
    let row = Row::find(row).ok_or("there is no such row; `rows` lists them")?;
    let Some(scale) = heap.scale(row) else {
        return Ok(());
    };
    let work = row.make(scale);
    work.run(heap.open());
    println!("actions {}", work.actions());
    std::io::stdout().flush()?;
    Ok(())
}
