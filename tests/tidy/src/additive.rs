//! Features are additive: a feature of the library adds items, and changes none.
//!
//! Cargo builds a crate once for all crates that use it, with all features that any of them asks
//! for. A variant, a field or the length of an array that depends on a feature would break a crate
//! that does not know of it. Private items may depend on a feature: no other crate sees them.

use alloc::collections::BTreeSet;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, Field, File, ImplItem, Item, ItemConst, Macro, TypeArray, Variant, Visibility,
};

use crate::config::{self, Predicate, Tests};
use crate::source::Source;

/// Variants, fields and lengths of arrays that depend on a feature.
fn dependent(sources: &[Source]) -> Vec<String> {
    let parse = |source: &Source| match syn::parse_file(&source.text) {
        Ok(file) => (source.path.clone(), file),
        Err(error) => unreachable!("{}: {error}", source.path),
    };
    let files: Vec<(String, File)> = sources.iter().map(parse).collect();
    let constants = dependent_constants(&files);
    let mut faults = Vec::new();
    for (path, file) in &files {
        let mut visitor = Dependent {
            path,
            constants: &constants,
            faults: &mut faults,
        };
        visitor.visit_file(file);
    }
    faults
}

/// Names of constants whose value depends on a feature, directly or through other constants.
fn dependent_constants(files: &[(String, File)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for (_, file) in files {
            Constants { found: &mut found }.visit_file(file);
        }
        if found.len() == before {
            return found;
        }
    }
}

fn read_feature(attributes: &[Attribute]) -> bool {
    let predicates = config::predicates(attributes);
    predicates.iter().any(Predicate::reads_feature)
}

/// Whether an expression reads a feature or one of the constants.
fn reads(expression: &Expr, constants: &BTreeSet<String>) -> bool {
    let mut visitor = Reads {
        constants,
        found: false,
    };
    visitor.visit_expr(expression);
    visitor.found
}

struct Reads<'a> {
    constants: &'a BTreeSet<String>,
    found: bool,
}

impl<'ast> Visit<'ast> for Reads<'_> {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        self.found |= read_feature(core::slice::from_ref(attribute));
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        if invocation.path.is_ident("cfg") {
            self.found |= invocation.tokens.to_string().contains("feature");
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let last = path.segments.last().expect("a name").ident.to_string();
        self.found |= self.constants.contains(&last);
        visit::visit_path(self, path);
    }
}

struct Constants<'a> {
    found: &'a mut BTreeSet<String>,
}

impl Constants<'_> {
    fn add(&mut self, name: &syn::Ident, attributes: &[Attribute], value: &Expr) {
        if read_feature(attributes) || reads(value, self.found) {
            self.found.insert(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Constants<'_> {
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.add(&item.ident, &item.attrs, &item.expr);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.add(&item.ident, &item.attrs, &item.expr);
    }
}

struct Dependent<'a> {
    path: &'a str,
    constants: &'a BTreeSet<String>,
    faults: &'a mut Vec<String>,
}

impl Dependent<'_> {
    fn add(&mut self, line: usize, what: &str) {
        let path = self.path;
        self.faults
            .push(format!("{path}:{line}: {what} depends on a feature"));
    }
}

impl<'ast> Visit<'ast> for Dependent<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let exists = config::may_exist(crate::modules::attributes(item), Tests::Excluded);
        if exists && is_public(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let visibility = match item {
            ImplItem::Const(item) => &item.vis,
            ImplItem::Fn(item) => &item.vis,
            _ => return,
        };
        if matches!(visibility, Visibility::Public(_)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_variant(&mut self, variant: &'ast Variant) {
        if read_feature(&variant.attrs) {
            self.add(variant.span().start().line, "a variant");
        }
        visit::visit_variant(self, variant);
    }

    fn visit_field(&mut self, field: &'ast Field) {
        if read_feature(&field.attrs) {
            self.add(field.span().start().line, "a field");
        }
        visit::visit_field(self, field);
    }

    fn visit_type_array(&mut self, array: &'ast TypeArray) {
        if reads(&array.len, self.constants) {
            self.add(array.span().start().line, "the length of an array");
        }
        visit::visit_type_array(self, array);
    }
}

/// Whether other crates may see the item, or items in it.
const fn is_public(item: &Item) -> bool {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        _ => return true,
    };
    matches!(visibility, Visibility::Public(_))
}

#[cfg(test)]
mod tests {
    use super::dependent;
    use crate::source::{self, Source};

    #[test]
    fn features_change_no_item() {
        crate::none("additive features", &dependent(&source::library()));
        crate::none("additive features", &dependent(&source::machines()));
        for text in [
            "pub enum E { A, #[cfg(feature = \"x\")] B }",
            "pub struct S { #[cfg(not(feature = \"x\"))] a: u8 }",
            "pub struct S(#[cfg(any(test, feature = \"x\"))] u8);",
            "pub struct S { a: [u8; if cfg!(feature = \"x\") { 1 } else { 2 }] }",
            "#[cfg(feature = \"x\")] const N: usize = 1; pub struct S([u8; N]);",
            "const N: usize = M + 1; const M: usize = cfg!(feature = \"x\") as usize; \
             pub fn f() -> [u8; N] { g() }",
            "const ALL: &[u8] = &[1, #[cfg(feature = \"x\")] 2]; pub struct S([u8; ALL.len()]);",
        ] {
            let planted = Source::planted("src/a.rs", text);
            assert_eq!(dependent(&[planted]).len(), 1, "{text}");
        }
        for text in [
            "#[cfg(feature = \"x\")] pub struct S { a: u8 }",
            "#[cfg(feature = \"x\")] const N: usize = 1; pub struct S([u8; 4]);",
            "pub struct S { #[cfg(debug_assertions)] a: u8 }",
            "#[cfg(test)] pub struct S { #[cfg(feature = \"x\")] a: u8 }",
            "pub(crate) struct S { #[cfg(feature = \"x\")] a: u8 }",
        ] {
            let planted = Source::planted("src/a.rs", text);
            assert_eq!(dependent(&[planted]), [""; 0], "{text}");
        }
    }
}
