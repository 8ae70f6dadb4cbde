//! Features: the page of each published crate lists those that its manifest has, and no others.

use alloc::collections::BTreeSet;

use crate::source::Source;

/// The end of the path of a manifest.
const MANIFEST: &str = "Cargo.toml";

/// Published crates whose page lists other features than their manifest has. The page of the root,
/// which is that of the project, has no list, but names each feature. The feature `default` is none
/// of them.
fn wrong(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for manifest in sources.iter().filter(|one| is_published(one)) {
        let page = manifest.path.replace(MANIFEST, "README.md");
        let text = sources.iter().find(|one| one.path == page);
        let text = text.map_or("", |page| page.text.as_str());
        let declared = declared(&manifest.text);
        let mut listed = listed(text);
        if manifest.path == MANIFEST {
            let names = declared.iter();
            listed.extend(
                names
                    .filter(|name| text.contains(&format!("`{name}`")))
                    .cloned(),
            );
        }
        if listed != declared {
            faults.push(format!("{page}: lists {listed:?} of {declared:?}"));
        }
    }
    faults
}

/// Whether a file is the manifest of a package that is published, which has a page.
fn is_published(source: &Source) -> bool {
    let is_manifest = source.path.ends_with(MANIFEST);
    let mut lines = source.text.lines();
    is_manifest && lines.any(|line| line.starts_with("readme = "))
}

/// The features of a manifest.
fn declared(manifest: &str) -> BTreeSet<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[features]");
    let lines = lines.skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter(|line| !line.starts_with([' ', '#', ']']));
    let names = names.filter_map(|line| line.split_once('='));
    let names = names.map(|(name, _)| name.trim().trim_matches('"'));
    names
        .filter(|name| *name != "default")
        .map(String::from)
        .collect()
}

/// The features that the items of a page's list begin with.
fn listed(page: &str) -> BTreeSet<String> {
    let lines = page.lines().skip_while(|line| *line != "## Features");
    let lines = lines.skip(1).take_while(|line| !line.starts_with('#'));
    let items = lines.filter_map(|line| line.strip_prefix("- `"));
    let names = items.filter_map(|item| item.split_once('`'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_published, wrong};
    use crate::source::{self, Source};

    #[test]
    fn pages_list_the_features_of_their_crates() {
        let mut all = source::repository();
        all.extend(source::manifests());
        let published = all.iter().filter(|one| is_published(one)).count();
        assert!(published >= 11, "only {published} published crates");
        crate::none("features", &wrong(&all));

        let manifest = "readme = \"README.md\"\n[features]\ndefault = [\"a\"]\n# Why.\n\
            a = [\n    \"b/c\",\n]\n\"d\" = []\n[dependencies]\nb = \"1\"\n";
        let planted = |folder: &str, page: &str| {
            let planted = [
                Source::planted(&format!("{folder}Cargo.toml"), manifest),
                Source::planted(&format!("{folder}README.md"), page),
            ];
            wrong(&planted).len()
        };
        let faults = |page: &str| planted("x/", page);
        assert_eq!(
            faults("## Features\n\n- `a` (by default): `x`.\n- `d`\n\n## More\n- `e`"),
            0
        );
        assert_eq!(faults("## Features\n\n- `a`\n"), 1);
        assert_eq!(faults("## Features\n\n- `a`\n- `d`\n- `e`\n"), 1);
        assert_eq!(faults("## Features\n\nNone.\n"), 1);
        assert_eq!(planted("", "The features `a` and `d` are two."), 0);
        assert_eq!(planted("", "The feature `a` is one."), 1);
    }
}
