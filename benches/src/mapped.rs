//! Work with mapped objects, for a program that counts the instructions of another: as much of it as
//! the second word says, in the way that the first word says.
//!
//! The flat bitmap is one array for a whole window, found by one subtraction: what the heap's, which
//! is Ready where it is needed alone, is held against.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;
use std::process::ExitCode;

use archipelago::bits::{
    Description, HeapBits, PointerMap, PointerWords, Tables, UNIT_WORDS, describe,
};
use archipelago::{AllocFlags, Heap, VirtAddr};
use archipelago_api::{Geometry, Machine};
#[cfg(not(target_pointer_width = "64"))]
use archipelago_sim::Plain32 as Native;
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64 as Native;
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window};

type Heaped = Heap<Sim<Native>, Hosted>;

/// Bytes of the window.
const BYTES: usize = 128 << 20;

/// One bitmap for the whole window.
struct Flat {
    first_arena: usize,
    units: Vec<AtomicUsize>,
}

const WORD: usize = Sim::<Native>::WORD_BYTES;

const ARENA: usize = Native::GEOMETRY.arena_bytes();

const ARENA_UNITS: usize = ARENA / WORD / UNIT_WORDS;

impl Tables for Flat {
    const GEOMETRY: Geometry = Native::GEOMETRY;
    const WORD_BYTES: usize = WORD;

    #[inline]
    fn units(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        let first = (arena.wrapping_sub(self.first_arena))
            .wrapping_mul(ARENA_UNITS)
            .wrapping_add(first);
        self.units.get(first..).unwrap_or(&[])
    }
}

/// An object of 64 words, of a number and pointers.
const MAP: PointerMap<'_> = PointerMap::from_mask(64, 0xffff_ffff_ffff_fffe);

struct Work {
    rig: Rig<Native>,
    flat: Flat,
    layout: Layout,
    live: Vec<NonNull<u8>>,
}

impl Work {
    fn new(words: usize) -> Self {
        let window = lone_window::<Native>(BYTES);
        let offset = Native::GEOMETRY.offset(VirtAddr::new(window.base));
        let first_arena = offset.map_or(0, |offset| offset.value() / ARENA);
        let mut units = Vec::new();
        units.resize_with(BYTES / ARENA * ARENA_UNITS, || AtomicUsize::new(0));
        Self {
            rig: Rig::on(Sim::builder().traps(false).build(), &[window]),
            flat: Flat { first_arena, units },
            layout: Layout::from_size_align(words * WORD, 8).unwrap_or(Layout::new::<u64>()),
            live: Vec::new(),
        }
    }

    #[inline(never)]
    fn plain(&self, heap: &Heaped) -> Option<NonNull<u8>> {
        let memory = heap.allocate(self.layout, AllocFlags::empty());
        memory.ok().map(NonNull::cast)
    }

    #[inline(never)]
    fn sparse(&self, heap: &Heaped, object: &Description<'_>) -> Option<NonNull<u8>> {
        let memory = heap.allocate_mapped(self.layout, object, AllocFlags::empty());
        memory.ok().map(NonNull::cast)
    }

    #[inline(never)]
    fn flat(&self, heap: &Heaped, object: &Description<'_>) -> Option<NonNull<u8>> {
        let memory = heap.allocate(self.layout, AllocFlags::empty()).ok()?;
        let address = self.rig.machine.address(memory.cast())?;
        describe(&self.flat, address, memory.len(), object).ok()?;
        Some(memory.cast())
    }

    fn allocate(&mut self, way: &str, count: usize) {
        let words = self.layout.size() / WORD;
        let map = PointerMap::from_mask(words, u128::from(u64::MAX >> (64 - words.min(64))));
        let object = Description::one(&map);
        for _ in 0..count {
            let pointer = match way {
                "plain" => self.plain(&self.rig.heap),
                "sparse" => self.sparse(&self.rig.heap, &object),
                _ => self.flat(&self.rig.heap, &object),
            };
            if let Some(pointer) = pointer {
                // SAFETY: it was allocated just now with this layout, and nobody uses it.
                unsafe { self.rig.heap.deallocate(pointer, self.layout) };
            }
        }
    }

    /// Makes objects that stay.
    fn fill(&mut self, way: &str, count: usize) {
        let words = self.layout.size() / WORD;
        let map = PointerMap::from_mask(words, u128::from(u64::MAX >> (64 - words.min(64))));
        let object = Description::one(&map);
        for _ in 0..count {
            let pointer = match way {
                "sparse" => self.sparse(&self.rig.heap, &object),
                _ => self.flat(&self.rig.heap, &object),
            };
            self.live.extend(pointer);
        }
    }

    /// Every word from the first object to the last, one after the other.
    #[inline(never)]
    fn step<T: Tables>(&self, tables: &T, times: usize) -> usize {
        let ends = self.live.first().zip(self.live.last());
        let Some((first, last)) = ends.map(|(a, b)| (a.addr().get(), b.addr().get())) else {
            return 0;
        };
        let mut found = 0;
        for _ in 0..times {
            let Some(mut cursor) = HeapBits::at(tables, VirtAddr::new(first)) else {
                return 0;
            };
            for _ in 0..(last - first) / WORD {
                found += usize::from(cursor.entry().is_some_and(|entry| entry.pointer));
                cursor = cursor.next();
            }
        }
        found
    }

    /// The pointer words of all live objects, so many times over.
    fn walk<T: Tables>(&self, tables: &T, times: usize) -> usize {
        let mut found = 0;
        for _ in 0..times {
            for pointer in &self.live {
                let address = VirtAddr::new(pointer.addr().get());
                let words = PointerWords::of(tables, address, self.layout.size());
                found += words.into_iter().flatten().count();
            }
        }
        found
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(what), Some(way), Some(size), Some(count)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        eprintln!("what, the way, the words of an object, and how often");
        return ExitCode::FAILURE;
    };
    let (Ok(size), Ok(count)) = (size.parse(), count.parse()) else {
        eprintln!("a number of words, and how often");
        return ExitCode::FAILURE;
    };
    let mut work = Work::new(size);
    if what == "allocate" {
        // One that stays, so that the span does.
        work.fill(if way == "sparse" { "sparse" } else { "flat" }, 1);
        work.allocate(&way, count);
        return ExitCode::SUCCESS;
    }
    work.fill(&way, 10_000);
    for pointer in &mut work.live {
        // Addresses in the place of pointers.
        let address = work
            .rig
            .machine
            .address(*pointer)
            .map_or(0, VirtAddr::value);
        *pointer = NonNull::new(core::ptr::without_provenance_mut(address)).unwrap_or(*pointer);
    }
    let found = match &*way {
        "sparse" if what == "step" => work.step(&work.rig.heap.bits(), count),
        _ if what == "step" => work.step(&work.flat, count),
        "sparse" => work.walk(&work.rig.heap.bits(), count),
        _ => work.walk(&work.flat, count),
    };
    println!("{found} pointer words of {} in a map", MAP.pointers());
    ExitCode::SUCCESS
}
