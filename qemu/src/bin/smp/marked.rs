//! Objects whose words tell whether they are whole, for whoever gets them.

use alloc::vec::Vec;

use archipelago_qemu::FRAME_BYTES;
use fastrand::Rng;

/// An object: its first word is a seed, from which the others follow.
#[derive(Debug)]
pub(crate) struct Marked(Vec<usize>);

impl Marked {
    /// An object of a random size, mostly a small one.
    ///
    /// # Panics
    /// If there is no memory.
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let most = match rng.usize(..64) {
            0 => 8 * FRAME_BYTES,
            1..8 => FRAME_BYTES,
            _ => 400,
        };
        let words = 1 + rng.usize(..most / size_of::<usize>());
        let seed = rng.usize(..);
        let mut all = Vec::with_capacity(words);
        all.extend((0..words).map(|index| word(seed, index)));
        Self(all)
    }

    /// Checks the object, changes its size, and checks it again.
    ///
    /// # Panics
    /// If it is not whole, or there is no memory.
    pub(crate) fn resize(&mut self, rng: &mut Rng) {
        self.check();
        let (seed, before) = (self.0[0], self.0.len());
        let after = 1 + rng.usize(..2 * before);
        self.0.truncate(after);
        self.0.shrink_to_fit();
        let more = before.min(after)..after;
        self.0.extend(more.map(|index| word(seed, index)));
        self.check();
    }

    /// Checks that the object holds what was written to it.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) fn check(&self) {
        let seed = self.0[0];
        let wrong = (0..self.0.len()).find(|&index| self.0[index] != word(seed, index));
        if let Some(index) = wrong {
            let place = &raw const self.0[index];
            panic!("word {index} at {place:p} was written to");
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        self.check();
    }
}

fn word(seed: usize, index: usize) -> usize {
    seed.wrapping_add(index.wrapping_mul(0x9e37_79b9))
}
