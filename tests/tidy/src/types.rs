//! Types of the library: each name is defined once, public ones can grow, and `Heap` stays small.

use alloc::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Attribute, Fields, Item, Visibility};

use crate::config::{self, Predicate, Tests};
use crate::modules::{self, Crate};
use crate::uses;

/// Methods and associated functions that `Heap` may have in its inherent implementations.
const MOST_METHODS_OF_HEAP: usize = 79;

/// Public types that users may match, or make, without `..`, each with the reason.
const EXHAUSTIVE: &[(&str, &str)] = &[
    (
        "WordBits",
        "a word has two bits in the bitmap, and a comparison names both",
    ),
    ("Field", "derived maps are constants, which literals make"),
];

/// The definition of a type.
struct Defined {
    place: String,
    predicates: Vec<Predicate>,
}

/// Names that two types have, or may have: types that are never compiled together are one.
///
/// Types of test modules do not count. Each test module needs a machine, a geometry or a fixture of
/// its own, and the field's word for one is the same in all of them. Such a type is private to its
/// module and is compiled for that module's tests alone: neither the library's documentation nor
/// its users see two of one name, and a message of the compiler comes with the path of the test.
fn defined_twice(parsed: &Crate) -> Vec<String> {
    let mut types: BTreeMap<String, Vec<Defined>> = BTreeMap::new();
    for scope in &parsed.modules {
        let mut visitor = Types {
            file: &parsed.files[scope.file],
            tests: parsed.tests,
            predicates: scope.predicates.clone(),
            types: &mut types,
        };
        for item in &scope.items {
            visitor.visit_item(item);
        }
    }
    let mut faults = Vec::new();
    for (name, defined) in &types {
        for (index, second) in defined.iter().enumerate() {
            let together = |first: &&Defined| {
                let both = [first.predicates.clone(), second.predicates.clone()].concat();
                config::can_hold(&both, parsed.tests)
            };
            if let Some(first) = defined[..index].iter().find(together) {
                faults.push(format!(
                    "{}: {name} is also in {}",
                    second.place, first.place
                ));
            }
        }
    }
    faults
}

/// Collects the types of a module, those inside functions included.
struct Types<'a> {
    file: &'a str,
    tests: Tests,
    predicates: Vec<Predicate>,
    types: &'a mut BTreeMap<String, Vec<Defined>>,
}

impl<'ast> Visit<'ast> for Types<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = modules::attributes(item);
        if !config::may_exist(attributes, self.tests) {
            return;
        }
        let outer = self.predicates.clone();
        self.predicates.extend(config::predicates(attributes));
        let name = match item {
            Item::Struct(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            _ => None,
        };
        if let Some(name) = name {
            let line = name.span().start().line;
            self.types
                .entry(name.to_string())
                .or_default()
                .push(Defined {
                    place: format!("{}:{line}", self.file),
                    predicates: self.predicates.clone(),
                });
        }
        visit::visit_item(self, item);
        self.predicates = outer;
    }
}

/// Public enums, and structs with public fields, that cannot grow without breaking their users.
fn exhaustive(parsed: &Crate) -> Vec<String> {
    let mut faults = Vec::new();
    for scope in &parsed.modules {
        for item in &scope.items {
            let (name, visibility, attributes, can_be_matched) = match item {
                Item::Enum(item) => (&item.ident, &item.vis, &item.attrs, true),
                Item::Struct(item) => {
                    let has_public = has_public_fields(&item.fields);
                    (&item.ident, &item.vis, &item.attrs, has_public)
                }
                _ => continue,
            };
            let is_public = matches!(visibility, Visibility::Public(_)) && can_be_matched;
            let is_listed = EXHAUSTIVE.iter().any(|(listed, _)| name == listed);
            if is_public && !is_listed && !is_non_exhaustive(attributes) {
                let file = &parsed.files[scope.file];
                let line = name.span().start().line;
                faults.push(format!("{file}:{line}: {name} is not non-exhaustive"));
            }
        }
    }
    faults
}

fn has_public_fields(fields: &Fields) -> bool {
    fields
        .iter()
        .any(|field| matches!(field.vis, Visibility::Public(_)))
}

fn is_non_exhaustive(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("non_exhaustive"))
}

/// The number of methods and associated functions in the inherent implementations of a type.
fn count_methods(parsed: &Crate, name: &str) -> usize {
    let is_named = |of: usize| parsed.definitions[of].name == name;
    let methods = uses::methods(parsed);
    methods.iter().filter(|method| is_named(method.of)).count()
}

#[cfg(test)]
mod tests {
    use super::{
        Crate, EXHAUSTIVE, MOST_METHODS_OF_HEAP, Tests, count_methods, defined_twice, exhaustive,
    };
    use crate::source::{self, Source};

    fn library() -> Crate {
        Crate::parse(&source::library(), Tests::Excluded)
    }

    fn planted(text: &str) -> Crate {
        let sources = [
            Source::planted("src/lib.rs", &format!("mod a; {text}")),
            Source::planted("src/a.rs", "enum Table {} trait Shape { type Word; }"),
        ];
        Crate::parse(&sources, Tests::Excluded)
    }

    #[test]
    fn a_name_is_one_type() {
        crate::none("types defined once", &defined_twice(&library()));
        for text in [
            "struct Table;",
            "type Shape = u32;",
            "mod b { fn f() { union Table { a: u8 } } }",
            "#[cfg(feature = \"x\")] struct T; #[cfg(not(feature = \"y\"))] struct T;",
        ] {
            assert_eq!(defined_twice(&planted(text)).len(), 1, "{text}");
        }
        for text in [
            "type Word = u32;",
            "#[cfg(test)] mod tests { struct Table; }",
            "#[cfg(feature = \"x\")] struct T; #[cfg(not(feature = \"x\"))] struct T;",
        ] {
            assert_eq!(defined_twice(&planted(text)), [""; 0], "{text}");
        }
    }

    #[test]
    fn public_types_can_grow() {
        let parsed = library();
        crate::none("non-exhaustive types", &exhaustive(&parsed));
        for (name, reason) in EXHAUSTIVE {
            let is_there = parsed.definitions.iter().any(|item| item.name == *name);
            assert!(is_there && !reason.is_empty(), "{name} is listed");
        }
        for text in ["pub enum E {}", "pub struct S { pub a: u8, b: u8 }"] {
            assert_eq!(exhaustive(&planted(text)).len(), 1, "{text}");
        }
        for text in [
            "#[non_exhaustive] pub enum E {}",
            "pub(crate) enum E {}",
            "pub struct S { a: u8, pub(crate) b: u8 }",
        ] {
            assert_eq!(exhaustive(&planted(text)), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_heap_has_few_methods() {
        let count = count_methods(&library(), "Heap");
        let is_over = count > MOST_METHODS_OF_HEAP;
        let fault = format!("src/heap: {count} methods, at most {MOST_METHODS_OF_HEAP}");
        crate::none(
            "methods of Heap",
            &is_over.then_some(fault).into_iter().collect::<Vec<_>>(),
        );
        let text = "struct Heap; impl Heap { fn a() {} fn b(&self) {} const C: u8 = 1; \
            #[cfg(test)] fn d() {} } impl Drop for Heap { fn drop(&mut self) {} } \
            mod b { impl crate::Heap { fn c(&self) {} } }";
        assert_eq!(count_methods(&planted(text), "Heap"), 3);
    }
}
