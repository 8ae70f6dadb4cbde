//! Files: each begins with a summary, and is short enough to be one idea.

use crate::source::Source;

/// Lines of a file of the library.
const LIBRARY_LINES: usize = 400;

/// Lines of any other file.
const LINES: usize = 600;

/// Files without a summary, or too long.
fn shapeless(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".rs")) {
        if !source.text.starts_with("//! ") {
            faults.push(format!("{}: has no summary", source.path));
        }
        let lines = source.text.lines().count();
        let most = if source.path.starts_with("src/") {
            LIBRARY_LINES
        } else {
            LINES
        };
        if lines > most {
            faults.push(format!("{}: {lines} lines, at most {most}", source.path));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::shapeless;
    use crate::source::{self, Source};

    #[test]
    fn a_file_is_one_idea_and_says_which() {
        crate::none("files", &shapeless(&source::repository()));
        let planted = |path, text: &str| shapeless(&[Source::planted(path, text)]).len();
        assert_eq!(planted("src/heap/a.rs", &"//! Long.\n".repeat(401)), 1);
        assert_eq!(planted("src/heap/a.rs", &"//! Long.\n".repeat(400)), 0);
        assert_eq!(planted("tests/a.rs", &"//! Long.\n".repeat(601)), 1);
        assert_eq!(planted("tests/a.rs", &"//! Long.\n".repeat(600)), 0);
        assert_eq!(planted("src/heap/a.rs", "use x;"), 1);
    }
}
