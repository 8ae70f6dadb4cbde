//! The boot loader's information, in one form for all machines: memory, a module, a command line.

use core::fmt;

use crate::block::Block;
use crate::memory::{MemoryKind, MemoryRegion, Module, PhysRange};

/// The most entries of a memory map that are taken; QEMU's machines have fewer than ten.
pub(crate) const REGIONS_MAX: usize = 32;

/// Why a memory map cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootInfoError {
    /// Regions it has, or more.
    pub found: usize,
}

impl fmt::Display for BootInfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found;
        write!(
            f,
            "{found} regions of memory, but {REGIONS_MAX} at most are taken"
        )
    }
}

impl core::error::Error for BootInfoError {}

/// The boot loader's information.
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    regions: [MemoryRegion; REGIONS_MAX],
    region_count: usize,
    cpus: Option<usize>,
    module: Option<Module>,
    command_line: &'static str,
}

impl BootInfo {
    /// A machine with these regions of memory, in the firmware's order; no module, and an empty
    /// command line.
    ///
    /// # Errors
    /// There are more regions than are kept.
    pub fn new(regions: impl IntoIterator<Item = MemoryRegion>) -> Result<Self, BootInfoError> {
        const NONE: MemoryRegion = MemoryRegion {
            range: PhysRange::EMPTY,
            kind: MemoryKind::Other(0),
        };
        let mut info = Self {
            regions: [NONE; REGIONS_MAX],
            region_count: 0,
            cpus: None,
            module: None,
            command_line: "",
        };
        for region in regions {
            let found = info.region_count + 1;
            let room = info.regions.get_mut(info.region_count);
            *room.ok_or(BootInfoError { found })? = region;
            info.region_count = found;
        }
        Ok(info)
    }

    /// Adds the number of CPUs.
    #[must_use]
    pub fn with_cpus(self, count: usize) -> Self {
        Self {
            cpus: Some(count),
            ..self
        }
    }

    /// Adds a command line.
    #[must_use]
    pub fn with_command_line(self, command_line: &'static str) -> Self {
        Self {
            command_line,
            ..self
        }
    }

    /// Adds a module.
    #[must_use]
    pub fn with_module(self, module: Option<Module>) -> Self {
        Self { module, ..self }
    }

    /// Adds the command line and the module of a boot block, if there is one.
    #[must_use]
    pub fn with_block(self, block: Option<Block>) -> Self {
        match block {
            Some(block) => self
                .with_command_line(block.command_line)
                .with_module(block.module),
            None => self,
        }
    }

    /// The machine's memory map, in the firmware's order.
    pub fn memory_map(&self) -> impl Iterator<Item = MemoryRegion> + use<> {
        self.regions.into_iter().take(self.region_count)
    }

    /// How many CPUs there are, where the firmware says it.
    #[must_use]
    pub fn cpus(&self) -> Option<usize> {
        self.cpus
    }

    /// The file that was loaded beside the kernel.
    #[must_use]
    pub fn module(&self) -> Option<Module> {
        self.module
    }

    /// The kernel's command line, empty where there is none.
    #[must_use]
    pub fn command_line(&self) -> &'static str {
        self.command_line
    }

    /// Whether a word is on the command line.
    #[must_use]
    pub fn has_word(&self, word: &str) -> bool {
        let mut words = self.command_line.split_ascii_whitespace();
        words.any(|found| found == word)
    }

    /// The text after `name=` on the command line.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'static str> {
        let words = self.command_line.split_ascii_whitespace();
        let mut pairs = words.filter_map(|word| word.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}
