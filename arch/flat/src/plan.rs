//! From regions to extents: checked, sorted, joined, cut to whole granules, and placed in the
//! address space.

use core::ops::Range;

use archipelago_api::{Geometry, VirtAddr, VirtRange};

use crate::region::{EMPTY, Region, RegionError};
use crate::states::States;

/// A region, or several that touch, and the whole granules in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// The memory as it was given, with the provenance of the lowest region.
    pub(crate) start: *mut u8,
    /// Granules that objects or metadata may lie in, by addresses of the memory.
    pub(crate) first: usize,
    pub(crate) bytes: usize,
    pub(crate) zeroed: bool,
    pub(crate) for_metadata: bool,
    range: VirtRange,
}

/// The plan of a machine over some regions.
#[derive(Debug)]
pub(crate) struct Plan<const N: usize> {
    /// Sorted by address; those from `len` on are empty.
    pub(crate) pieces: [Piece; N],
    pub(crate) len: usize,
    /// The number by which addresses of the space are lower than those of the memory.
    pub(crate) slide: usize,
    /// Memory for the states of the granules: in this piece, at these addresses.
    pub(crate) states: (usize, Range<usize>),
    /// Granules that were given up for the states.
    pub(crate) states_granules: usize,
}

impl Piece {
    const NONE: Self = Self {
        start: core::ptr::null_mut(),
        first: 0,
        bytes: 0,
        zeroed: false,
        for_metadata: false,
        range: EMPTY,
    };

    /// The memory of one region, not cut yet.
    fn whole(region: &Region, range: VirtRange) -> Self {
        Self {
            start: region.start,
            first: 0,
            bytes: 0,
            zeroed: region.zeroed,
            for_metadata: region.for_metadata,
            range,
        }
    }

    /// Joins a piece that begins where this one ends, if both are for metadata or both are not.
    fn join(&mut self, next: &Self) -> bool {
        // All addresses there are have no length, and stay two pieces.
        let bytes = self.range.bytes().checked_add(next.range.bytes());
        let joined = bytes.and_then(|bytes| VirtRange::new(self.range.base(), bytes));
        match joined {
            Some(range)
                if self.range.end() == Some(next.range.base())
                    && self.for_metadata == next.for_metadata =>
            {
                self.range = range;
                self.zeroed &= next.zeroed;
                true
            }
            _ => false,
        }
    }

    /// The first byte that may be used: not the null pointer's.
    fn usable_start(&self, granule: usize) -> usize {
        match self.range.base().value() {
            0 => granule,
            start => start,
        }
    }

    /// The first byte that may not be used any more. The last granule of the address space ends
    /// where no pointer can.
    fn usable_end(&self, granule: usize) -> usize {
        match self.range.end() {
            Some(end) => end.value(),
            None => 0_usize.wrapping_sub(granule),
        }
    }

    /// Cuts the piece to whole granules.
    fn cut(&mut self, granule: usize) -> Result<(), RegionError> {
        let end = self.usable_end(granule) & !(granule - 1);
        let first = self.usable_start(granule).checked_next_multiple_of(granule);
        match first {
            Some(first) if first < end => {
                self.first = first;
                self.bytes = end - first;
                Ok(())
            }
            _ => Err(self.too_small(granule)),
        }
    }

    const fn too_small(&self, page: usize) -> RegionError {
        RegionError::TooSmall {
            region: self.range,
            page,
        }
    }

    /// `bytes` bytes beside the granules, among those that the cut left over.
    fn beside(&self, bytes: usize, granule: usize) -> Option<Range<usize>> {
        let (start, end) = (self.usable_start(granule), self.first + self.bytes);
        if self.first.saturating_sub(start) >= bytes {
            Some(start..start + bytes)
        } else if self.usable_end(granule) - end >= bytes {
            Some(end..end + bytes)
        } else {
            None
        }
    }

    /// Takes `bytes` bytes from the last granules and the bytes after them. Returns the bytes, and
    /// how many granules fewer there are.
    fn give_up(
        &mut self,
        bytes: usize,
        granule: usize,
    ) -> Result<(Range<usize>, usize), RegionError> {
        let end = self.usable_end(granule).saturating_sub(bytes) & !(granule - 1);
        if end <= self.first {
            return Err(self.too_small(granule));
        }
        let given_up = (self.first + self.bytes - end) / granule;
        self.bytes = end - self.first;
        Ok((end..end + bytes, given_up))
    }
}

impl<const N: usize> Plan<N> {
    /// Plans a machine over `regions`, none of which may share an address with `statics`. Regions
    /// for objects that hold no whole granule are left out, as long as another one does.
    ///
    /// # Errors
    /// The rule that a region breaks.
    pub(crate) fn new(
        regions: &[Region],
        statics: &[VirtRange],
        geometry: &Geometry,
    ) -> Result<Self, RegionError> {
        let granule = geometry.granule_bytes();
        let mut plan = Self {
            pieces: [Piece::NONE; N],
            len: 0,
            slide: 0,
            states: (0, 0..0),
            states_granules: 0,
        };
        if regions.len() > N {
            return Err(RegionError::TooMany {
                given: regions.len(),
                most: N,
            });
        }
        check(regions, statics)?;
        for region in regions {
            plan.insert(Piece::whole(region, region.range()?));
        }
        plan.join_neighbours();
        plan.cut(granule)?;
        plan.place_states(granule)?;
        plan.slide = plan.find_slide(geometry)?;
        Ok(plan)
    }

