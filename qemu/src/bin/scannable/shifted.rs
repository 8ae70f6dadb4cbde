//! A map that is shifted by one word: of the word before a pointer it says that it is one. Each way
//! of walking has to find that; the word `way=NAME` on the command line chooses one.

use core::mem::offset_of;

use archipelago::AllocFlags;
use archipelago::bits::{PointerMap, Scannable};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::scannable::{Objects, Shape, Typed, WAYS, Way};
use archipelago_qemu::{Running, SCANNABLE_PLACES};

use crate::HEAPS;

const SHIFTED: Shape = Shape::array::<Shifted>("shifted structures");

/// A structure whose map is wrong.
#[repr(C)]
struct Shifted {
    numbers: [usize; 2],
    pointer: *mut u8,
    last: usize,
}

// SAFETY: broken on purpose: the map names the second word, and the pointer is the third. Nothing
// follows the pointers that the map names.
unsafe impl Scannable for Shifted {
    const MAP: PointerMap<'static> = PointerMap::from_mask(4, 0b0010);
}

impl Typed for Shifted {
    fn holds_pointer(offset: usize) -> bool {
        offset == offset_of!(Self, pointer)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            numbers: [0; 2],
            pointer: target,
            last: 0,
        }
    }
}

/// The way of walking that the command line names, if it names one.
///
/// # Panics
/// If there is no such way.
pub(crate) fn chosen(running: &Running) -> Option<Way> {
    let chosen = running.info.value("way")?;
    let way = WAYS.iter().find(|(name, _)| *name == chosen);
    Some(*way.expect("a way to walk"))
}

/// Walks an object with a wrong map in one way, which must end the machine.
pub(crate) fn walk(mut way: Way) -> ! {
    protocol::run(
        &[Test {
            name: "a map that is shifted by one word is found",
            run: compare,
        }],
        &mut way,
    )
}

fn compare(way: &mut Way) {
    let mut objects = Objects::new(&HEAPS[0], 1, AllocFlags::empty());
    let live = objects.allocate(&SHIFTED, 3).expect("memory");
    protocol::must_say(format_args!(" of {live} is laid out as "));
    (way.1)(&objects, &SCANNABLE_PLACES[0].windows[1..]);
}
