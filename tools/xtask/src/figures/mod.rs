//! The figures of the README: those that commands measure are compared with them, or written in
//! their place.
//!
//! Instructions, code and stack are what the compiler makes of the source, so that figures of
//! another compiler than the README names are not compared. The others, bytes and frames of the
//! heap's account, are the same with any compiler.

mod collected;
mod place;
mod readme;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

pub(crate) use collected::{Figures, Number, PEAK, PEAKS_ON};

use crate::bench;
use crate::project;
use crate::setup::Install;
use crate::size;
use crate::stack;
use crate::toolchain::Toolchain;
use readme::Compared;

/// The file with the figures, from the project's root.
pub(crate) const README: &str = "README.md";

/// The parts of figures that do not depend on the compiler.
const ACCOUNT: [&str; 5] = [PEAK, "overhead", "fill", "strides", "bitmap"];

/// The options for figures in the README that are not those that were measured.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Stale {
    /// Write the measured figures into README.md where it has others.
    #[arg(long)]
    pub(crate) write: bool,
}

/// `cargo xtask figures`: measures all figures of the README.
///
/// # Errors
/// If something is missing or cannot be built.
pub(crate) fn command(stale: Stale, install: Install) -> Result<ExitCode> {
    let mut all = Figures::default();
    let (toolchain, figures) = size::measure_all(install)?;
    all.extend(figures);
    all.extend(stack::measure_all(install)?);
    all.extend(bench::measure_all(install)?);
    let complete = |_: &str| true;
    Judgement::of(&toolchain, &all, complete)?.conclude("figures", stale)
}

/// The README's figures beside those that were measured.
#[derive(Debug)]
pub(crate) struct Judgement {
    readme: String,
    all: Vec<Compared>,
    /// Whether the compiler is the one that the README's figures are for.
    is_same_compiler: bool,
    compilers: [String; 2],
}

impl Judgement {
    /// Compares figures with those of the README. All figures of the parts that `is_complete` names
    /// have to be among them.
    ///
    /// # Errors
    /// If the README does not have the tables that it should, or a figure of such a part is
    /// missing.
    pub(crate) fn of(
        toolchain: &Toolchain,
        figures: &Figures,
        is_complete: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let file = project::root().join(README);
        let readme = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Self::of_text(readme, &toolchain.version, figures, is_complete)
    }

    fn of_text(
        readme: String,
        compiler: &str,
        figures: &Figures,
        is_complete: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let written = readme::compiler_of(&readme)?;
        let all = readme::compare(&readme, figures, compiler)?;
        for one in all.iter().filter(|one| !one.is_measured()) {
            if one.part.as_deref().is_some_and(&is_complete) {
                bail!("README.md, {}: no such figure was measured", one.name());
            }
        }
        Ok(Self {
            readme,
            all,
            is_same_compiler: written == compiler,
            compilers: [written, compiler.to_owned()],
        })
    }

    /// The figures that can be compared.
    fn compared(&self) -> impl Iterator<Item = &Compared> {
        self.all.iter().filter(|one| {
            let depends = |part: &str| !ACCOUNT.contains(&part);
            let is_figure = one.part.as_deref().map(depends);
            let can_be = is_figure.is_some_and(|depends| self.is_same_compiler || !depends);
            can_be && one.is_measured()
        })
    }

    /// How many figures the README has right, and what is wrong with the others.
    pub(crate) fn verdict(&self) -> (usize, Vec<String>) {
        let (stale, right): (Vec<_>, Vec<_>) = self.compared().partition(|one| one.is_stale());
        (
            right.len(),
            stale.into_iter().map(Compared::fault).collect(),
        )
    }

    /// A line that says which figures are not compared, if some are not.
    pub(crate) fn reservation(&self) -> Option<String> {
        let [written, own] = &self.compilers;
        (!self.is_same_compiler).then(|| {
            format!(
                "README.md has figures of {written}, and this is {own}: instructions, code and stack \
                 are not compared"
            )
        })
    }

    /// Prints the figures that the README has wrong, or writes them into it. The exit code says
    /// whether it has the measured ones at the end.
    ///
    /// # Errors
    /// If the README cannot be written. If another compiler's figures would stand beside those of
    /// the README's: only all of them can be replaced.
    pub(crate) fn conclude(&self, command: &str, stale: Stale) -> Result<ExitCode> {
        if let Some(line) = self.reservation() {
            println!("{line}");
        }
        let (right, faults) = self.verdict();
        if stale.write {
            let text = self.rewritten(command)?;
            let file = project::root().join(README);
            fs::write(&file, text).with_context(|| file.display().to_string())?;
        } else {
            faults.iter().for_each(|fault| println!("{fault}"));
        }
        let count = faults.len();
        match (faults.is_empty(), stale.write) {
            (true, _) => println!("README.md: {right} figures as measured"),
            (false, true) => println!("README.md: {count} figures written"),
            (false, false) => println!(
                "README.md: {count} figures are others than measured; `cargo xtask {command} --write` \
                 writes them"
            ),
        }
        Ok(if faults.is_empty() || stale.write {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// The README with the measured figures.
    fn rewritten(&self, command: &str) -> Result<String> {
        let is_all = self.all.iter().all(Compared::is_measured);
        let [written, own] = &self.compilers;
        if !self.is_same_compiler && !is_all {
            bail!(
                "README.md has figures of {written}, and this is {own}: `cargo xtask figures \
                 --write` writes all of them, `cargo xtask {command} --write` some"
            );
        }
        let stale = self.all.iter().filter(|one| one.is_stale());
        Ok(readme::rewritten(&self.readme, &stale.collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIDE: &str = "figure strides 32@8 talc 7654321";
    const SIZE: &str = "figure size talc thumbv7m-none-eabi 7654321";

    fn judgement(compiler: Option<&str>, lines: &[&str]) -> Judgement {
        let readme = fs::read_to_string(project::root().join(README)).expect("the README");
        let mut figures = Figures::default();
        lines
            .iter()
            .for_each(|line| assert!(figures.read(line), "{line}"));
        let own = readme::compiler_of(&readme).expect("a compiler");
        let compiler = compiler.unwrap_or(&own);
        Judgement::of_text(readme, compiler, &figures, |_| false).expect("all tables")
    }

    #[test]
    fn code_is_compared_with_the_same_compiler_alone() {
        let faults = |compiler| judgement(compiler, &[STRIDE, SIZE]).verdict().1;
        assert_eq!(faults(None).len(), 2);
        let others = faults(Some("rustc 1.0.0"));
        assert_eq!(others.len(), 1, "{others:?}");
        assert!(others[0].contains("Memory, an object of 32 bytes occupies, talc"));
        assert!(judgement(None, &[]).reservation().is_none());
        assert!(judgement(Some("rustc 1.0.0"), &[]).reservation().is_some());
    }

    #[test]
    fn figures_of_two_compilers_are_never_mixed() {
        assert!(judgement(None, &[SIZE]).rewritten("size").is_ok());
        assert!(
            judgement(Some("rustc 1.0.0"), &[SIZE])
                .rewritten("size")
                .is_err()
        );
    }

    #[test]
    fn a_figure_that_a_part_lacks_is_an_error() {
        let readme = fs::read_to_string(project::root().join(README)).expect("the README");
        let judge = |part: &'static str| {
            let none = Figures::default();
            Judgement::of_text(readme.clone(), "", &none, move |one| one == part)
        };
        assert!(judge("size").is_err() && judge("stack").is_err());
        assert!(judge("no such part").is_ok());
    }
}
