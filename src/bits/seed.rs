//! Where tests plant faults in the writing of bits. Everywhere else there are none.

use core::sync::atomic::AtomicUsize;

use super::description::Description;
use super::format;
use super::tables::{Tables, WordIdx};

/// What the writer asks at the places where others went wrong. The answers are the arguments, but
/// for a test's.
pub(super) trait Seed: Copy {
    /// What is described.
    #[inline]
    fn object<'a>(self, object: &Description<'a>) -> Description<'a> {
        *object
    }

    /// The object's word that comes first in a unit.
    #[inline]
    fn word(self, word: usize) -> usize {
        word
    }

    /// The word of a unit where a short object's bits begin.
    #[inline]
    fn shift(self, first: usize) -> usize {
        first
    }

    /// The word whose table is used for `word`.
    #[inline]
    fn table<T: Tables>(self, word: WordIdx) -> WordIdx {
        word
    }

    /// The bits of a unit that are the object's own.
    #[inline]
    fn own(self, own: usize) -> usize {
        own
    }

    /// Sets bits of a unit of an object, all of whose units are given.
    #[inline(always)]
    fn set(self, units: &[AtomicUsize], index: usize, bits: usize) {
        format::set(&units[index], bits);
    }

    /// The bits of a unit that become dead.
    #[inline]
    fn cleared(self, own: usize) -> usize {
        own
    }

    /// The bits that go into `unit`.
    #[inline]
    fn bits(self, _unit: &AtomicUsize, bits: usize) -> usize {
        bits
    }
}

/// No fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sound;

impl Seed for Sound {}
