//! The heap's account against the frame allocator's.

use core::fmt;

use archipelago::Stats;

use crate::machine::{FRAME_BYTES, Frames};

/// Two ways of counting the same memory that do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imbalance {
    /// Frames that the source gave and did not get back, against those that the heap knows of.
    Frames {
        /// Frames given and not given back since the heap was started.
        in_use: u64,
        /// Frames that back Ready memory.
        ready: u64,
        /// Frames that hold page tables.
        tables: u64,
        /// Frames that the machine holds.
        held: u64,
    },
    /// Ready bytes by purpose, against all of them.
    Purposes {
        /// The sum of the purposes.
        sum: usize,
        /// Bytes Ready.
        mapped_ready: usize,
    },
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames {
                in_use,
                ready,
                tables,
                held,
            } => write!(
                f,
                "the heap has {in_use} frames of the source, but knows of {ready} Ready, \
                 {tables} for page tables and {held} held"
            ),
            Self::Purposes { sum, mapped_ready } => write!(
                f,
                "the purposes add up to {sum} bytes, but {mapped_ready} are Ready"
            ),
        }
    }
}

impl core::error::Error for Imbalance {}

/// The frames that the frame allocator gave the heap, as opposed to the rest of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    kernels: u64,
}

impl Account {
    /// An account for a heap that has no frame yet: those in use now are the rest of the kernel's,
    /// which keeps them.
    #[must_use]
    pub fn open(frames: &Frames) -> Self {
        Self {
            kernels: frames.in_use(),
        }
    }

    /// Frames that the heap has.
    #[must_use]
    pub fn frames(&self, frames: &Frames) -> u64 {
        frames.in_use() - self.kernels
    }

    /// Checks the identities: frames taken less frames returned are Ready memory, page tables and
    /// held frames; the purposes add up to the Ready bytes.
    ///
    /// # Errors
    /// The identity that does not hold.
    pub fn check(&self, frames: &Frames, stats: &Stats) -> Result<(), Imbalance> {
        let ready = (stats.mapped_ready / FRAME_BYTES) as u64;
        let tables = stats.footprint.table_frames as u64;
        let held = stats.footprint.held_frames as u64;
        let in_use = self.frames(frames);
        if in_use != ready + tables + held {
            return Err(Imbalance::Frames {
                in_use,
                ready,
                tables,
                held,
            });
        }
        let (sum, mapped_ready) = (stats.sum(), stats.mapped_ready);
        if sum != mapped_ready {
            return Err(Imbalance::Purposes { sum, mapped_ready });
        }
        Ok(())
    }
}
