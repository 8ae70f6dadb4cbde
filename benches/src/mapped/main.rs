//! Work with mapped objects, for a program that counts the instructions of another.
//!
//! `mapped WHAT WAY WORDS COUNT` does as many operations as the last word says, after preparations
//! that are the same for all counts: what two runs that differ in the count alone differ by is the
//! operations'. Built with the feature `flat-bits`, the heap's bitmap is one array for its window,
//! found by one subtraction; everything else is the same.
//!
//! | what | one operation |
//! | --- | --- |
//! | `allocate` | an object is allocated in a span that there is, in the lowest slot but the first |
//! | `free` | such an object is freed |
//! | `walk` | every pointer word of the heap is visited |
//! | `step` | a cursor goes from the lowest object to the highest, word by word |
//! | `lookup` | an object is found by an address in it, and its pointer words are read |
//!
//! The way is `mapped`, with objects all of whose words are pointers, or `plain`, which has no
//! bitmap to walk.

use core::alloc::Layout;
use core::hint::black_box;
use core::ptr::NonNull;
use std::process::ExitCode;

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocFlags, Heap, VirtAddr};

mod machine;

use machine::{Lent, Lone};

type Subject = Heap<Lent, Lone>;

/// Objects that operations are done on; the most that can be allocated or freed.
const OBJECTS: usize = 4096;

/// Arenas of the window: enough for objects of 64 words, and their spans.
const ARENAS: usize = 4;

/// A heap, and what is allocated.
struct Work<'a> {
    heap: Box<Subject>,
    layout: Layout,
    /// What the objects are, if they are mapped.
    object: Option<Description<'a>>,
    live: Vec<NonNull<u8>>,
}

impl<'a> Work<'a> {
    fn new(words: usize, object: Option<Description<'a>>) -> Option<Self> {
        let bytes = words * size_of::<usize>();
        let heap: Box<Subject> = Box::default();
        let (machine, window) = Lent::with_window(ARENAS)?;
        heap.init(&[window], machine).ok()?;
        Some(Self {
            heap,
            layout: Layout::from_size_align(bytes, align_of::<usize>()).ok()?,
            object,
            live: Vec::with_capacity(2 * OBJECTS),
        })
    }

    #[inline(never)]
    fn plain(&self) -> Option<NonNull<u8>> {
        let memory = self.heap.allocate(self.layout, AllocFlags::empty());
        memory.ok().map(NonNull::cast)
    }

    #[inline(never)]
    fn mapped(&self, object: &Description<'_>) -> Option<NonNull<u8>> {
        let flags = AllocFlags::empty();
        let memory = self.heap.allocate_mapped(self.layout, object, flags);
        memory.ok().map(NonNull::cast)
    }

    fn allocate(&mut self, count: usize) {
        match self.object {
            None => (0..count).for_each(|_| _ = black_box(self.plain())),
            Some(object) => (0..count).for_each(|_| _ = black_box(self.mapped(&object))),
        }
    }

    /// Makes objects that stay.
    fn fill(&mut self, count: usize) {
        for _ in 0..count {
            let made = match self.object {
                None => self.plain(),
                Some(object) => self.mapped(&object),
            };
            self.live.extend(made);
        }
    }

    /// Frees objects, the oldest first.
    fn free(&mut self, count: usize) {
        for pointer in self.live.drain(..count) {
            // SAFETY: it was allocated with this layout, and nobody uses it.
            unsafe { self.heap.deallocate(pointer, self.layout) };
        }
    }

    /// Makes objects in spans whose first slots are taken for good.
    fn fill_spans(&mut self) {
        // At most every other slot is a first one.
        self.fill(2 * OBJECTS);
        let heap = &self.heap;
        let slot = |pointer: &NonNull<u8>| heap.object_at(address(*pointer)).map(|it| it.slot);
        self.live.retain(|pointer| slot(pointer) != Some(0));
    }

    /// Every pointer word of the heap, so many times.
    fn walk(&self, times: usize) -> usize {
        let mut found = 0;
        for _ in 0..times {
            self.heap.for_each_pointer_word(|_| found += 1);
        }
        found
    }

    /// Every word from the lowest object to the highest, one after the other, so many times.
    fn step(&self, times: usize) -> Option<usize> {
        let addresses = || self.live.iter().map(|pointer| pointer.addr().get());
        let (first, last) = (addresses().min()?, addresses().max()?);
        let words = (last - first) / size_of::<usize>();
        let bits = self.heap.bits();
        let mut found = 0;
        for _ in 0..times {
            let mut cursor = bits.at(VirtAddr::new(first))?;
            for _ in 0..words {
                found += usize::from(cursor.entry().is_some_and(|entry| entry.pointer));
                cursor = cursor.next();
            }
        }
        Some(found)
    }

    /// The pointer words of objects here and there, found by addresses in them.
    fn look_up(&self, times: usize) -> usize {
        let bits = self.heap.bits();
        let mut random = 1_usize;
        let mut found = 0;
        for _ in 0..times {
            random = random.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
            let place = (random >> 16) % (OBJECTS * self.layout.size());
            let (object, byte) = (place / self.layout.size(), place % self.layout.size());
            let inside = address(self.live[object]).value().wrapping_add(byte);
            let object = self.heap.object_at(VirtAddr::new(inside));
            let words = object.and_then(|object| bits.pointer_words(object));
            found += words.map_or(0, Iterator::count);
        }
        found
    }

    /// Does it, and answers with how many pointer words were found, if any were looked for.
    fn operate(&mut self, what: &str, count: usize) -> Option<usize> {
        match what {
            "allocate" | "free" => {
                self.fill_spans();
                if what == "allocate" {
                    self.free(self.live.len());
                    self.allocate(count.min(OBJECTS));
                } else {
                    self.free(count.min(OBJECTS));
                }
                return Some(0);
            }
            _ => self.fill(OBJECTS),
        }
        match what {
            "walk" => Some(self.walk(count)),
            "step" => self.step(count),
            "lookup" => Some(self.look_up(count)),
            _ => None,
        }
    }
}

fn address(pointer: NonNull<u8>) -> VirtAddr {
    VirtAddr::new(pointer.addr().get())
}

/// Does what the words of the command line say, and answers with what to print.
fn run(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    let mut next = || arguments.next();
    let (what, way, words, count) = (next()?, next()?, next()?, next()?);
    let (words, count): (usize, usize) = (words.parse().ok()?, count.parse().ok()?);
    let mask = u128::MAX.checked_shr(128_u32.checked_sub(u32::try_from(words).ok()?)?)?;
    let map = PointerMap::from_mask(words, mask);
    let object = match &*way {
        "plain" => None,
        "mapped" => Some(Description::one(&map)),
        _ => return None,
    };
    let found = Work::new(words, object)?.operate(&what, count)?;
    Some(format!(
        "{count} times {what}: {found} pointer words; {OBJECTS} objects of {words} words"
    ))
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Some(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!(
                "allocate, free, walk, step or lookup; plain or mapped; words, 1 to 128; how often"
            );
            ExitCode::FAILURE
        }
    }
}
