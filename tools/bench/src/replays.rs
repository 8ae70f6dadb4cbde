//! The recorded traces, replayed on the heap: how many frames it holds at the peak of live bytes.

use core::alloc::Layout;
use core::num::NonZeroU64;
use core::ptr::NonNull;
use std::path::Path;

use archipelago::AllocFlags;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window};
use archipelago_traces::Block;
use archipelago_traces::replay::{Mode, Moment, Progress, Replay, Target, replay};
use archipelago_traces::trace::{Workspace, blocks_needed, validate};

/// The recorded traces.
pub const TRACES: [&str; 4] = ["git", "jq", "rustc", "sqlite"];

/// A heap's memory when a trace has its most live bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPeak {
    /// Live bytes, as the program asked for them.
    pub live: usize,
    /// Bytes of all frames that the heap holds, those of metadata and page tables included.
    pub frames: usize,
}

impl MemoryPeak {
    /// The bytes of frames for each live byte.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio of megabytes is no more exact than a double"
    )]
    pub fn ratio(self) -> f64 {
        self.frames as f64 / self.live as f64
    }
}

/// A heap without scannable objects.
struct Plain<G: SimGeometry>(Rig<G>);

// SAFETY: the heap keeps the contract of a target.
unsafe impl<G: SimGeometry> Target for Plain<G> {
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let mut flags = AllocFlags::empty();
        flags.set(AllocFlags::ZEROED, zeroed);
        let memory = self.0.heap.allocate(layout, flags);
        memory.ok().map(NonNull::cast)
    }

    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let new = Layout::from_size_align(new_size, layout.align()).ok()?;
        let flags = AllocFlags::empty();
        // SAFETY: the caller passes a live block of this heap with its layout.
        let memory = unsafe { self.0.heap.reallocate(pointer, layout, new, flags) };
        memory.ok().map(NonNull::cast)
    }

    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller passes a live block of this heap with its layout.
        unsafe { self.0.heap.deallocate(pointer, layout) };
    }
}

/// A heap of the shape `G` with a window that holds every trace, on a machine with as many frames
/// as it asks for.
pub(crate) fn roomy<G: SimGeometry>() -> Rig<G> {
    // Accesses to memory that is not Ready are not measured here.
    let machine = Sim::builder().traps(false).build();
    Rig::on(machine, &[lone_window::<G>(192 << 20)])
}

/// Replays the trace `name` of `tools/traces/recorded`, with `observe` called at the peak of live
/// bytes, at the end, and after every `every` operations.
///
/// # Panics
/// If there is no such trace, or the target refuses a request.
pub(crate) fn on_trace<T: Target>(
    name: &str,
    every: Option<NonZeroU64>,
    target: &mut T,
    observe: impl FnMut(Moment, &Progress, &T),
) {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/recorded");
    let file = std::fs::read(traces.join(format!("{name}.trace.gz"))).expect("a recorded trace");
    let mut workspace = Workspace::new();
    let blocks = blocks_needed(&file, &mut workspace).expect("a sound trace");
    let mut table = vec![Block::UNUSED; usize::try_from(blocks).expect("few")];
    let summary = validate(&file, &mut workspace, &mut table).expect("a sound trace");
    let what = Replay {
        file: &file,
        workspace: &mut workspace,
        table: &mut table,
        mode: Mode::Bare,
        peak_live_bytes: summary.peak_live_bytes,
        every,
    };
    let progress = replay(what, target, observe).expect("a sound trace");
    assert!(progress.is_clean(), "{name}: {progress:?}");
}

/// Replays the trace `name` on a heap of the shape `G`, and returns its memory when the trace has
/// its most live bytes.
///
/// # Panics
/// If there is no such trace, or the heap is not sound afterwards.
#[must_use]
pub fn memory_peak<G: SimGeometry>(name: &str) -> MemoryPeak {
    let mut target = Plain(roomy::<G>());
    let mut peak = MemoryPeak::default();
    on_trace(name, None, &mut target, |moment, progress, target| {
        if moment == Moment::Peak {
            let machine = &target.0.machine;
            let frames = machine.frames_taken() - machine.frames_returned();
            peak = MemoryPeak {
                live: usize::try_from(progress.live_bytes).expect("live bytes have addresses"),
                frames: frames * G::GEOMETRY.granule_bytes(),
            };
        }
    });
    target.0.check();
    target.0.verify();
    peak
}
