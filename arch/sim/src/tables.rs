//! A model of the page tables: which exist, and for how many granules.

use alloc::collections::BTreeMap;
use core::ops::Range;

/// The page tables that the machine made for the heap. A table exists while a granule that it
/// serves is Prepared or Ready.
#[derive(Debug)]
pub(crate) struct Tables {
    /// log2 of the granules that a table covers, from the last level up.
    shifts: Vec<u32>,
    /// Level and number of a table → the granules it serves, never 0.
    served: BTreeMap<(usize, usize), usize>,
}

impl Tables {
    /// No tables yet. `shifts` holds log2 of the bytes that a table covers, from the last level up.
    pub(crate) fn new(shifts: &[u32], granule_shift: u32) -> Self {
        Self {
            shifts: shifts.iter().map(|shift| shift - granule_shift).collect(),
            served: BTreeMap::new(),
        }
    }

    /// The tables that serve `run`, each with the number of granules of `run` that it serves.
    fn serving(&self, run: Range<usize>) -> impl Iterator<Item = ((usize, usize), usize)> + use<> {
        let shifts = self.shifts.clone();
        shifts
            .into_iter()
            .enumerate()
            .flat_map(move |(level, shift)| {
                let run = run.clone();
                let numbers = run.start >> shift..=(run.end - 1) >> shift;
                numbers.map(move |number| {
                    let first = run.start.max(number << shift);
                    let end = run.end.min((number + 1) << shift);
                    ((level, number), end - first)
                })
            })
    }

    /// The number of tables to make before `run`, which is not empty, can be Prepared.
    pub(crate) fn missing(&self, run: Range<usize>) -> usize {
        self.serving(run)
            .filter(|(table, _)| !self.served.contains_key(table))
            .count()
    }

    /// The granules of `run`, which is not empty, become Prepared.
    pub(crate) fn add(&mut self, run: Range<usize>) {
        for (table, granules) in self.serving(run) {
            *self.served.entry(table).or_insert(0) += granules;
        }
    }

    /// The granules of `run`, which is not empty, are no longer Prepared or Ready. Returns how many
    /// tables were freed.
    pub(crate) fn remove(&mut self, run: Range<usize>) -> usize {
        let before = self.served.len();
        for (table, granules) in self.serving(run) {
            if let Some(served) = self.served.get_mut(&table) {
                *served -= granules;
                if *served == 0 {
                    self.served.remove(&table);
                }
            }
        }
        before - self.served.len()
    }

    /// The number of tables.
    pub(crate) fn count(&self) -> usize {
        self.served.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of 8 and 32 granules.
    fn tables() -> Tables {
        Tables::new(&[15, 17], 12)
    }

    #[test]
    fn a_table_lives_as_long_as_a_granule_needs_it() {
        let mut tables = tables();
        assert_eq!(tables.missing(4..12), 3);
        tables.add(4..12);
        assert_eq!(tables.missing(0..16), 0);
        tables.add(12..16);
        assert_eq!(tables.remove(4..12), 1);
        assert_eq!(tables.missing(0..8), 1);
        assert_eq!(tables.remove(12..16), 2);
        assert_eq!(tables.count(), 0);
    }

    #[test]
    fn a_run_over_several_upper_tables_needs_each() {
        let mut tables = tables();
        assert_eq!(tables.missing(0..96), 12 + 3);
        tables.add(31..33);
        assert_eq!(tables.count(), 4);
        assert_eq!(tables.missing(0..96), 15 - 4);
    }

    #[test]
    fn a_machine_without_mmu_has_none() {
        let mut tables = Tables::new(&[], 10);
        assert_eq!(tables.missing(0..1000), 0);
        tables.add(0..1000);
        assert_eq!(tables.remove(0..1000), 0);
    }
}
