//! The choices that there are, for a command line that names none of them.

use core::fmt::Write;

use clap::error::ErrorKind;
use clap::{Command, Error};

use crate::machine;

/// The commands, or the parts of a command, one of which should have been in the place of a word
/// that clap does not know; `None` if the error is another.
pub(crate) fn of(error: &Error, cli: &Command, words: &[String]) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let mut command = cli;
    // The options of all commands stand anywhere among the words.
    for word in words.iter().filter(|word| !word.starts_with('-')) {
        match command.find_subcommand(word) {
            Some(found) => command = found,
            None => break,
        }
    }
    let mut text = String::from("\nThere are:\n");
    for choice in command.get_subcommands() {
        let about = choice.get_about().map(ToString::to_string);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {:<11} {}",
            choice.get_name(),
            about.unwrap_or_default()
        );
    }
    if command.find_subcommand("qemu").is_some() {
        let _ = writeln!(text, "Machines of qemu: {}", machine::names().join(", "));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::{BAD_INPUT, Cli};

    /// Refuses a command line, and returns what there is instead.
    fn refused(line: &str) -> (Error, String) {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let error = Cli::try_parse_from(&words).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(BAD_INPUT), "{line}");
        let mut text = error.to_string();
        text.extend(of(&error, &Cli::command(), &words[1..]));
        (error, text)
    }

    /// Checks that the message names every one of `all`.
    fn names_all(line: &str, all: &[&str]) {
        let (_, text) = refused(line);
        for name in all {
            assert!(text.contains(name), "{line} does not name {name}:\n{text}");
        }
    }

    #[test]
    fn a_part_of_the_test_that_is_none_is_refused_with_the_parts_and_machines() {
        let stages = [
            "lint",
            "host",
            "docs",
            "word-size",
            "build",
            "packages",
            "listing",
            "qemu",
        ];
        for line in [
            "xtask test NONSENSE",
            "xtask --no-install test NONSENSE",
            "xtask test --no-install NONSENSE",
        ] {
            names_all(line, &stages);
            names_all(line, &machine::names());
        }
    }

    #[test]
    fn a_command_that_is_none_is_refused_with_the_commands() {
        names_all(
            "xtask NONSENSE",
            &["run", "test", "bench", "size", "stack", "figures"],
        );
    }

    #[test]
    fn machines_parts_and_targets_that_are_none_are_refused_with_those_there_are() {
        for line in [
            "xtask test qemu NONSENSE",
            "xtask bench --machine NONSENSE",
            "xtask run --machine NONSENSE",
            "xtask replay FILE --machine NONSENSE",
        ] {
            names_all(line, &machine::names());
        }
        names_all("xtask run --machine NONSENSE", &["all"]);
        names_all("xtask bench NONSENSE", &["metadata", "traces", "machines"]);
        let targets = [
            "thumbv7m-none-eabi",
            "armv7a-none-eabi",
            "mipsel-unknown-none",
        ];
        names_all("xtask size NONSENSE", &targets);
        names_all("xtask run --memory NONSENSE", &["NONSENSE", "64M"]);
    }

    #[test]
    fn another_error_has_no_choices() {
        let (error, _) = refused("xtask stack --nonsense");
        assert!(of(&error, &Cli::command(), &[]).is_none());
    }
}
