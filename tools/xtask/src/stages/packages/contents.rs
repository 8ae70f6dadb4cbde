//! The contents of packages: all that a registry shows of a crate.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Packaged;
use crate::project;

/// The oldest supported compiler, as the workspace's manifest states it.
const MSRV: &str = env!("CARGO_PKG_RUST_VERSION");

const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Categories that the registry knows; it refuses others.
const CATEGORIES: &[&str] = &[
    "development-tools::procedural-macro-helpers",
    "development-tools::testing",
    "embedded",
    "hardware-support",
    "memory-management",
    "no-std",
    "simulation",
];

/// Files and folders of packages, apart from licences.
const FILES: &[&str] = &[
    ".cargo-ok",
    ".cargo_vcs_info.json",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Cargo.toml.orig",
    "README.md",
    "src",
];

/// The faults of a package, in sentences.
pub(super) fn missing(package: &Packaged) -> Vec<String> {
    let mut faults = of_metadata(&package.metadata);
    faults.extend(of_readme(
        &package.name,
        &text(&package.folder, "README.md"),
    ));
    for licence in LICENCES {
        let (own, root) = (
            text(&package.folder, licence),
            text(project::root(), licence),
        );
        if own.is_empty() || own != root {
            faults.push(format!("{licence} is not the project's"));
        }
    }
    let entries = fs::read_dir(&package.folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let surplus = names.filter(|name| {
        let name = name.as_str();
        !FILES.contains(&name) && !LICENCES.contains(&name)
    });
    faults.extend(surplus.map(|name| format!("{name} is no part of the crate")));
    faults
}

/// The faults of the fields of a manifest.
fn of_metadata(metadata: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    let strings = |value: &Value| -> Vec<String> {
        let values = value.as_array().into_iter().flatten();
        let strings = values.filter_map(|value| value.as_str().map(str::to_owned));
        strings.collect()
    };
    let keywords = strings(&metadata["keywords"]);
    expect(
        (1..=5).contains(&keywords.len()),
        "there are one to five keywords",
    );
    let is_short = |word: &String| word.len() <= 20 && !word.contains(' ');
    expect(keywords.iter().all(is_short), "a keyword is one short word");
    let categories = strings(&metadata["categories"]);
    expect(!categories.is_empty(), "there is a category");
    let is_known = |category: &String| CATEGORIES.contains(&category.as_str());
    expect(categories.iter().all(is_known), "a category is a known one");
    for field in ["description", "repository"] {
        expect(metadata[field].is_string(), &format!("there is a {field}"));
    }
    expect(
        metadata["license"] == "MIT OR Apache-2.0",
        "the licence is MIT OR Apache-2.0",
    );
    expect(metadata["readme"] == "README.md", "the README is named");
    expect(
        metadata["rust_version"] == MSRV,
        &format!("the oldest compiler is {MSRV}"),
    );
    expect(
        !strings(&metadata["metadata"]["docs"]["rs"]["targets"]).is_empty(),
        "docs.rs is told a target",
    );
    let dependencies = metadata["dependencies"].as_array().into_iter().flatten();
    for dependency in dependencies.filter(|dependency| dependency["kind"] == "dev") {
        let name = dependency["name"].as_str().unwrap_or_default();
        expect(
            !name.starts_with("archipelago"),
            &format!("the dev-dependency on {name} has no version"),
        );
    }
    faults
}

/// The faults of a README.
fn of_readme(name: &str, text: &str) -> Vec<String> {
    // The page of the whole project is longer, and arranged in its own way.
    let title = match name {
        "archipelago" => "# Archipelago\n".to_owned(),
        name => format!("# {name}\n"),
    };
    let mut faults = Vec::new();
    if !text.starts_with(&title) {
        faults.push(format!("the README begins with `{}`", title.trim_end()));
    }
    for (part, what) in [
        ("```rust", "an example"),
        ("eatures", "the features"),
        (MSRV, "the oldest supported compiler"),
        ("MIT or Apache-2.0", "the licences"),
    ] {
        if !text.contains(part) {
            faults.push(format!("the README has {what}"));
        }
    }
    faults
}

/// The text of a file; empty if it cannot be read.
fn text(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sound() -> Value {
        json!({
            "keywords": ["heap"],
            "categories": ["no-std"],
            "description": "A crate",
            "repository": "https://example.org",
            "license": "MIT OR Apache-2.0",
            "readme": "README.md",
            "rust_version": MSRV,
            "metadata": { "docs": { "rs": { "targets": ["x86_64-unknown-none"] } } },
            "dependencies": [{ "name": "fastrand", "kind": "dev" }],
        })
    }

    #[test]
    fn each_field_is_missed() {
        assert_eq!(of_metadata(&sound()), Vec::<String>::new());
        for field in [
            "keywords",
            "categories",
            "description",
            "repository",
            "license",
            "readme",
            "rust_version",
            "metadata",
        ] {
            let mut planted = sound();
            planted[field] = Value::Null;
            assert_eq!(of_metadata(&planted).len(), 1, "{field}");
        }
        let mut planted = sound();
        planted["dependencies"] = json!([{ "name": "archipelago-flat", "kind": "dev" }]);
        planted["categories"] = json!(["heaps"]);
        planted["keywords"] = json!(["a heap"]);
        assert_eq!(of_metadata(&planted).len(), 3);
    }

    #[test]
    fn each_part_of_a_readme_is_missed() {
        let text = format!("# name\n```rust\n```\nFeatures\n{MSRV}\nMIT or Apache-2.0\n");
        assert_eq!(of_readme("name", &text), Vec::<String>::new());
        for line in [
            "# name\n",
            "```rust\n",
            "Features\n",
            MSRV,
            "MIT or Apache-2.0",
        ] {
            let planted = text.replace(line, "");
            assert_eq!(of_readme("name", &planted).len(), 1, "{line}");
        }
    }
}
