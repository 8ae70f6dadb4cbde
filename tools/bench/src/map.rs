//! Draws a sample heap with its bitmap: arenas, spans, the parts of the bitmap that are Ready, and
//! the words of an object. `cargo xtask map` runs it.

use core::alloc::Layout;
use std::process::ExitCode;

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocError, AllocFlags, ObjectView, Purpose, VirtAddr};
use archipelago_api::Machine;
#[cfg(not(target_pointer_width = "64"))]
use archipelago_sim::Plain32 as Native;
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64 as Native;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window};

/// A tree's node: a key, three links, two numbers.
const NODE: PointerMap<'_> = PointerMap::from_mask(6, 0b1110);
/// A single pointer.
const LINK: PointerMap<'_> = PointerMap::from_mask(1, 1);

const WORD: usize = Sim::<Native>::WORD_BYTES;

fn main() -> ExitCode {
    let rig = Rig::<Native>::on(
        Sim::builder().build(),
        &[lone_window::<Native>(4 * Native::GEOMETRY.arena_bytes())],
    );
    match populate(&rig) {
        Ok(shown) => {
            arenas(&rig);
            spans(&rig);
            parts(&rig);
            println!("objects: a letter a word: p pointer, - none, . after the last pointer");
            shown.into_iter().for_each(|address| object(&rig, address));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Fills the heap, and returns the objects whose words are drawn.
fn populate(rig: &Rig<Native>) -> Result<Vec<VirtAddr>, AllocError> {
    let scannable = |object: Description<'_>| {
        let layout =
            Layout::from_size_align(object.words() * WORD, 8).unwrap_or(Layout::new::<u8>());
        rig.heap
            .allocate_scannable(layout, &object, AllocFlags::ZEROED)
    };
    let plain = |bytes| {
        let layout = Layout::from_size_align(bytes, 8).unwrap_or(Layout::new::<u8>());
        rig.heap.allocate(layout, AllocFlags::empty())
    };
    let mut shown = Vec::new();
    for index in 0..200 {
        plain(24 + index)?;
        let node = scannable(Description::one(&NODE))?;
        if index == 100 {
            shown.extend(rig.machine.address(node.cast()));
        }
    }
    plain(300_000)?;
    let header = scannable(Description::header_and_tail(&NODE, &LINK, 9))?;
    shown.extend(rig.machine.address(header.cast()));
    scannable(Description::array(&NODE, 50_000))?;
    plain(1000)?;
    Ok(shown)
}

fn arenas(rig: &Rig<Native>) {
    println!("arenas: address; pages owned, used, free and Ready, scavenged");
    rig.heap.for_each_arena(|arena| {
        let (base, pages, used) = (arena.base, arena.pages, arena.used);
        let (ready, scavenged) = (arena.ready, arena.scavenged);
        println!("  {base}  {pages:>6} {used:>6} {ready:>6} {scavenged:>6}");
    });
}

fn spans(rig: &Rig<Native>) {
    println!("spans: address; bytes, bytes of a slot, live of all slots, s if scannable");
    rig.heap.for_each_span(|span| {
        let mark = if span.is_scannable { 's' } else { '-' };
        let (base, bytes, slot) = (span.base, span.bytes, span.slot_bytes);
        let (live, slots) = (span.live, span.slots);
        println!("  {base}  {bytes:>8} {slot:>8} {live:>5}/{slots:<5} {mark}");
    });
}

/// Prints a sign for each part: `#` Ready and needed, `+` Ready and idle, `.` absent.
fn parts(rig: &Rig<Native>) {
    let bits = rig.heap.stats().of(Purpose::HeapBits);
    let bytes = Native::GEOMETRY.page_bytes() * 4 * WORD;
    println!(
        "heap bitmap: {bits} bytes; a sign for {bytes} bytes of an arena: # needed by spans with s, \
         + idle, . absent"
    );
    let (mut arena, mut line) = (None, String::new());
    rig.heap.for_each_bits_part(|part| {
        let base = part.base.align_down(Native::GEOMETRY.arena_bytes());
        if arena.replace(base) != Some(base) && !line.is_empty() {
            println!("{}", line.trim_end_matches('.'));
            line.clear();
        }
        if line.is_empty() {
            line = format!("  {base}  ");
        }
        line.push(match (part.is_ready, part.is_needed) {
            (true, true) => '#',
            (true, false) => '+',
            _ => '.',
        });
    });
    println!("{}", line.trim_end_matches('.'));
}

/// Prints a letter for each word: `p` pointer, `-` none, `.` dead, which is after the last pointer.
fn object(rig: &Rig<Native>, address: VirtAddr) {
    let Some(ObjectView {
        base, bytes, slot, ..
    }) = rig.heap.object_at(address)
    else {
        return;
    };
    let bits = rig.heap.bits();
    let letters = (0..bytes / WORD).filter_map(|word| {
        let entry = bits.at(base)?.forward(word).entry()?;
        Some(match (entry.pointer, entry.scan || word == 1) {
            (true, _) => 'p',
            (false, true) => '-',
            (false, false) => '.',
        })
    });
    let letters: String = letters.collect();
    println!("  {base}  slot {slot}, {bytes} bytes: {letters}");
}
