//! Ranges cut where tables and pages meet.

use archipelago_api::VirtRange;

/// Cuts `range` where it crosses multiples of `bytes`, a power of two.
pub fn pieces(range: VirtRange, bytes: usize) -> impl Iterator<Item = VirtRange> {
    let mut rest = range;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let above = rest.base().value() & (bytes - 1);
        let (piece, after) = rest.split_at((bytes - above).min(rest.bytes()))?;
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std_alloc::vec::Vec;

    use archipelago_api::VirtAddr;

    const TOP: usize = usize::MAX - 0x20_0fff;

    fn range(base: usize, bytes: usize) -> VirtRange {
        VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap")
    }

    #[test]
    fn pieces_end_at_boundaries_and_at_the_top_of_the_space() {
        let cut: Vec<_> = pieces(range(0x1f_f000, 0x20_2000), 0x20_0000).collect();
        assert_eq!(
            cut,
            [
                range(0x1f_f000, 0x1000),
                range(0x20_0000, 0x20_0000),
                range(0x40_0000, 0x1000)
            ]
        );
        let cut: Vec<_> = pieces(range(TOP, 0x20_1000), 0x20_0000).collect();
        assert_eq!(cut, [range(TOP, 0x1000), range(TOP + 0x1000, 0x20_0000)]);
        assert_eq!(pieces(range(0x1000, 0), 0x1000).count(), 0);
    }
}