    /// Inserts a piece in the order of addresses; there is room for it.
    fn insert(&mut self, piece: Piece) {
        let above = |other: &Piece| other.range.base().value() > piece.range.base().value();
        let held = &self.pieces[..self.len];
        let at = held.iter().position(above).unwrap_or(self.len);
        self.pieces.copy_within(at..self.len, at + 1);
        self.pieces[at] = piece;
        self.len += 1;
    }

    fn join_neighbours(&mut self) {
        let mut kept = 0;
        for index in 1..self.len {
            let next = self.pieces[index];
            if !self.pieces[kept].join(&next) {
                kept += 1;
                self.pieces[kept] = next;
            }
        }
        self.len = self.len.min(kept + 1);
    }

    /// Cuts the pieces to whole granules, and drops those for objects that hold none.
    fn cut(&mut self, granule: usize) -> Result<(), RegionError> {
        let mut answer = Err(RegionError::NoRegion);
        let mut kept = 0;
        for index in 0..self.len {
            let mut piece = self.pieces[index];
            match piece.cut(granule) {
                Ok(()) => {
                    self.pieces[kept] = piece;
                    kept += 1;
                    if !piece.for_metadata {
                        answer = Ok(());
                    }
                }
                Err(error) if piece.for_metadata => return Err(error),
                Err(error) => answer = answer.or(Err(error)),
            }
        }
        self.len = kept;
        answer
    }

    /// Finds memory for the states: in the piece for metadata, or where granules cost nothing, or
    /// at the end of the largest piece.
    fn place_states(&mut self, granule: usize) -> Result<(), RegionError> {
        let pieces = &mut self.pieces[..self.len];
        let granules: usize = pieces.iter().map(|piece| piece.bytes / granule).sum();
        let bytes = States::bytes_for(granules);
        let home = pieces.iter().position(|piece| piece.for_metadata);
        let free = pieces.iter().enumerate().find_map(|(index, piece)| {
            let allowed = home.is_none_or(|home| home == index);
            let place = piece.beside(bytes, granule).filter(|_| allowed)?;
            Some((index, place))
        });
        if let Some(free) = free {
            self.states = free;
            return Ok(());
        }
        let largest = || {
            let by_size = pieces
                .iter()
                .enumerate()
                .max_by_key(|(_, piece)| piece.bytes);
            by_size.map_or(0, |(index, _)| index)
        };
        let home = home.unwrap_or_else(largest);
        let (place, given_up) = pieces[home].give_up(bytes, granule)?;
        self.states = (home, place);
        self.states_granules = given_up;
        Ok(())
    }

    /// The number to subtract from an address of the memory to get one of the space: 0 if all of
    /// the memory lies in the space; else a multiple of half of the space, which changes no
    /// alignment.
    fn find_slide(&self, geometry: &Geometry) -> Result<usize, RegionError> {
        let (low, high) = (&self.pieces[0], &self.pieces[self.len - 1]);
        let span = high.first + high.bytes - low.first;
        let stands = VirtRange::new(VirtAddr::new(low.first), span);
        if stands.is_some_and(|range| geometry.contains(range)) {
            return Ok(0);
        }
        let most = geometry.last_offset().value();
        let offset = low.first & most >> 1;
        if offset
            .checked_add(span - 1)
            .is_some_and(|last| last <= most)
        {
            return Ok(low.first.wrapping_sub(offset).wrapping_sub(geometry.base));
        }
        Err(RegionError::TooFarApart {
            lowest: low.range,
            highest: high.range,
            address_bits: geometry.address_bits,
        })
    }
}

/// Checks every region, and every pair of them.
fn check(regions: &[Region], statics: &[VirtRange]) -> Result<(), RegionError> {
    if regions.iter().all(|region| region.for_metadata) {
        return Err(RegionError::NoRegion);
    }
    for (index, given) in regions.iter().enumerate() {
        let region = given.range()?;
        for before in &regions[..index] {
            let other = before.range()?;
            if region.overlaps(other) {
                return Err(RegionError::Overlap { region, other });
            }
            if given.for_metadata && before.for_metadata {
                return Err(RegionError::SecondForMetadata { region, other });
            }
        }
        if let Some(statics) = statics.iter().copied().find(|held| region.overlaps(*held)) {
            return Err(RegionError::HoldsStatics { region, statics });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_are_all_there_is_stay_two() {
        let half = usize::MAX / 2 + 1;
        let region = |base| Region::new(core::ptr::without_provenance_mut(base), half);
        let geometry = Geometry::small(usize::BITS, 10);
        let plan = Plan::<2>::new(&[region(half), region(0)], &[], &geometry).expect("good");
        assert_eq!(plan.len, 2);
        assert_eq!(
            plan.pieces[0].first, 1024,
            "after the null pointer's granule"
        );
        // One of them has given memory up for the states of all granules.
        let bytes = plan.pieces.iter().map(|piece| piece.bytes / 1024);
        let granules: usize = bytes.sum();
        assert_eq!(granules + plan.states_granules, usize::MAX / 1024 - 1);
    }
}
