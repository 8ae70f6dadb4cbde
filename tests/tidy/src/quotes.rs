//! Quotes: code in Markdown that names the file it is from is in that file, and the versions of a
//! quoted manifest are those of the workspace.

use crate::source::Source;

/// The beginning of a line that names the file of the code block after it.
const FROM: &str = "<!-- from ";

/// Code blocks that are not in the file that they name, and versions that are not the workspace's.
fn wrong(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|one| one.path.ends_with(".md")) {
        let mut lines = source.text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if let Some(path) = line.strip_prefix(FROM) {
                let path = path.trim_end_matches(" -->");
                let is_block = lines.next().is_some_and(|fence| fence.starts_with("```"));
                let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                let file = sources.iter().find(|one| one.path == path);
                if !is_block || !file.is_some_and(|file| holds(file, &block)) {
                    faults.push(format!("{}: {path} has no {block:#?}", source.path));
                }
            } else if line == "```toml" {
                let block = lines.by_ref().take_while(|line| *line != "```");
                faults.extend(block.filter_map(|entry| other_version(sources, entry)));
            }
        }
    }
    faults
}

/// Whether the file has the lines of a block in a row, without comments and empty lines. A comment
/// in the block stands for any number of lines.
fn holds(file: &Source, block: &[&str]) -> bool {
    let file: Vec<&str> = file.text.lines().filter_map(code).collect();
    let mut pieces = block.split(|line| line.starts_with("//"));
    pieces.all(|piece| {
        let piece: Vec<&str> = piece
            .iter()
            .copied()
            .filter(|line| !line.is_empty())
            .collect();
        piece.is_empty() || file.windows(piece.len()).any(|lines| lines == piece)
    })
}

/// The code of a line, also that of an example in documentation, without the lines that rustdoc
/// hides.
fn code(line: &str) -> Option<&str> {
    let line = line.trim();
    let documented = ["//! ", "/// "]
        .iter()
        .find_map(|start| line.strip_prefix(start));
    let line = documented.unwrap_or(line).trim();
    let is_none = line.is_empty() || line.starts_with("//") || line.starts_with("# ");
    (!is_none).then_some(line)
}

/// The fault of a line `name = "version"`, unless it is the beginning of the version in the
/// manifest of the workspace.
fn other_version(sources: &[Source], entry: &str) -> Option<String> {
    let (name, version) = entry.split_once(" = \"")?;
    let (version, _) = version.split_once('"')?;
    let manifest = sources.iter().find(|one| one.path == "Cargo.toml");
    let start = format!("{} = {{", name.trim());
    let mut dependencies = manifest.into_iter().flat_map(|one| one.text.lines());
    let line = dependencies.find(|line| line.starts_with(&start));
    let is_right = line.is_some_and(|line| line.contains(&format!("version = \"{version}")));
    (!is_right).then(|| format!("{name}: the workspace has no version {version}"))
}

#[cfg(test)]
mod tests {
    use super::wrong;
    use crate::source::{self, Source};

    #[test]
    fn quoted_code_is_in_its_file() {
        let mut all = source::repository();
        all.extend(source::manifests());
        crate::none("quotes", &wrong(&all));
        let readme = all.iter().find(|one| one.path == "README.md");
        let quotes = readme.map_or(0, |readme| readme.text.matches(super::FROM).count());
        assert!(quotes >= 8, "{quotes} quotes in the readme");

        let file = Source::planted("a.rs", "fn a() {\n    // why\n    b();\n    c();\n}\n");
        let documented = Source::planted("a.rs", "//! fn a() {\n//! # x\n//! b();\n//! c();\n");
        let quoted = |file: &Source, block: &str| {
            let text = format!("<!-- from a.rs -->\n```rust,ignore\n{block}\n```\n");
            wrong(&[file.clone(), Source::planted("a.md", &text)]).len()
        };
        for file in [&file, &documented] {
            assert_eq!(quoted(file, "fn a() {\nb();"), 0);
            assert_eq!(quoted(file, "fn a() {\n// …\nc();"), 0);
            assert_eq!(quoted(file, "fn a() {\nc();"), 1);
            assert_eq!(quoted(file, "d();"), 1);
        }
        let elsewhere = Source::planted("b.rs", "fn a() {\n    b();\n");
        assert_eq!(quoted(&elsewhere, "b();"), 1);
    }

    #[test]
    fn quoted_versions_are_the_workspaces() {
        let manifest = Source::planted("Cargo.toml", "spin = { version = \"0.12\", x }\n");
        let versions = |entry: &str| {
            let text = format!("```toml\n[dependencies]\n{entry}\n```\n");
            wrong(&[manifest.clone(), Source::planted("a.md", &text)]).len()
        };
        assert_eq!(versions("spin = \"0.12\" # why"), 0);
        assert_eq!(versions("spin = \"0.11\""), 1);
        assert_eq!(versions("lock_api = \"0.4\""), 1);
    }
}
