//! Comments of a Rust file, read off the places that tokens leave free.

use proc_macro2::{Delimiter, LineColumn, TokenStream, TokenTree};

use crate::source::Source;

/// A documentation comment: all lines of it, and the line at which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doc {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The lines on which there is a comment, of either kind, each with its number.
///
/// # Panics
/// If the text is no Rust.
pub(crate) fn commented_lines(source: &Source) -> Vec<(usize, &str)> {
    let mut places = Vec::new();
    let mut docs = Vec::new();
    read(source.tokens(), &mut places, &mut docs);
    places.sort_by_key(|(start, _)| *start);
    let lines = source.text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line))
        .filter(|(number, line)| {
            let is_doc = docs
                .iter()
                .any(|(first, last)| (*first..=*last).contains(number));
            is_doc || has_free_comment(line, *number, &places)
        })
        .collect()
}

/// The documentation comments of a file.
///
/// # Panics
/// If the text is no Rust.
pub(crate) fn docs(source: &Source) -> Vec<Doc> {
    let mut docs: Vec<Doc> = Vec::new();
    collect_docs(source.tokens(), &mut docs);
    docs
}

type Place = (LineColumn, LineColumn);

/// Collects where tokens are, and between which lines documentation is.
fn read(tokens: TokenStream, places: &mut Vec<Place>, docs: &mut Vec<(usize, usize)>) {
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            let (open, close) = (group.span_open(), group.span_close());
            if doc_text(&token).is_some() {
                docs.push((open.start().line, close.end().line));
            }
            places.push((open.start(), open.end()));
            places.push((close.start(), close.end()));
            read(group.stream(), places, docs);
        } else {
            let span = token.span();
            places.push((span.start(), span.end()));
        }
    }
}

/// Whether a line has `//` at a place that belongs to no token.
fn has_free_comment(line: &str, number: usize, places: &[Place]) -> bool {
    line.match_indices("//").any(|(offset, _)| {
        let column = line[..offset].chars().count();
        let here = LineColumn {
            line: number,
            column,
        };
        let before = places.partition_point(|(start, _)| *start <= here);
        // A string may begin before the token that precedes this place, but cannot hold it.
        !places[..before]
            .iter()
            .rev()
            .take(2)
            .any(|(_, end)| here < *end)
    })
}

fn collect_docs(tokens: TokenStream, docs: &mut Vec<Doc>) {
    let mut last_end = 0;
    for token in tokens {
        match (&token, doc_text(&token)) {
            (_, Some(text)) => {
                let span = token.span();
                let (first, last) = (span.start().line, span.end().line);
                match docs.last_mut() {
                    Some(doc) if first == last_end + 1 => {
                        doc.text.push('\n');
                        doc.text.push_str(&text);
                    }
                    _ => docs.push(Doc { line: first, text }),
                }
                last_end = last;
            }
            (TokenTree::Group(group), None) => {
                collect_docs(group.stream(), docs);
                last_end = 0;
            }
            (TokenTree::Punct(sign), None) if matches!(sign.as_char(), '#' | '!') => {}
            _ => last_end = 0,
        }
    }
}

/// The text of `[doc = "text"]`, which is how a documentation comment is tokenised.
fn doc_text(token: &TokenTree) -> Option<String> {
    let TokenTree::Group(group) = token else {
        return None;
    };
    if group.delimiter() != Delimiter::Bracket {
        return None;
    }
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    match tokens.as_slice() {
        [
            TokenTree::Ident(name),
            TokenTree::Punct(sign),
            TokenTree::Literal(text),
        ] if name == "doc" && sign.as_char() == '=' => {
            let text: syn::LitStr = syn::parse_str(&text.to_string()).ok()?;
            Some(text.value())
        }
        _ => None,
    }
}

#[test]
fn comments_are_told_from_strings() {
    let text = "//! Of the file.\n\nfn f() {\n    g(\"http://a\"); // Said.\n    // Alone.\n    \
        g(\"b // c\n        // d\");\n}\n/// Of `h`,\n/// two lines.\nfn h(/* in it */) {}\n\
        /// Of `i`.\nfn i() {}\n";
    let source = Source::planted("a.rs", text);
    let lines: Vec<usize> = commented_lines(&source).iter().map(|line| line.0).collect();
    assert_eq!(lines, [1, 4, 5, 9, 10, 12]);
    let texts: Vec<(usize, String)> = docs(&source)
        .into_iter()
        .map(|doc| (doc.line, doc.text))
        .collect();
    let expected = [
        (1, " Of the file."),
        (9, " Of `h`,\n two lines."),
        (12, " Of `i`."),
    ];
    assert_eq!(texts, expected.map(|(line, text)| (line, text.to_owned())));
}
