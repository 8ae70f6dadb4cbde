//! The state of each granule: two bits, in memory that the regions were asked for.

use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The state of a granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    None,
    Reserved,
    Prepared,
    Ready,
}

/// Granules whose states fill a byte.
const A_BYTE: usize = 4;

/// States by granule number.
///
/// One call of the machine at a time changes them; the bytes are atomics because statistics may be
/// read meanwhile.
#[derive(Debug)]
pub(crate) struct States {
    bytes: &'static [AtomicU8],
}

impl States {
    /// Bytes of memory for the states of `granules` granules.
    pub(crate) const fn bytes_for(granules: usize) -> usize {
        granules.div_ceil(A_BYTE)
    }

    /// States in `bytes`, all None whatever the bytes hold.
    pub(crate) fn new(bytes: &'static [AtomicU8]) -> Self {
        for byte in bytes {
            byte.store(0, Relaxed);
        }
        Self { bytes }
    }

    /// Bytes of the states.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn at(&self, granule: usize) -> State {
        let byte = self.bytes.get(granule / A_BYTE);
        let byte = byte.map_or(0, |byte| byte.load(Relaxed));
        match byte >> (granule % A_BYTE * 2) & 3 {
            0 => State::None,
            1 => State::Reserved,
            2 => State::Prepared,
            _ => State::Ready,
        }
    }

    pub(crate) fn set(&self, granules: Range<usize>, state: State) {
        for granule in granules {
            let Some(byte) = self.bytes.get(granule / A_BYTE) else {
                return;
            };
            let shift = granule % A_BYTE * 2;
            let others = byte.load(Relaxed) & !(3 << shift);
            byte.store(others | (state as u8) << shift, Relaxed);
        }
    }

    /// The first granule that is in none of the `allowed` states.
    pub(crate) fn find_other(
        &self,
        mut granules: Range<usize>,
        allowed: &[State],
    ) -> Option<usize> {
        granules.find(|granule| !allowed.contains(&self.at(*granule)))
    }

    /// The number of granules in `state`, which is not None.
    pub(crate) fn count(&self, state: State) -> usize {
        let all = 0..self.bytes.len() * A_BYTE;
        all.filter(|granule| self.at(*granule) == state).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

    #[test]
    fn neighbours_keep_their_state_and_none_is_lost_at_the_end_of_a_byte() {
        let bytes = Box::leak(Box::new([const { AtomicU8::new(0xff) }; 5]));
        assert_eq!(States::bytes_for(17), bytes.len());
        let states = States::new(bytes);
        states.set(0..17, State::Reserved);
        states.set(3..9, State::Ready);
        states.set(8..13, State::Prepared);
        assert_eq!(states.find_other(0..17, &[State::Reserved]), Some(3));
        assert_eq!(states.find_other(3..8, &[State::Ready]), None);
        assert_eq!(states.find_other(8..17, &[State::Prepared]), Some(13));
        assert_eq!(states.at(17), State::None);
        assert_eq!(states.at(1000), State::None);
        assert_eq!(states.count(State::Ready), 5);
    }
}
