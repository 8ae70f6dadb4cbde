//! What the bitmap costs on the recorded traces, with every object of 16 bytes and more full of
//! pointers, and with none.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocFlags, Purpose};
use archipelago_api::Machine;
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{Plain32, Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window};
use archipelago_workload::Block;
use archipelago_workload::replay::{Mode, Moment, Replay, Target, replay};
use archipelago_workload::trace::{Workspace, blocks_needed, validate};

use crate::subject::POINTER;

struct Mapping<G: SimGeometry> {
    rig: Rig<G>,
    /// Objects of this many bytes and more are full of pointers.
    least: usize,
}

impl<G: SimGeometry> Mapping<G> {
    fn description(&self, layout: Layout) -> Description<'static> {
        const ELEMENT: &PointerMap<'_> = &POINTER;
        let words = layout.size() / Sim::<G>::WORD_BYTES;
        let count = if layout.size() < self.least { 0 } else { words };
        Description::array(ELEMENT, count)
    }
}

// SAFETY: the heap keeps the contract of a target.
unsafe impl<G: SimGeometry> Target for Mapping<G> {
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let object = self.description(layout);
        let mut flags = AllocFlags::empty();
        flags.set(AllocFlags::ZEROED, zeroed);
        let memory = self.rig.heap.allocate_mapped(layout, &object, flags);
        memory.ok().map(NonNull::cast)
    }

    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let new = Layout::from_size_align(new_size, layout.align()).ok()?;
        let (object, flags) = (self.description(new), AllocFlags::empty());
        let heap = &self.rig.heap;
        // SAFETY: the caller's promise is the same.
        let memory = unsafe { heap.reallocate_mapped(pointer, layout, new, &object, flags) };
        memory.ok().map(NonNull::cast)
    }

    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.rig.heap.deallocate(pointer, layout) };
    }
}

/// Bytes of bitmap, and of arena pages in use, which are those that have memory, when most is live.
fn at_peak<G: SimGeometry>(name: &str, least: usize) -> (usize, usize) {
    let path = format!("{}/traces/{name}.trace.gz", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(path).expect("a trace of the repository");
    let mut workspace = Workspace::new();
    let blocks = blocks_needed(&file, &mut workspace).expect("a sound trace");
    let mut table = vec![Block::UNUSED; usize::try_from(blocks).expect("few")];
    let summary = validate(&file, &mut workspace, &mut table).expect("a sound trace");
    let machine = Sim::builder().build();
    let mut target = Mapping {
        rig: Rig::<G>::on(machine, &[lone_window::<G>(192 << 20)]),
        least,
    };
    let mut peak = (0, 0);
    let what = Replay {
        file: &file,
        workspace: &mut workspace,
        table: &mut table,
        mode: Mode::Bare,
        peak_live_bytes: summary.peak_live_bytes,
        every: None,
    };
    replay(what, &mut target, |moment, _, target| {
        if moment == Moment::Peak {
            let stats = target.rig.heap.stats();
            let pages = [Purpose::Objects, Purpose::Free, Purpose::Reserve];
            let in_use = pages.iter().map(|purpose| stats.of(*purpose)).sum();
            peak = (stats.of(Purpose::HeapBits), in_use);
        }
    })
    .expect("a sound trace");
    target.rig.check();
    target.rig.verify();
    peak
}

const TRACES: [&str; 4] = ["git", "jq", "rustc", "sqlite"];

fn costs_at_most<G: SimGeometry>(permille: usize) {
    for name in TRACES {
        let (bits, in_use) = at_peak::<G>(name, 16);
        assert!(bits > 0, "{name}: objects hold pointers");
        println!("{name}: {bits} bytes of bitmap for {in_use} bytes of pages");
        assert!(
            1000 * bits <= permille * in_use,
            "{name}: {bits} bytes of bitmap for {in_use} bytes of pages"
        );
        let (none, _) = at_peak::<G>(name, usize::MAX);
        assert_eq!(none, 0, "{name}: no object holds pointers");
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_bitmap_of_a_64_bit_heap_is_a_thirty_second() {
    costs_at_most::<X86_64>(32);
}

#[test]
fn the_bitmap_of_a_32_bit_heap_is_a_sixteenth() {
    costs_at_most::<Plain32>(63);
}
