//! A picture of the heap: one row per arena, one cell per chunk.

use core::fmt;

use archipelago::ChunkView;
use archipelago_api::Machine;
use archipelago_qemu::{HeapMachine, print, println};

/// Pages of a whole chunk.
const CHUNK_PAGES: usize = HeapMachine::GEOMETRY.chunk_pages();
const CHUNK_BYTES: usize = HeapMachine::GEOMETRY.chunk_bytes();

/// The unit of distances.
const UNIT: (usize, &str) = if HeapMachine::GEOMETRY.arena_bytes() < 1 << 20 {
    (1 << 10, "KiB")
} else {
    (1 << 20, "MiB")
};

/// How full a chunk is, in whole eighths; the first one is for any part of it.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const FREE: char = '░';
const NOT_OWNED: char = ' ';
const SCAVENGED: char = '\'';

/// A chunk, as it is drawn.
struct Cell(ChunkView);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunk = self.0;
        let shade = match chunk.used * BARS.len() / CHUNK_PAGES {
            0 if chunk.used == 0 => FREE,
            eighths => BARS[eighths.max(1) - 1],
        };
        let mark = if chunk.scavenged > 0 { SCAVENGED } else { ' ' };
        write!(f, "{shade}{mark}")
    }
}

/// Draws the chunks that `for_each_chunk` shows; distances are from `base`.
pub(crate) fn draw(base: usize, for_each_chunk: impl FnOnce(&mut dyn FnMut(ChunkView))) {
    println!("# the heap at {base:#x}, when most bytes are live: an arena a row, a chunk a cell");
    let mut row = None;
    for_each_chunk(&mut |chunk| {
        let arena = chunk.arena.value();
        let (drawn, mut next) = row.unwrap_or((arena, 0));
        if row.is_none() || drawn != arena {
            if row.is_some() {
                println!();
            }
            let (bytes, name) = UNIT;
            print!("# {:>+7} {name}  ", arena.wrapping_sub(base) / bytes);
            next = 0;
        }
        let index = (chunk.base.value() - arena) / CHUNK_BYTES;
        for _ in next..index {
            print!("{NOT_OWNED} ");
        }
        print!("{}", Cell(chunk));
        row = Some((arena, index + 1));
    });
    println!();
    println!(
        "# {} up to an eighth of the chunk in use … {} all of it; {FREE} none; {SCAVENGED} some of \
         its free pages have no memory",
        BARS[0],
        BARS[BARS.len() - 1]
    );
}
