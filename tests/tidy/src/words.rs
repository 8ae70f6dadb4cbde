//! Words: one for one thing, those of ARCHITECTURE.md.

use crate::source::Source;

/// Words that mean something else here, or nothing.
const BANNED: &[&str] = &[
    "superblock",
    "slab",
    "magazine",
    "depot",
    "ptrmap",
    "TODO",
    "FIXME",
    "XXX",
];

/// Lines with a banned word.
fn banned(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            for word in BANNED {
                if line.contains(word) {
                    faults.push(format!("{}:{}: {word}", source.path, index + 1));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::banned;
    use crate::source::{self, Source};

    #[test]
    fn one_word_for_one_thing() {
        crate::none("words", &banned(&source::library()));
        crate::none("words", &banned(&source::firmware()));
        crate::none("words", &banned(&source::machines()));
        let planted = Source::planted("src/heap/a.rs", "// a slab");
        assert_eq!(banned(&[planted]).len(), 1);
    }
}
