//! The map of the early heap: which units of its region are taken, and where blocks begin.
//!
//! ```text
//!  taken: a bit a unit │ begins: a bit a unit │ units of blocks …
//! ```
//!
//! A block is a unit that begins one, and the taken units that follow it up to the next that is
//! free or begins a block. So the map knows the length of every block, and memory of blocks, free
//! or not, holds no state of the heap.

use core::alloc::Layout;
use core::ops::Range;

use super::misuse::Misuse;

/// Bytes of a unit, and the least alignment of a block. A region begins at a multiple of it.
pub(super) const UNIT: usize = 16;

const WORD_BITS: usize = usize::BITS as usize;

/// The division of a region: the words of its map, and the units after them. Units are counted
/// from the start of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// Words of both bitmaps together.
    pub(super) words: usize,
    /// Units that the map takes, and the number of the first one for blocks.
    first: usize,
    /// Units of the region.
    end: usize,
}

impl Division {
    /// The division of `bytes` bytes; `None` if there is no unit beside the map.
    pub(super) const fn of(bytes: usize) -> Option<Self> {
        let end = bytes / UNIT;
        let words = 2 * end.div_ceil(WORD_BITS);
        let first = (words * size_of::<usize>()).div_ceil(UNIT);
        if end > first {
            Some(Self { words, first, end })
        } else {
            None
        }
    }
}

/// The map of a region. Offsets count bytes from the start of the region.
#[derive(Debug)]
pub(super) struct BlockMap<'a> {
    taken: &'a mut [usize],
    begins: &'a mut [usize],
    division: Division,
    /// The number of the region's address in units: alignments are those of addresses.
    start: usize,
}

impl<'a> BlockMap<'a> {
    /// The map in `words` of the region at the address `start`. At first the words are zero.
    pub(super) fn new(words: &'a mut [usize], division: Division, start: usize) -> Self {
        let (taken, begins) = words.split_at_mut(words.len() / 2);
        Self {
            taken,
            begins,
            division,
            start: start / UNIT,
        }
    }

    /// Allocates the lowest free units for `layout`, and returns their offset.
    pub(super) fn allocate(&mut self, layout: Layout) -> Option<usize> {
        let count = layout.size().div_ceil(UNIT);
        let mut unit = self.division.first;
        loop {
            unit = unit.checked_add(self.misaligned(unit, layout.align()))?;
            let end = unit.checked_add(count)?;
            if end > self.division.end {
                return None;
            }
            match (unit..end).rev().find(|unit| is_set(self.taken, *unit)) {
                Some(last) => unit = last + 1,
                None => break,
            }
        }
        set(self.begins, unit, true);
        (unit..unit + count).for_each(|unit| set(self.taken, unit, true));
        Some(unit * UNIT)
    }

    /// The units of the block at `offset`, checked against `layout`.
    ///
    /// # Errors
    /// The fault of the offset or of the layout.
    pub(super) fn find(&self, offset: usize, layout: Layout) -> Result<Range<usize>, Misuse> {
        let unit = offset / UNIT;
        if unit < self.division.first || unit >= self.division.end {
            return Err(Misuse::ForeignPointer);
        }
        if !is_set(self.taken, unit) {
            return Err(Misuse::DoubleFree);
        }
        if offset % UNIT != 0 || !is_set(self.begins, unit) {
            return Err(Misuse::InteriorPointer);
        }
        let ends = |at: &usize| !is_set(self.taken, *at) || is_set(self.begins, *at);
        let last = self.division.end;
        let end = (unit + 1..last).find(ends).unwrap_or(last);
        let same_length = layout.size().div_ceil(UNIT) == end - unit;
        if !same_length || self.misaligned(unit, layout.align()) != 0 {
            return Err(Misuse::WrongLayout);
        }
        Ok(unit..end)
    }

    /// Frees the units of a block after its first `kept` bytes; the whole block for none.
    pub(super) fn cut(&mut self, block: Range<usize>, kept: usize) {
        let first = block.end.min(block.start + kept.div_ceil(UNIT));
        if first == block.start {
            set(self.begins, block.start, false);
        }
        (first..block.end).for_each(|unit| set(self.taken, unit, false));
    }

    /// Units from `unit` to the next whose address is a multiple of `align` bytes.
    const fn misaligned(&self, unit: usize, align: usize) -> usize {
        let align = if align < UNIT { UNIT } else { align };
        self.start.wrapping_add(unit).wrapping_neg() & (align / UNIT - 1)
    }
}

fn is_set(bits: &[usize], unit: usize) -> bool {
    let word = bits.get(unit / WORD_BITS);
    word.is_some_and(|word| word >> (unit % WORD_BITS) & 1 != 0)
}

