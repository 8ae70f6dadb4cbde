//! The memory state of every granule.

use alloc::collections::BTreeMap;
use core::ops::Range;

/// The memory state of a granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The granule is not the heap's.
    None,
    /// The granule is the heap's, without page tables or frame.
    Reserved,
    /// The granule has page tables, and no frame.
    Prepared,
    /// A frame is mapped.
    Ready,
}

impl State {
    /// Whether page tables serve a granule in this state.
    pub(crate) fn has_tables(self) -> bool {
        matches!(self, Self::Prepared | Self::Ready)
    }
}

/// The states of all granules as maximal runs, so that the cost of a window depends on the runs in
/// it and not on its size. Granules are numbered from offset 0 of the space; those in no run are in
/// state None.
#[derive(Debug, Default)]
pub(crate) struct StateMap {
    /// First granule of a run → the granule after its last one, and its state, which is never None.
    runs: BTreeMap<usize, (usize, State)>,
}

impl StateMap {
    /// The state of one granule.
    pub(crate) fn at(&self, granule: usize) -> State {
        match self.runs.range(..=granule).next_back() {
            Some((_, &(end, state))) if granule < end => state,
            _ => State::None,
        }
    }

    /// The runs that make up `within`, in order and without gaps.
    pub(crate) fn runs(&self, within: Range<usize>) -> Vec<(Range<usize>, State)> {
        let mut found = Vec::new();
        let mut at = within.start;
        while at < within.end {
            let state = self.at(at);
            let end = match self.runs.range(..=at).next_back() {
                Some((_, &(end, _))) if at < end => end,
                _ => self
                    .runs
                    .range(at..)
                    .next()
                    .map_or(within.end, |(&first, _)| first),
            };
            let end = end.min(within.end);
            found.push((at..end, state));
            at = end;
        }
        found
    }

    /// The first granule of `within` whose state is not among `allowed`.
    pub(crate) fn find_other(
        &self,
        within: Range<usize>,
        allowed: &[State],
    ) -> Option<(usize, State)> {
        self.runs(within)
            .into_iter()
            .find(|(_, state)| !allowed.contains(state))
            .map(|(run, state)| (run.start, state))
    }

    /// Whether a granule of `within` is in `state`.
    pub(crate) fn any(&self, within: Range<usize>, state: State) -> bool {
        self.runs(within).iter().any(|&(_, found)| found == state)
    }

    /// Puts all granules of `within` into `state`.
    pub(crate) fn set(&mut self, within: Range<usize>, state: State) {
        if within.is_empty() {
            return;
        }
        self.cut(within.start);
        self.cut(within.end);
        let inside: Vec<usize> = self
            .runs
            .range(within.clone())
            .map(|(&first, _)| first)
            .collect();
        for first in inside {
            self.runs.remove(&first);
        }
        if state == State::None {
            return;
        }
        let mut run = within;
        if let Some((&first, &(end, below))) = self.runs.range(..run.start).next_back() {
            if end == run.start && below == state {
                self.runs.remove(&first);
                run.start = first;
            }
        }
        if let Some(&(end, above)) = self.runs.get(&run.end) {
            if above == state {
                self.runs.remove(&run.end);
                run.end = end;
            }
        }
        self.runs.insert(run.start, (run.end, state));
    }

    /// Makes `granule` the start of a run if it lies inside one.
    fn cut(&mut self, granule: usize) {
        let Some((&first, &(end, state))) = self.runs.range(..granule).next_back() else {
            return;
        };
        if granule < end {
            self.runs.insert(first, (granule, state));
            self.runs.insert(granule, (end, state));
        }
    }

    /// All runs that are not in state None, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Range<usize>, State)> {
        self.runs
            .iter()
            .map(|(&first, &(end, state))| (first..end, state))
    }

    /// The number of granules in `state`, which is not None.
    pub(crate) fn count(&self, state: State) -> usize {
        self.all()
            .filter(|&(_, found)| found == state)
            .map(|(run, _)| run.len())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{None, Prepared, Ready, Reserved};

    #[test]
    fn runs_of_one_state_join_and_runs_of_another_are_cut() {
        let mut map = StateMap::default();
        map.set(10..20, Reserved);
        map.set(20..30, Reserved);
        assert_eq!(map.all().collect::<Vec<_>>(), [(10..30, Reserved)]);
        map.set(15..25, Prepared);
        map.set(18..20, Ready);
        assert_eq!(
            map.runs(5..35),
            [
                (5..10, None),
                (10..15, Reserved),
                (15..18, Prepared),
                (18..20, Ready),
                (20..25, Prepared),
                (25..30, Reserved),
                (30..35, None),
            ]
        );
        map.set(15..25, Reserved);
        assert_eq!(map.all().collect::<Vec<_>>(), [(10..30, Reserved)]);
        assert_eq!(map.count(Reserved), 20);
        map.set(0..40, None);
        assert_eq!(map.all().count(), 0);
    }

    #[test]
    fn it_agrees_with_an_array_of_states() {
        let mut map = StateMap::default();
        let mut model = [None; 64];
        let mut seed = 1_u32;
        let mut random = move |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from((seed >> 16) % below).expect("fits")
        };
        let rounds = if cfg!(miri) { 50 } else { 2000 };
        for _ in 0..rounds {
            let (a, b) = (random(65), random(65));
            let within = a.min(b)..a.max(b);
            let state = [None, Reserved, Prepared, Ready][random(4)];
            map.set(within.clone(), state);
            model[within].fill(state);
            for (granule, &state) in model.iter().enumerate() {
                assert_eq!(map.at(granule), state);
            }
            let runs: Vec<_> = map.all().collect();
            for pair in runs.windows(2) {
                let joined = pair[0].0.end == pair[1].0.start && pair[0].1 == pair[1].1;
                assert!(!joined, "two runs that should be one: {pair:?}");
            }
        }
    }
}
