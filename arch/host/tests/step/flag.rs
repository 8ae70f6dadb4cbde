//! The flag of a block, found from outside: the one byte of the heap's memory that is another
//! within an allocation, and as before when it ends.

use core::cell::RefCell;
use core::ptr;
use std::fs;

use crate::trap::Next;

/// Memory of the heap as it was before a call, and what was seen to change.
#[derive(Debug)]
pub(crate) struct Watched {
    ranges: Vec<(usize, Vec<u8>)>,
    changed: RefCell<Vec<usize>>,
}

fn byte_at(address: usize) -> u8 {
    // SAFETY: the address is one of memory that was readable, and the heap gives none back in the
    // call that is watched.
    unsafe { ptr::with_exposed_provenance::<u8>(address).read_volatile() }
}

impl Watched {
    /// The memory from `start` to `end` that is readable and writable.
    pub(crate) fn between(start: usize, end: usize) -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let number = |text: &str| usize::from_str_radix(text, 16).ok();
        let range = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let (from, to) = (number(from)?.max(start), number(to)?.min(end));
            (rest.starts_with("rw") && from < to).then_some((from, to))
        };
        let ranges = maps.lines().filter_map(range);
        Self {
            ranges: ranges
                .map(|(from, to)| (from, (from..to).map(byte_at).collect()))
                .collect(),
            changed: RefCell::new(Vec::new()),
        }
    }

    fn changes(&self) -> impl Iterator<Item = usize> {
        self.ranges.iter().flat_map(|(from, bytes)| {
            let at = (*from..).zip(bytes);
            at.filter(|(at, byte)| byte_at(*at) != **byte)
                .map(|(at, _)| at)
        })
    }

    /// Looks for bytes that are another now.
    pub(crate) fn look(&self) -> Next {
        let mut changed = self.changed.borrow_mut();
        for at in self.changes() {
            if !changed.contains(&at) {
                changed.push(at);
            }
        }
        Next::Step
    }

    /// The bytes that were another meanwhile and are now as before.
    pub(crate) fn restored(&self) -> Vec<usize> {
        let last: Vec<_> = self.changes().collect();
        let mut changed = self.changed.borrow().clone();
        changed.retain(|at| !last.contains(at));
        changed
    }
}

/// Clears a byte while `work` is done.
pub(crate) fn without(address: Option<usize>, work: impl FnOnce()) {
    let Some(address) = address else {
        return work();
    };
    let flag = ptr::with_exposed_provenance_mut::<u8>(address);
    let before = byte_at(address);
    // SAFETY: the byte is a flag of the heap's, and nothing else runs.
    unsafe { flag.write_volatile(0) };
    work();
    // SAFETY: as above.
    unsafe { flag.write_volatile(before) };
}
