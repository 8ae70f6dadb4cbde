//! The changes that `cargo mutants` lists.

use anyhow::{Context, Result};
use serde_json::Value;

/// The kind of a changed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A function ends at once with a value.
    Function,
    /// An operator between two operands.
    Binary,
    /// An operator before its operand.
    Unary,
    /// The guard of an arm.
    Guard,
    /// An arm goes.
    Arm,
    /// A field goes, in an expression that has a base.
    Field,
}

/// A small change of the library.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The file, the place in it, and what is changed, as `cargo mutants` describes it.
    pub(super) name: String,
    /// The file, from the project's root.
    pub(super) file: String,
    pub(super) place: Place,
    /// The line and the column where what is changed begins, from 1.
    pub(super) start: (usize, usize),
    /// The text that comes in its place.
    pub(super) text: String,
}

/// Reads the list of `cargo mutants --list --json`.
///
/// # Errors
/// If it is none.
pub(super) fn read(list: &str) -> Result<Vec<Change>> {
    let list: Vec<Value> = serde_json::from_str(list).context("`cargo mutants` lists nothing")?;
    let read = |change: &Value| {
        let text = |field: &str| change[field].as_str().map(str::to_owned);
        let start = |field: &str| {
            let number = change["span"]["start"][field].as_u64()?;
            usize::try_from(number).ok()
        };
        let place = match change["genre"].as_str()? {
            "FnValue" => Place::Function,
            "BinaryOperator" => Place::Binary,
            "UnaryOperator" => Place::Unary,
            "MatchArmGuard" => Place::Guard,
            "MatchArm" => Place::Arm,
            "StructField" => Place::Field,
            _ => return None,
        };
        Some(Change {
            name: text("name")?,
            file: text("file")?,
            place,
            start: (start("line")?, start("column")?),
            text: text("replacement")?,
        })
    };
    let changes: Option<_> = list.iter().map(read).collect();
    changes.context("`cargo mutants` lists changes of an unknown kind")
}

#[cfg(test)]
mod tests {
    use super::{Place, read};

    const LIST: &str = r#"[{
        "name": "src/a.rs:3:7: replace < with <= in f", "file": "src/a.rs",
        "genre": "BinaryOperator", "replacement": "<=",
        "span": {"start": {"line": 3, "column": 7}, "end": {"line": 3, "column": 8}}
    }]"#;

    #[test]
    fn changes_are_read() {
        let changes = read(LIST).expect("a list");
        let [change] = changes.as_slice() else {
            panic!("{changes:?}");
        };
        assert_eq!(change.name, "src/a.rs:3:7: replace < with <= in f");
        assert_eq!((change.place, change.start), (Place::Binary, (3, 7)));
        assert_eq!(
            (change.file.as_str(), change.text.as_str()),
            ("src/a.rs", "<=")
        );
    }

    #[test]
    fn changes_of_another_kind_are_noticed() {
        let other = LIST.replace("BinaryOperator", "Other");
        assert!(read(&other).is_err());
        assert!(read("").is_err());
    }
}
