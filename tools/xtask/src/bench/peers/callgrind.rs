//! Files of callgrind: instructions, those of copying and clearing memory apart.

use anyhow::{Context, Result, bail};

/// Instructions of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Instructions {
    /// Instructions outside of the functions below.
    pub(super) own: u64,
    /// Instructions of `memset`, `memcpy` and `memmove`, of whatever library.
    pub(super) memory: u64,
}

/// The names of these functions, without underscores before them. What follows is the variant for a
/// processor.
const MEMORY: [&str; 4] = ["memset", "memcpy", "memmove", "mempcpy"];

impl Instructions {
    /// Reads the text of a file of callgrind's.
    ///
    /// # Errors
    /// The text is no such file, or its parts are not its sum.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut all = Self::default();
        let mut is_memory = false;
        let mut lines = text.lines();
        let mut sum = None;
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("fn=") {
                let name = name.trim_start_matches('_');
                is_memory = MEMORY.iter().any(|memory| name.starts_with(memory));
            } else if line.starts_with("calls=") {
                // The next line has the instructions of what is called.
                lines.next();
            } else if let Some(total) = line.strip_prefix("summary: ") {
                sum = Some(total.trim().parse::<u64>().context("the sum is a number")?);
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let count = line.split(' ').nth(1).context("a line has a count")?;
                let count: u64 = count
                    .parse()
                    .with_context(|| format!("a count in `{line}`"))?;
                if is_memory {
                    all.memory += count;
                } else {
                    all.own += count;
                }
            }
        }
        match sum {
            Some(sum) if sum == all.own + all.memory => Ok(all),
            Some(sum) => bail!("the functions have {all:?}, and all together {sum}"),
            None => bail!("callgrind wrote no sum"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# callgrind format\nversion: 1\nevents: Ir\nsummary: 175\n\n\
        ob=/a/program\nfl=???\nfn=archipelago_measured\n0 100\ncfn=__memset_avx2\n\
        calls=3 0 \n0 55\nfi=/other.rs\n12 20\n\nfn=__memset_avx2\n0 55\n\ntotals: 175\n";

    #[test]
    fn functions_that_clear_memory_are_apart_and_calls_count_once() {
        let read = Instructions::read(FILE).expect("a file");
        assert_eq!(
            read,
            Instructions {
                own: 120,
                memory: 55
            }
        );
    }

    #[test]
    fn a_file_that_does_not_add_up_is_refused() {
        let planted = FILE.replace("12 20", "12 21");
        let error = Instructions::read(&planted).expect_err("one more");
        assert!(error.to_string().contains("all together 175"), "{error}");
        assert!(Instructions::read("events: Ir\n").is_err());
    }
}
