//! The numbers that the replay kernel prints.

use std::collections::HashMap;

/// A number, or a bound that it lies above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) value: u64,
    /// The number is larger.
    pub(crate) is_bound: bool,
}

/// The figures that a kernel printed, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(HashMap<String, Figure>);

impl Figures {
    /// Reads the lines `figure NAME NUMBER` and `figure NAME >NUMBER`.
    pub(crate) fn read(lines: &[String]) -> Self {
        let figure = |line: &String| {
            let (name, number) = line.strip_prefix("figure ")?.split_once(' ')?;
            let digits = number.trim_start_matches('>');
            let figure = Figure {
                value: digits.parse().ok()?,
                is_bound: digits.len() < number.len(),
            };
            Some((name.to_owned(), figure))
        };
        Self(lines.iter().filter_map(figure).collect())
    }

    /// The number of that name, exact.
    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        self.figure(name)
            .filter(|figure| !figure.is_bound)
            .map(|figure| figure.value)
    }

    fn figure(&self, name: &str) -> Option<Figure> {
        self.0.get(name).copied()
    }

    /// The memory of the heap beyond the live bytes, at the trace's peak, in per cent of the live
    /// bytes.
    pub(crate) fn overhead(&self) -> Option<f64> {
        let frames = as_float(self.get("frames_at_peak")?);
        let frame_bytes = as_float(self.get("frame_bytes")?);
        let live = as_float(self.get("live_bytes_at_peak")?);
        (live > 0.0).then(|| (frames * frame_bytes / live - 1.0) * 100.0)
    }

    /// The bytes that the trace needs at the very least, and those that there are, if they are too
    /// few.
    pub(crate) fn lack(&self) -> Option<(u64, u64)> {
        let (needed, available) = (self.get("bytes_needed")?, self.get("bytes_available")?);
        (needed > available).then_some((needed, available))
    }

    /// An allocator's instructions, less those of reading the trace.
    pub(crate) fn all_instructions(&self, allocator: &str) -> Option<Figure> {
        let whole = self.figure(&format!("instructions_{allocator}"))?;
        let reading = self.get("instructions_reading")?;
        Some(Figure {
            value: whole.value.checked_sub(reading)?,
            ..whole
        })
    }

    /// An allocator's instructions per operation, less those of reading the trace.
    pub(crate) fn instructions(&self, allocator: &str) -> Option<Figure> {
        let all = self.all_instructions(allocator)?;
        let operations = self.get("operations").filter(|count| *count > 0)?;
        Some(Figure {
            value: all.value / operations,
            ..all
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "printed figures have three digits"
)]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(text: &str) -> Figures {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        Figures::read(&lines)
    }

    #[test]
    fn figures_are_read_among_other_lines() {
        let read = figures("1..2\nfigure operations 12\n# figure none 3\nok 1 - a\nfigure slow >9");
        assert_eq!(read.get("operations"), Some(12));
        assert_eq!(read.get("none"), None);
        assert_eq!(read.get("slow"), None, "it is only a bound");
    }

    #[test]
    fn overhead_is_what_the_frames_hold_beyond_the_live_bytes() {
        let read = figures(
            "figure frame_bytes 4096\nfigure frames_at_peak 5\nfigure live_bytes_at_peak 16384",
        );
        assert_eq!(read.overhead(), Some(25.0));
        assert_eq!(figures("").overhead(), None);
    }

    #[test]
    fn a_lack_is_more_needed_than_there_is() {
        let of = |needed, available| {
            let text = format!("figure bytes_needed {needed}\nfigure bytes_available {available}");
            figures(&text).lack()
        };
        assert_eq!(of(5, 4), Some((5, 4)));
        assert_eq!(of(4, 4), None);
        assert_eq!(figures("").lack(), None);
    }

    #[test]
    fn instructions_are_per_operation_and_without_the_reading() {
        let read = figures(
            "figure operations 10\nfigure instructions_reading 1000\n\
             figure instructions_a 4000\nfigure instructions_b >9000",
        );
        let figure = |value, is_bound| Some(Figure { value, is_bound });
        assert_eq!(read.instructions("a"), figure(300, false));
        assert_eq!(read.instructions("b"), figure(800, true));
        assert_eq!(read.instructions("c"), None);
    }
}
