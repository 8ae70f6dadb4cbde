//! Writing the bits of one object, and clearing them.

use core::fmt;
use core::sync::atomic::AtomicUsize;

use archipelago_api::VirtAddr;

use super::copy::{copy, put};
use super::description::Description;
use super::format::{self, UNIT_WORDS};
use super::map::{self, PointerMap};
use super::tables::{Tables, WordIdx};

/// A reason for which no bit of an object was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DescribeError {
    /// The slot does not lie in the address space.
    Outside {
        /// The slot's first address.
        address: VirtAddr,
        /// Bytes of the slot.
        bytes: usize,
    },
    /// The object has more words than the slot.
    TooLong {
        /// Words of the object.
        words: usize,
        /// Words of the slot.
        room: usize,
    },
    /// Part of the slot has no bits.
    Absent {
        /// The first address of the slot without bits.
        address: VirtAddr,
    },
}

impl fmt::Display for DescribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { address, bytes } => {
                write!(f, "{bytes} bytes at {address} are not in the address space")
            }
            Self::TooLong { words, room } => {
                write!(
                    f,
                    "the object of {words} words does not fit its slot of {room} words"
                )
            }
            Self::Absent { address } => write!(
                f,
                "the heap bitmap at {address} is not ready: is the slot in a scannable span?"
            ),
        }
    }
}

impl core::error::Error for DescribeError {}

/// Writes the bits of the object in a slot, from the slot's first word to its last: the old bits do
/// not matter, and words that follow the last pointer become dead.
///
/// A slot begins at a word and is whole words long: fractions are rounded down. The caller owns the
/// slot's words, and publishes the object afterwards. Bits of neighbouring words are never touched,
/// although they may share units. A slot may lie in several arenas, wherever their tables are: each
/// unit is put together in a register and then stored in the table that it belongs to.
///
/// # Errors
/// [`DescribeError`]; nothing was written.
///
/// # Cost
/// A few instructions for each unit of the slot, one table lookup for each piece of table.
#[inline]
pub fn describe<T: Tables>(
    tables: &T,
    slot: VirtAddr,
    slot_bytes: usize,
    object: &Description<'_>,
) -> Result<(), DescribeError> {
    match object.value() {
        Some(map) => describe_value(tables, slot, slot_bytes, map),
        None => describe_by_units(tables, slot, slot_bytes, object),
    }
}

/// [`describe`] for an object that is one value: a few dozen instructions for one of up to 128
/// words, if it does not straddle arenas whose tables are apart. Inlined, so that a map that is
/// known becomes part of the instructions.
///
/// # Errors
/// [`DescribeError`]; nothing was written.
#[inline(always)]
pub fn describe_value<T: Tables>(
    tables: &T,
    slot: VirtAddr,
    slot_bytes: usize,
    map: &PointerMap<'_>,
) -> Result<(), DescribeError> {
    if let (Some(first), Some(bits)) = (WordIdx::of::<T>(slot), map.units()) {
        let count = slot_bytes / T::WORD_BYTES;
        if map.words() <= count && copy(first.units(tables), first.in_unit(), count, bits).is_some()
        {
            return Ok(());
        }
    }
    describe_long_value(tables, slot, slot_bytes, map)
}

/// [`describe_value`] for a value that is long, straddles arenas, or is refused. Out of line, so
/// that the description of the value is made only here.
#[cold]
#[inline(never)]
fn describe_long_value<T: Tables>(
    tables: &T,
    slot: VirtAddr,
    slot_bytes: usize,
    map: &PointerMap<'_>,
) -> Result<(), DescribeError> {
    describe_by_units(tables, slot, slot_bytes, &Description::one(map))
}

/// [`describe`] unit by unit.
fn describe_by_units<T: Tables>(
    tables: &T,
    slot: VirtAddr,
    slot_bytes: usize,
    object: &Description<'_>,
) -> Result<(), DescribeError> {
    let words = WordRange::of::<T>(slot, slot_bytes)?;
    if object.words() > words.count {
        return Err(DescribeError::TooLong {
            words: object.words(),
            room: words.count,
        });
    }
    words.check_ready(tables)?;
    words.fill(tables, object);
    Ok(())
}

/// Makes every word of a range dead: those of a slot that is freed, or of the pages of a new span.
/// Words without bits stay without. The range is rounded down to whole words, as that of
/// [`describe`]. The caller owns the words.
#[inline]
pub fn clear<T: Tables>(tables: &T, first: VirtAddr, bytes: usize) {
    let cleared = WordIdx::of::<T>(first).and_then(|word| {
        let (units, count) = (word.units(tables), bytes / T::WORD_BYTES);
        copy(units, word.in_unit(), count, &map::NO_UNITS)
    });
    if cleared.is_none() {
        clear_long(tables, first, bytes);
    }
}

/// [`clear`] for a range that is long or straddles arenas.
#[inline(never)]
fn clear_long<T: Tables>(tables: &T, first: VirtAddr, bytes: usize) {
    if let Ok(words) = WordRange::of::<T>(first, bytes) {
        words.fill(tables, &Description::none());
    }
}

/// Words of the heap side by side.
#[derive(Clone, Copy)]
struct WordRange {
    first: WordIdx,
    count: usize,
}

impl WordRange {
    #[inline]
    fn of<T: Tables>(address: VirtAddr, bytes: usize) -> Result<Self, DescribeError> {
        let count = bytes / T::WORD_BYTES;
        match WordIdx::of::<T>(address) {
            Some(first) if count <= WordIdx::end::<T>().above(first) => Ok(Self { first, count }),
            _ => Err(DescribeError::Outside { address, bytes }),
        }
    }

    /// Refuses the range if some of the words have no bits.
    fn check_ready<T: Tables>(self, tables: &T) -> Result<(), DescribeError> {
        let mut done = 0;
        while done < self.count {
            let word = self.first.plus::<T>(done);
            let units = word.units(tables).len();
            if units == 0 {
                let address = word.start::<T>();
                return Err(DescribeError::Absent { address });
            }
            done += units * UNIT_WORDS - word.in_unit();
        }
        Ok(())
    }

    /// Writes the bits piece by piece; the units of a piece lie side by side in memory.
    fn fill<T: Tables>(self, tables: &T, object: &Description<'_>) {
        let mut done = 0;
        while done < self.count {
            let word = self.first.plus::<T>(done);
            let units = word.units(tables);
            let piece = Self {
                first: word,
                count: (units.len().max(1) * UNIT_WORDS - word.in_unit()).min(self.count - done),
            };
            if !units.is_empty() {
                piece.fill_piece(units, done, object);
            }
            done += piece.count;
        }
    }

    /// Writes the bits of these words, which are in `units` and are those of the object from its
    /// word `from` on.
    #[inline]
    fn fill_piece(self, units: &[AtomicUsize], from: usize, object: &Description<'_>) {
        let described = object.described();
        let mut shift = self.first.in_unit();
        let mut word = from;
        let end = from + self.count;
        for unit in units {
            if word >= end {
                break;
            }
            let count = (UNIT_WORDS - shift).min(end - word);
            let bits = if word < described {
                compose(object, described, word, count) << shift
            } else {
                0
            };
            put(unit, format::both(shift, count), bits);
            word += count;
            shift = 0;
        }
    }
}

/// The unit of `count` words of an object from word `from`, at the low end of the unit.
#[inline]
fn compose(object: &Description<'_>, described: usize, from: usize, count: usize) -> usize {
    format::unit(
        object.bits(from, count),
        format::scan(described, from, count),
    )
}
