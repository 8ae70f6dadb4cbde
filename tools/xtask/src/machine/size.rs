//! How much memory a machine has, as one writes and reads it.

use core::fmt;
use core::str::FromStr;

/// A machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemorySize {
    kib: u64,
}

impl MemorySize {
    pub(crate) const fn from_mib(mib: u64) -> Self {
        Self { kib: mib << 10 }
    }

    /// As one reads it.
    pub(crate) fn in_words(self) -> String {
        if self.kib % 1024 == 0 {
            format!("{} MiB", self.kib / 1024)
        } else {
            format!("{} KiB", self.kib)
        }
    }
}

/// In QEMU's form.
impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}K", self.kib)
    }
}

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
        let number: u64 = digits
            .parse()
            .map_err(|error| format!("{digits:?}: {error}; a size is like 64M or 1048576"))?;
        let shift = match &text[digits.len()..].to_ascii_uppercase()[..] {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            suffix => return Err(format!("{suffix:?} is none of K, M and G")),
        };
        let bytes = number
            .checked_mul(1 << shift)
            .ok_or("more than any machine has")?;
        if bytes < 1024 || bytes % 1024 != 0 {
            return Err("QEMU takes whole KiB".to_owned());
        }
        Ok(Self { kib: bytes / 1024 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_size_has_a_suffix_or_is_in_bytes() {
        let of = |text: &str| text.parse::<MemorySize>();
        assert_eq!(of("64M"), Ok(MemorySize::from_mib(64)));
        assert_eq!(of("1g"), Ok(MemorySize::from_mib(1024)));
        assert_eq!(of("1048576"), Ok(MemorySize::from_mib(1)));
        for bad in ["", "M", "64X", "1", "-1M", "99999999999G"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
