//! Prints figures, one a line: `figure PART ROW COLUMN VALUE`, spaces in names written as `~`.
//! `cargo xtask bench` puts them in tables.

use core::alloc::Layout;
use std::process::ExitCode;

use archipelago_bench::{
    Archipelago, Block, FlatBlock, LinkedList, PAGE, Rlsf, Subject, TRACES, Talc, fill, footprint,
    memory_peak, metadata, stride, worst_pair,
};
use archipelago_flat::{Shape, Small};
#[cfg(not(target_pointer_width = "64"))]
use archipelago_sim::Plain32 as Native;
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64 as Native;
use archipelago_sim::{Plain31, Plain32, SimGeometry};

/// Memory that is filled with objects.
const MEMORY: usize = 16 << 20;

fn main() -> ExitCode {
    for part in std::env::args().skip(1) {
        match &*part {
            "metadata" => {
                #[cfg(target_pointer_width = "64")]
                print_metadata::<Native>("x86_64");
                print_metadata::<Plain32>("plain32");
                print_metadata::<Plain31>("plain31");
                print_footprint::<Small<17, 8>>();
                print_footprint::<Small<17, 9>>();
                print_footprint::<Small<17, 10>>();
            }
            "fill" => {
                print_fill(Archipelago::<Native>::with_memory(MEMORY), true);
                print_fill(Talc::new(Block::new(MEMORY)), true);
                print_fill(Rlsf::new(Block::new(MEMORY)), true);
                // Refilling a fragmented list takes it minutes.
                print_fill(LinkedList::new(Block::new(MEMORY)), false);
            }
            "strides" => {
                print_strides(|| Archipelago::<Native>::with_memory(MEMORY));
                print_strides(|| Talc::new(Block::new(MEMORY)));
                print_strides(|| Rlsf::new(Block::new(MEMORY)));
                print_strides(|| LinkedList::new(Block::new(MEMORY)));
            }
            "history" => {
                let window = 4 << 20;
                let heap = || Archipelago::<Native>::in_window(window);
                print_history("window~of~4~MiB", &heap().class_sizes(), heap);
                print_flat_history::<Small<17, 8>>("flat~64~KiB,~pages~of~256", 64 << 10);
                print_flat_history::<Small<21, 10>>("flat~1~MiB,~pages~of~1~KiB", 1 << 20);
            }
            "replays" => {
                #[cfg(target_pointer_width = "64")]
                print_replays::<Native>("x86_64");
                print_replays::<Plain32>("plain32");
            }
            #[cfg(feature = "heap-bits")]
            "bitmap" => {
                #[cfg(target_pointer_width = "64")]
                print_bitmap::<Native>("64~bits");
                print_bitmap::<Plain32>("32~bits");
            }
            _ => {
                eprintln!("there is no part {part}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn print_metadata<G: SimGeometry>(geometry: &str) {
    let metadata = metadata::<G>();
    println!("figure metadata {geometry} static {}", metadata.heap);
    for (purpose, bytes) in &metadata.by_purpose {
        let name = purpose.name().replace(' ', "~");
        println!("figure metadata {geometry} {name} {bytes}");
    }
    println!("figure metadata {geometry} total {}", metadata.total());
}

/// The bytes that objects cannot have of a block of 64 KiB without an MMU.
fn print_footprint<S: Shape>() {
    let (footprint, page) = (footprint::<S>(64 << 10), S::GEOMETRY.page_bytes());
    let (fresh, full) = (footprint.fresh, footprint.full);
    println!(
        "figure metadata flat~{page}~static total {}",
        footprint.heap
    );
    println!("figure metadata flat~{page}~fresh total {fresh}");
    println!("figure metadata flat~{page}~full total {full}");
}

fn print_fill<S: Subject>(mut subject: S, refill: bool) {
    let (first, again) = fill(&mut subject, refill);
    for (row, filled) in [("filled", Some(first)), ("refilled", again)] {
        if let Some(filled) = filled {
            let (ready, all) = (filled.share() * 100.0, filled.share_of(MEMORY) * 100.0);
            println!("figure fill {row}~of~Ready {} {ready:.2}", S::NAME);
            println!("figure fill {row}~of~16~MiB {} {all:.2}", S::NAME);
        }
    }
}

fn print_strides<S: Subject>(mut subject: impl FnMut() -> S) {
    let small = (3..=12).map(|shift| (1 << shift, 8));
    for (size, align) in small.chain([(PAGE, PAGE)]) {
        let layout = Layout::from_size_align(size, align);
        // Powers of two are valid alignments.
        let Ok(layout) = layout else { continue };
        let stride = stride(&mut subject(), layout);
        println!("figure strides {size}@{align} {} {stride}", S::NAME);
    }
}

fn print_flat_history<S: Shape>(heap: &str, bytes: usize) {
    let block = || FlatBlock::<S>::new(bytes);
    print_history(heap, &block().class_sizes(), block);
}

/// The worst of all pairs of size classes, one after the other.
fn print_history<S: Subject>(heap: &str, sizes: &[usize], make: impl Fn() -> S) {
    if let Some(pair) = worst_pair(sizes, make) {
        println!("figure history {heap} classes {}", sizes.len());
        println!("figure history {heap} first {}", pair.first);
        println!("figure history {heap} second {}", pair.second);
        println!("figure history {heap} fresh {}", pair.fresh);
        println!("figure history {heap} after {}", pair.after);
        println!("figure history {heap} points {}", pair.points());
    }
}

/// The memory beyond the live bytes at the peak of each trace, in percent of those.
fn print_replays<G: SimGeometry>(geometry: &str) {
    for trace in TRACES {
        let overhead = (memory_peak::<G>(trace).ratio() - 1.0) * 100.0;
        println!("figure replays {trace} {geometry} {overhead:.4}");
    }
}

/// The share of the heap bitmap on the traces, with all objects of 16 bytes and more full of
/// pointers; and its bytes with no pointers at all.
#[cfg(feature = "heap-bits")]
fn print_bitmap<G: SimGeometry>(words: &str) {
    for trace in TRACES {
        let peak = archipelago_bench::bitmap_peak::<G>(trace, 16);
        let (ready, in_spans) = (peak.share_of(peak.ready), peak.share_of(peak.in_spans));
        let (ready, in_spans) = (ready * 100.0, in_spans * 100.0);
        println!("figure bitmap {trace},{words} with~memory {ready:.4}");
        println!("figure bitmap {trace},{words} in~spans {in_spans:.4}");
        let without = archipelago_bench::bitmap_peak::<G>(trace, usize::MAX).bitmap;
        println!("figure bitmap {trace},{words},no~pointers bytes {without}");
    }
}
