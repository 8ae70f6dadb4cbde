//! The README's tables beside their template: which figure is in which place, and whether it is the
//! measured one.
//!
//! The template is a copy of the tables with a place for each figure, in blocks: a heading, then
//! the adjacent lines that the README has to contain, as they are but for the figures.

use core::ops::Range;

use anyhow::{Context, Result, bail, ensure};

use super::collected::Figures;
use super::place::Place;

/// The tables with places for their figures.
const TEMPLATE: &str = include_str!("tables.txt");

/// The place for the compiler's version.
const COMPILER: &str = "compiler";

/// A figure of the README beside the measured one.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    /// The table, the row and the column that the figure is in.
    name: String,
    /// The part of the figures that it belongs to; `None` for the compiler's version.
    pub(super) part: Option<String>,
    /// Where it is in the README.
    at: Range<usize>,
    written: String,
    /// The figure that was measured, if one was.
    measured: Option<String>,
}

impl Compared {
    pub(super) const fn is_measured(&self) -> bool {
        self.measured.is_some()
    }

    /// Whether another figure was measured than the README has.
    pub(super) fn is_stale(&self) -> bool {
        let measured = self.measured.as_ref();
        measured.is_some_and(|measured| *measured != self.written)
    }

    /// A line about a stale figure.
    pub(super) fn fault(&self) -> String {
        let (name, written) = (&self.name, &self.written);
        let measured = self.measured.as_deref().unwrap_or("not measured");
        format!("README.md, {name}: {written}; measured: {measured}")
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// All figures of the README, each beside the measured one.
///
/// # Errors
/// If the README does not have the lines of the template.
pub(super) fn compare(readme: &str, figures: &Figures, compiler: &str) -> Result<Vec<Compared>> {
    let lines = lines_of(readme);
    let mut all = Vec::new();
    for block in TEMPLATE.split("\n\n") {
        let mut block = block.lines();
        let title = block.next().unwrap_or_default().trim_start_matches("# ");
        let block: Vec<_> = block.map(Pattern::read).collect::<Result<_>>()?;
        let (first, rest) = block.split_first().context("a block without lines")?;
        let found = lines
            .iter()
            .position(|(_, line)| first.find(line).is_some());
        let Some(start) = found else {
            bail!("README.md, {title}: no line is {}", first.text);
        };
        let head = (!rest.is_empty()).then_some(first);
        for (index, pattern) in block.iter().enumerate() {
            let (offset, line) = lines.get(start + index).copied().unwrap_or_default();
            let Some(places) = pattern.find(line) else {
                bail!(
                    "README.md, {title}: the template in tools/xtask/src/figures/tables.txt has a \
                     line {}; found: {line}",
                    pattern.text
                );
            };
            for (number, at) in places.into_iter().enumerate() {
                let written = line[at.clone()].to_owned();
                let place = pattern.places[number].as_ref();
                let measured = match place {
                    None => Some(compiler.to_owned()),
                    Some(place) => place.measured(figures),
                };
                let at = offset + at.start..offset + at.end;
                all.push(Compared {
                    name: pattern.name_of(title, head, number),
                    part: place.map(|place| place.part.clone()),
                    at,
                    written,
                    measured,
                });
            }
        }
    }
    Ok(all)
}

/// The compiler that the README's figures are for.
///
/// # Errors
/// As [`compare`].
pub(super) fn compiler_of(readme: &str) -> Result<String> {
    let all = compare(readme, &Figures::default(), "")?;
    let compiler = all.into_iter().find(|one| one.part.is_none());
    let compiler = compiler.context("the template has no place for the compiler")?;
    Ok(compiler.written)
}

/// The README with the measured figures in the place of those in `stale`.
pub(super) fn rewritten(readme: &str, stale: &[&Compared]) -> String {
    let mut text = readme.to_owned();
    let mut stale = stale.to_vec();
    // From the end, so that the places before stay where they are.
    stale.sort_by_key(|one| core::cmp::Reverse(one.at.start));
    for one in stale {
        if let Some(measured) = &one.measured {
            text.replace_range(one.at.clone(), measured);
        }
    }
    text
}

/// The lines of a text, each with its offset.
fn lines_of(text: &str) -> Vec<(usize, &str)> {
    let mut offset = 0;
    let lines = text.split('\n').map(|line| {
        let start = offset;
        offset += line.len() + 1;
        (start, line)
    });
    lines.collect()
}

/// A line of the template: its text between the places is that of the README.
struct Pattern {
    text: &'static str,
    /// The text before each place, and after the last.
    between: Vec<&'static str>,
    /// The places; `None` is that of the compiler's version.
    places: Vec<Option<Place>>,
}

impl Pattern {
    fn read(text: &'static str) -> Result<Self> {
        let mut between = Vec::new();
        let mut places = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after
                .split_once('}')
                .with_context(|| format!("a place without an end in {text}"))?;
            between.push(before);
            let read = || Place::read(place).with_context(|| text.to_owned());
            places.push((place != COMPILER).then(read).transpose()?);
            ensure!(!after.starts_with('{'), "two places without a word between");
            rest = after;
        }
        between.push(rest);
        Ok(Self {
            text,
            between,
            places,
        })
    }

    /// The places in a line; `None` if another text is between them.
    fn find(&self, line: &str) -> Option<Vec<Range<usize>>> {
        let mut places = Vec::new();
        let (first, rest) = self.between.split_first()?;
        let mut end = line.starts_with(first).then_some(first.len())?;
        for (index, text) in rest.iter().enumerate() {
            let start = end;
            let is_last = index + 1 == rest.len();
            let length = if is_last {
                line[start..].strip_suffix(text)?.len()
            } else {
                line[start..].find(text)?
            };
            places.push(start..start + length);
            end = start + length + text.len();
        }
        (end == line.len()).then_some(places)
    }

    /// The name of a figure: the table's title, the first cell of its row, and the head of its
    /// column.
    fn name_of(&self, title: &str, head: Option<&Self>, place: usize) -> String {
        let cell = |text: &str, column| text.split('|').nth(column).unwrap_or("").trim().to_owned();
        let Some(head) = head else {
            return title.to_owned();
        };
        let before = self.between[..=place].iter();
        let column: usize = before.map(|text| text.matches('|').count()).sum();
        let row = cell(self.between[0], 1);
        let column = cell(head.text, column);
        [title, &row, &column]
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::README;
    use crate::project;

    fn readme() -> String {
        std::fs::read_to_string(project::root().join(README)).expect("the README")
    }

    /// The figures that the README has, as if they were the measured ones, with another one in the
    /// place of that of 'firmware on thumbv7m'.
    fn compared(readme: &str, bytes: &str) -> Vec<Compared> {
        let mut figures = Figures::default();
        let line = format!("figure size archipelago_firmware thumbv7m-none-eabi {bytes}");
        assert!(figures.read(&line));
        compare(readme, &figures, "rustc 1").expect("the template's tables")
    }

    fn firmware(all: &[Compared]) -> &Compared {
        let mut stale = all
            .iter()
            .filter(|one| one.part.is_some() && one.is_measured());
        stale.next().expect("it was measured")
    }

    #[test]
    fn every_table_of_the_template_is_in_the_readme() {
        let all = compare(&readme(), &Figures::default(), "").expect("all tables");
        assert!(all.len() > 150, "{}", all.len());
        for one in &all {
            let is_figure = one.written.contains(|digit: char| digit.is_ascii_digit());
            assert!(is_figure, "{one:?}");
        }
    }

    #[test]
    fn a_stale_figure_is_found_named_and_rewritten() {
        let readme = readme();
        let all = compared(&readme, "7654321");
        let stale = firmware(&all);
        assert!(stale.is_stale());
        let fault = stale.fault();
        for words in ["README.md, Code, firmware heap", "thumbv7m", "7,654,321"] {
            assert!(fault.contains(words), "{fault}");
        }
        let written = rewritten(&readme, &[stale]);
        assert!(written.contains("7,654,321") && !readme.contains("7,654,321"));
        assert!(!firmware(&compared(&written, "7654321")).is_stale());
        assert!(firmware(&compared(&written, "7654322")).is_stale());
    }

    #[test]
    fn a_figure_that_is_not_measured_is_not_stale() {
        let readme = readme();
        let stale = compared(&readme, "1")
            .iter()
            .filter(|one| one.is_stale())
            .count();
        // The one figure, and the compiler.
        assert_eq!(stale, 2);
    }

    #[test]
    fn a_row_that_the_readme_has_not_is_an_error() {
        let readme = readme().replace("| rlsf |", "| rlsv |");
        let error = compare(&readme, &Figures::default(), "").expect_err("a row is missing");
        assert!(error.to_string().contains("rlsf"), "{error}");
    }

    #[test]
    fn the_compiler_is_read() {
        let compiler = compiler_of(&readme()).expect("the template's tables");
        assert!(compiler.starts_with("rustc 1."), "{compiler}");
    }
}
