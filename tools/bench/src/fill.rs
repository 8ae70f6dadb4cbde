//! How much of a small memory holds objects when the first request is refused.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_inside::testing::Random;

use crate::Subject;

/// What a memory held when a request was refused, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// The sum of what the live objects were asked for.
    pub live: usize,
    /// What the subject had taken by then, its metadata included.
    pub memory: usize,
}

impl Filled {
    /// The share of the subject's memory that is live.
    #[must_use]
    pub fn share(self) -> f64 {
        share(self.live, self.memory)
    }

    /// The share of `bytes` bytes that is live.
    #[must_use]
    pub fn share_of(self, bytes: usize) -> f64 {
        share(self.live, bytes)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of megabytes is no more exact than a double"
)]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

struct Objects {
    live: Vec<(NonNull<u8>, Layout)>,
    random: Random,
}

impl Objects {
    fn fill(&mut self, subject: &mut impl Subject) -> Filled {
        loop {
            let size = 1 + self.random.below(128);
            let layout = Layout::from_size_align(size, 8).expect("a valid layout");
            match subject.allocate(layout) {
                Some(pointer) => self.live.push((pointer, layout)),
                None => break,
            }
        }
        Filled {
            live: self.live.iter().map(|(_, layout)| layout.size()).sum(),
            memory: subject.memory_bytes(),
        }
    }

    fn free_half(&mut self, subject: &mut impl Subject) {
        self.random.shuffle(&mut self.live);
        let half = self.live.len() / 2;
        for (pointer, layout) in self.live.drain(half..) {
            // SAFETY: it was allocated with this layout, and leaves the list of what is live.
            unsafe { subject.free(pointer, layout) };
        }
    }
}

/// Allocates objects of 1 to 128 bytes, aligned to 8, until one is refused; then, if `refill`,
/// frees a random half of them and fills up again. The same sizes for every subject.
#[must_use]
pub fn fill(subject: &mut impl Subject, refill: bool) -> (Filled, Option<Filled>) {
    let mut objects = Objects {
        live: Vec::new(),
        random: Random::new(16),
    };
    let first = objects.fill(subject);
    let again = refill.then(|| {
        objects.free_half(subject);
        objects.fill(subject)
    });
    (first, again)
}
