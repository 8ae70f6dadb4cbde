//! The bounds of this project's heaps.

use super::image::Image;
use super::{FIRMWARE, Subject, WHOLE};

/// Bytes of code and constants of the whole heap at most.
const WHOLE_BYTES: u64 = 15_360;
/// Bytes of code and constants of the firmware heap at most.
const FIRMWARE_BYTES: u64 = 4 << 10;
/// Bytes of code and constants that the firmware heap should have.
const FIRMWARE_AIM: u64 = 2560;
/// Bytes of the firmware heap's control block at most.
const CONTROL_BLOCK: u64 = 512;

/// Bytes of code and constants at most, of a heap that has such a bound.
pub(super) fn most_of(subject: Subject) -> Option<u64> {
    match subject {
        WHOLE => Some(WHOLE_BYTES),
        FIRMWARE => Some(FIRMWARE_BYTES),
        _ => None,
    }
}

/// A line for each bound of `subject`, which begins with `kept` or `broken`.
pub(super) fn judge(subject: Subject, image: &Image) -> Vec<String> {
    let name = format!("{} {}", subject.heap, subject.profile);
    let at_most = |what: &str, value: u64, most: u64| {
        let verdict = if value <= most { "kept" } else { "broken" };
        format!("{verdict}: {name}: {what}: {value} of at most {most} bytes")
    };
    if subject == WHOLE {
        return vec![at_most("code and constants", image.bytes, WHOLE_BYTES)];
    }
    if subject != FIRMWARE {
        return Vec::new();
    }
    let mut lines = vec![
        at_most("code and constants", image.bytes, FIRMWARE_BYTES),
        at_most("control block", image.statics, CONTROL_BLOCK),
    ];
    if image.bytes > FIRMWARE_AIM {
        lines.push(format!(
            "missed: {name}: {FIRMWARE_AIM} bytes are aimed for"
        ));
    }
    let panics = image.panics();
    lines.push(if panics.is_empty() {
        format!("kept: {name}: no panic is linked")
    } else {
        format!("broken: {name}: panics are linked: {}", panics.join(", "))
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::super::image::Symbol;
    use super::*;
    use crate::size::SUBJECTS;

    fn broken(subject: Subject, image: &Image) -> usize {
        let lines = judge(subject, image);
        lines
            .iter()
            .filter(|line| line.starts_with("broken"))
            .count()
    }

    #[test]
    fn one_byte_too_many_breaks_a_bound() {
        let most = Image {
            bytes: FIRMWARE_BYTES,
            statics: CONTROL_BLOCK,
            symbols: Vec::new(),
        };
        assert_eq!(broken(FIRMWARE, &most), 0);
        let more = Image {
            bytes: FIRMWARE_BYTES + 1,
            statics: CONTROL_BLOCK + 1,
            symbols: Vec::new(),
        };
        assert_eq!(broken(FIRMWARE, &more), 2);
        let whole = |bytes| Image {
            bytes,
            ..Image::default()
        };
        assert_eq!(broken(WHOLE, &whole(WHOLE_BYTES)), 0);
        assert_eq!(broken(WHOLE, &whole(WHOLE_BYTES + 1)), 1);
    }

    #[test]
    fn a_panic_breaks_a_bound_of_the_firmware_heap_alone() {
        let image = Image {
            symbols: vec![Symbol::new("_RNvNtCs1_4core9panicking5panic")],
            ..Image::default()
        };
        let breaking: Vec<_> = SUBJECTS
            .into_iter()
            .filter(|subject| broken(*subject, &image) > 0)
            .collect();
        assert_eq!(breaking, [FIRMWARE]);
    }
}
