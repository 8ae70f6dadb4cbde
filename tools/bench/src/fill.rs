//! The share of a small memory that holds objects when the first request is refused.

use core::alloc::Layout;
use core::ptr::NonNull;

use fastrand::Rng;

use crate::Subject;

/// The contents of a memory when a request was refused, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// The sum of the sizes that were asked for, over the live objects.
    pub live: usize,
    /// The memory that the subject had taken by then, its metadata included.
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
    random: Rng,
}

impl Objects {
    fn fill(&mut self, subject: &mut impl Subject) -> Filled {
        loop {
            let size = self.random.usize(1..=128);
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
            // SAFETY: the object was allocated with this layout, and has left the list of live
            // ones.
            unsafe { subject.free(pointer, layout) };
        }
    }
}

/// Allocates objects of 1 to 128 bytes, aligned to 8, until one is refused; then, if `refill`,
/// frees a random half of them and fills up again. Every subject gets the same sizes.
#[must_use]
pub fn fill(subject: &mut impl Subject, refill: bool) -> (Filled, Option<Filled>) {
    fill_from(16, subject, refill)
}

/// As [`fill`], with other random sizes for every `seed`.
#[must_use]
pub fn fill_from(seed: u64, subject: &mut impl Subject, refill: bool) -> (Filled, Option<Filled>) {
    let mut objects = Objects {
        live: Vec::new(),
        random: Rng::with_seed(seed),
    };
    let first = objects.fill(subject);
    let again = refill.then(|| {
        objects.free_half(subject);
        objects.fill(subject)
    });
    (first, again)
}