fn set(bits: &mut [usize], unit: usize, value: bool) {
    if let Some(word) = bits.get_mut(unit / WORD_BITS) {
        let bit = 1 << (unit % WORD_BITS);
        *word = if value { *word | bit } else { *word & !bit };
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    fn map(bytes: usize, start: usize) -> BlockMap<'static> {
        let division = Division::of(bytes).expect("large enough");
        let words = Box::leak(vec![0; division.words].into_boxed_slice());
        BlockMap::new(words, division, start)
    }

    #[test]
    fn a_region_is_divided_into_map_and_units() {
        for bytes in 0..20_000 {
            let Some(division) = Division::of(bytes) else {
                assert!(bytes < 3 * UNIT, "{bytes} bytes have room");
                continue;
            };
            assert!(division.end * UNIT <= bytes);
            assert!(division.words * size_of::<usize>() <= division.first * UNIT);
            assert!(division.words / 2 * WORD_BITS >= division.end);
        }
        let division = Division::of(64 << 10).expect("large enough");
        assert_eq!(division.first * UNIT, 1024, "a 64th");
    }

    #[test]
    fn a_place_past_the_top_of_the_address_space_is_not_sought() {
        let mut map = map(1 << 16, usize::MAX - (1 << 16) + 1);
        assert_eq!(map.allocate(layout(8, 1 << (usize::BITS - 2))), None);
        let most = isize::MAX.unsigned_abs();
        assert_eq!(map.allocate(layout(most, 1)), None);
        assert_eq!(map.allocate(layout(100, 1 << 15)), Some(1 << 15));
    }

    #[test]
    fn blocks_are_lowest_first_aligned_and_apart() {
        let start = 0x1000 + 5 * UNIT;
        let mut map = map(8 << 10, start);
        let mut random = 7_u32;
        let mut live: Vec<(usize, Layout)> = Vec::new();
        let mut refused = 0;
        for _ in 0..4000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (random >> 8) as usize;
            if number % 5 < 2 && !live.is_empty() {
                let (offset, layout) = live.swap_remove(number / 8 % live.len());
                let block = map.find(offset, layout).expect("it is live");
                map.cut(block, 0);
                assert_eq!(map.find(offset, layout), Err(Misuse::DoubleFree));
                continue;
            }
            let layout = layout(1 + number / 8 % 300, 1 << (number / 4096 % 9));
            let Some(offset) = map.allocate(layout) else {
                refused += 1;
                continue;
            };
            assert_eq!((start + offset) % layout.align(), 0);
            let end = offset + layout.size();
            assert!(end <= map.division.end * UNIT);
            assert!(
                live.iter()
                    .all(|(at, other)| end <= *at || *at + other.size() <= offset)
            );
            live.push((offset, layout));
        }
        assert!(refused > 0 && live.len() > 10);
        for (offset, layout) in live {
            let block = map.find(offset, layout).expect("it is live");
            map.cut(block, 0);
        }
        assert!(map.taken.iter().chain(&*map.begins).all(|word| *word == 0));
        let Division { first, end, .. } = map.division;
        let whole = layout((end - first) * UNIT, 1);
        assert_eq!(map.allocate(whole), Some(first * UNIT));
    }

    #[test]
    fn a_block_has_one_length_and_one_start() {
        let mut map = map(1 << 12, 0x1000);
        let [long, short] = [layout(100, 8), layout(40, 8)];
        let [first, second] = [long, short].map(|layout| map.allocate(layout).expect("room"));
        let at = first / UNIT;
        assert_eq!((at, second), (map.division.first, first + 112));
        let as_many_units = map.find(first, layout(112, 16));
        assert_eq!(as_many_units, Ok(at..at + 7));
        for wrong in [layout(96, 8), layout(113, 8), layout(4000, 8)] {
            assert_eq!(map.find(first, wrong), Err(Misuse::WrongLayout));
        }
        assert_eq!(map.find(first, layout(100, 256)), Err(Misuse::WrongLayout));
        for inside in [1, 8, UNIT, 111] {
            assert_eq!(map.find(first + inside, long), Err(Misuse::InteriorPointer));
        }
        assert_eq!(map.find(second + 48, short), Err(Misuse::DoubleFree));
        for outside in [0, first - 1, map.division.end * UNIT, usize::MAX] {
            assert_eq!(map.find(outside, short), Err(Misuse::ForeignPointer));
        }
        let block = map.find(first, long).expect("it is live");
        map.cut(block, 17);
        assert_eq!(map.find(first, long), Err(Misuse::WrongLayout));
        assert_eq!(map.find(first, layout(17, 8)), Ok(at..at + 2));
        let neighbour = map.find(second, short);
        assert_eq!(neighbour, Ok(at + 7..at + 10), "it is whole");
        let tail = map.allocate(layout(80, 8));
        assert_eq!(tail, Some(first + 2 * UNIT), "the tail is free");
    }
}
