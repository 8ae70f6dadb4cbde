//! Prose: comments and Markdown are wrapped, and documentation names what it is about.

use crate::comments;
use crate::source::Source;

/// Columns of a line of prose, as rustfmt has it for code.
const COLUMNS: usize = 100;

/// Words with which no documentation begins. On a page of rustdoc, or beside a cursor, the item
/// that they refer to is not in view.
const PRONOUNS: &[&str] = &[
    "anybody",
    "anyone",
    "anything",
    "both",
    "either",
    "everybody",
    "everyone",
    "everything",
    "he",
    "it",
    "it's",
    "its",
    "neither",
    "nobody",
    "none",
    "nothing",
    "our",
    "ours",
    "she",
    "somebody",
    "someone",
    "something",
    "that",
    "their",
    "them",
    "these",
    "they",
    "this",
    "those",
    "us",
    "we",
    "what",
    "whatever",
    "which",
    "whichever",
    "who",
    "whoever",
    "whom",
    "whose",
];

/// Lines of comments and of Markdown that are too wide. Sources are Rust, Markdown or TOML.
fn wide(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let is_rust = source.path.ends_with(".rs");
        let is_toml = source.path.ends_with(".toml");
        // Most files have no wide line at all, and are not parsed.
        if !source.text.lines().any(|line| width(line) > COLUMNS) {
            continue;
        }
        let lines: Vec<(usize, &str)> = if is_rust {
            comments::commented_lines(source)
        } else {
            let numbered = source.text.lines().enumerate();
            let numbered = numbered.map(|(index, line)| (index + 1, line));
            // A comment of TOML, unless it follows a value.
            let is_prose = |line: &str| !is_toml || line.trim_start().starts_with('#');
            numbered.filter(|(_, line)| is_prose(line)).collect()
        };
        for (number, line) in lines {
            if width(line) > COLUMNS && can_be_wrapped(line) {
                let width = width(line);
                faults.push(format!("{}:{number}: {width} columns", source.path));
            }
        }
    }
    faults
}

fn width(line: &str) -> usize {
    line.chars().count()
}

/// Whether a line has a place at which it can go on in the next: rows of tables have none, nor has
/// an address that is too long by itself.
fn can_be_wrapped(line: &str) -> bool {
    // The signs of a comment, of a heading, of a list or of a quotation.
    let text = line.trim_start().trim_start_matches(['/', '!', '#']);
    let text = text.trim_start().trim_start_matches(['-', '*', '>']);
    let text = text.trim_start();
    if text.starts_with('|') {
        return false;
    }
    let begin = width(line) - width(text);
    let head = text.chars().take(COLUMNS.saturating_sub(begin) + 1);
    head.collect::<String>().contains(' ')
}

/// Documentation that begins with a pronoun, or says that its item is "the same".
fn nameless(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        if !source.path.ends_with(".rs") {
            continue;
        }
        for doc in comments::docs(source) {
            // `None` of Rust names itself.
            if doc.text.trim_start().starts_with('`') {
                continue;
            }
            let words = doc.text.split_whitespace().map(bare);
            let mut words = words.filter(|word| !word.is_empty());
            let mut word = || words.next().unwrap_or_default();
            let (first, second) = (word(), word());
            if PRONOUNS.contains(&first.as_str()) || (first == "the" && second == "same") {
                let path = &source.path;
                faults.push(format!("{path}:{}: begins with {first} {second}", doc.line));
            }
        }
    }
    faults
}

/// A word in lower case, without signs around it.
fn bare(word: &str) -> String {
    let word = word.trim_matches(|sign: char| !sign.is_alphanumeric());
    word.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{nameless, wide};
    use crate::source::{self, Source};

    const WIDE: &str = "twelve words that go on for so long that they do not fit into one hundred \
        columns, not even nearly so";

    fn is_wide(path: &str, text: &str) -> bool {
        !wide(&[Source::planted(path, text)]).is_empty()
    }

    #[test]
    fn prose_is_wrapped() {
        crate::none("wrapped prose", &wide(&source::repository()));
        crate::none("wrapped comments", &wide(&source::manifests()));
        assert!(is_wide("a.rs", &format!("// {WIDE}")));
        assert!(is_wide("a.rs", &format!("/// {WIDE}\nfn f() {{}}")));
        assert!(is_wide("a.rs", &format!("fn f() {{}} // {WIDE}")));
        assert!(is_wide("a.rs", &format!("//! {WIDE}")));
        assert!(is_wide("a.md", &format!("- {WIDE}")));
        assert!(is_wide("a.toml", &format!("# {WIDE}\na = 1")));
        assert!(!is_wide("a.toml", &format!("a = \"{WIDE}\"")));
        assert!(!is_wide(
            "a.toml",
            &format!("# https://{}", "a".repeat(100))
        ));
        assert!(is_wide("a.md", &format!("a {}", "b".repeat(99))));
        assert!(!is_wide("a.rs", &format!("const A: &str = \"{WIDE}\";")));
        assert!(!is_wide("a.rs", &format!("/// | {WIDE} |\nfn f() {{}}")));
        assert!(!is_wide("a.md", &format!("| {WIDE} |")));
        let address = format!("https://{}", "a".repeat(100));
        assert!(!is_wide("a.md", &format!("- {address} b")));
        assert!(!is_wide("a.rs", &format!("//! {address}")));
        assert!(!is_wide("a.md", &"ö".repeat(100)));
    }

    #[test]
    fn documentation_names_its_subject() {
        crate::none("documentation", &nameless(&source::repository()));
        for text in [
            "/// The same, but wider.\nfn f() {}",
            "/// It holds.\nfn f() {}",
            "//! What it is.",
            "struct S {\n    /// Whose: a name.\n    a: u8,\n}",
            "/// _Nobody_ asks.\nfn f() {}",
            "/// Both of them.\nfn f() {}",
            "/// Neither.\nfn f() {}",
            "/// None that is free.\nfn f() {}",
            "/// Either half.\nfn f() {}",
            "/**\n * That is it.\n */\nfn f() {}",
        ] {
            let planted = Source::planted("a.rs", text);
            assert_eq!(nameless(&[planted]).len(), 1, "{text}");
        }
        let sound = "/// The page.\n///\n/// It is one.\nfn f() {} // It is no documentation.";
        assert_eq!(nameless(&[Source::planted("a.rs", sound)]), [""; 0]);
        let code = Source::planted("a.rs", "/// `None` for no page.\nfn f() {}");
        assert_eq!(nameless(&[code]), [""; 0]);
    }
}
