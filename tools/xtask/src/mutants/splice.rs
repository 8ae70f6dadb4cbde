//! Changes as switches: a text of the library in which each change is a branch.
//!
//! What is changed stays as it was in the branch of another change, so that the text grows by the
//! length of what is changed, however deep it lies.

use alloc::collections::BTreeMap;
use core::cmp::Reverse;
use core::ops::Range;

use anyhow::{Context, Result};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::change::{Change, Place};

/// A file with switches.
#[derive(Debug, Default)]
pub(super) struct Switched {
    pub(super) text: String,
    /// The bytes of each switch, by the number of the change.
    pub(super) switches: Vec<(usize, Range<usize>)>,
    /// The changes of what the compiler evaluates, which have no switch.
    pub(super) constant: Vec<usize>,
}

/// Puts switches for `changes`, which have numbers, into the `text` of a file.
///
/// # Errors
/// If the text is not Rust.
pub(super) fn switch(text: &str, changes: &[(usize, &Change)]) -> Result<Switched> {
    let file = syn::parse_file(text).context("it is not Rust")?;
    let mut by_start: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (number, change) in changes {
        by_start
            .entry(change.start)
            .or_default()
            .push((*number, *change));
    }
    let mut finder = Finder {
        text,
        by_start,
        sites: Vec::new(),
        constant: Vec::new(),
        is_constant: false,
    };
    finder.visit_file(&file);
    let (mut sites, constant) = (finder.sites, finder.constant);
    // Outer sites come first, and guards of arms before what they consist of.
    sites.sort_by_key(|site| (site.range.start, Reverse(site.range.end), site.is_inner));
    let mut writer = Writer {
        source: text,
        switched: Switched {
            constant,
            ..Switched::default()
        },
    };
    writer.write(0..text.len(), &sites);
    Ok(writer.switched)
}

/// Texts that may take a place, by the numbers of their changes.
type Texts = Vec<(usize, String)>;

/// A place with changes.
struct Site {
    range: Range<usize>,
    form: Form,
    /// Whether a site of the same range consists of it.
    is_inner: bool,
}

/// How a switch is written.
enum Form {
    /// One of several expressions.
    Choice(Texts),
    /// A return at the start of a function.
    Return(Texts),
    /// A condition for an arm, which has a guard or not.
    Unless { number: usize, has_guard: bool },
}

struct Finder<'a> {
    text: &'a str,
    by_start: BTreeMap<(usize, usize), Vec<(usize, &'a Change)>>,
    sites: Vec<Site>,
    constant: Vec<usize>,
    is_constant: bool,
}

impl Finder<'_> {
    /// The changes of `place` that begin where `span` does.
    fn changes_at(&mut self, span: Span, place: Place) -> Texts {
        let start = span.start();
        let here = self.by_start.get(&(start.line, start.column + 1));
        let found = here.into_iter().flatten();
        let found: Texts = found
            .filter(|(_, change)| change.place == place)
            .map(|(number, change)| (*number, change.text.clone()))
            .collect();
        if self.is_constant {
            self.constant.extend(found.iter().map(|(number, _)| number));
            return Texts::new();
        }
        found
    }

    fn add(&mut self, range: Range<usize>, form: Form, is_inner: bool) {
        self.sites.push(Site {
            range,
            form,
            is_inner,
        });
    }

    /// Adds a choice of `whole`, in which the changed texts stand for `part`.
    fn add_choice(&mut self, whole: Span, part: Range<usize>, texts: Texts) {
        if texts.is_empty() {
            return;
        }
        let range = whole.byte_range();
        let (before, after) = (
            &self.text[range.start..part.start],
            &self.text[part.end..range.end],
        );
        let with = |(number, text)| (number, format!("{before}{text}{after}"));
        let choice = Form::Choice(texts.into_iter().map(with).collect());
        self.add(range, choice, true);
    }

    /// Visits with `visit` what is evaluated by the compiler, or is not.
    fn inside(&mut self, is_constant: bool, visit: impl FnOnce(&mut Self)) {
        let before = core::mem::replace(&mut self.is_constant, is_constant);
        visit(self);
        self.is_constant = before;
    }

    fn add_return(&mut self, block: &syn::Block) {
        let Some(first) = block.stmts.first() else {
            return;
        };
        let texts = self.changes_at(first.span(), Place::Function);
        if !texts.is_empty() {
            let start = block.brace_token.span.open().byte_range().end;
            self.add(start..start, Form::Return(texts), false);
        }
    }
}

/// Visits of what the compiler evaluates.
macro_rules! constant {
    ($($visit:ident: $node:ident;)*) => {
        $(fn $visit(&mut self, node: &'ast syn::$node) {
            self.inside(true, |finder| visit::$visit(finder, node));
        })*
    };
}

impl<'ast> Visit<'ast> for Finder<'_> {
    constant! {
        visit_item_const: ItemConst;
        visit_item_static: ItemStatic;
        visit_impl_item_const: ImplItemConst;
        visit_trait_item_const: TraitItemConst;
        visit_expr_const: ExprConst;
        visit_type_array: TypeArray;
        visit_generic_argument: GenericArgument;
        visit_variant: Variant;
        visit_pat: Pat;
    }

    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
        self.inside(true, |finder| finder.visit_expr(&node.len));
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.inside(false, |finder| {
            finder.add_return(&node.block);
            visit::visit_item_fn(finder, node);
        });
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.inside(false, |finder| {
            finder.add_return(&node.block);
            visit::visit_impl_item_fn(finder, node);
        });
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        self.inside(false, |finder| {
            if let Some(block) = &node.default {
                finder.add_return(block);
            }
            visit::visit_trait_item_fn(finder, node);
        });
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        let operator = node.op.span();
        let texts = self.changes_at(operator, Place::Binary);
        self.add_choice(node.span(), operator.byte_range(), texts);
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        let operator = node.op.span();
        let texts = self.changes_at(operator, Place::Unary);
        self.add_choice(node.span(), operator.byte_range(), texts);
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast syn::ExprStruct) {
        for pair in node.fields.pairs() {
            let field = pair.value().span();
            let end = pair.punct().map_or(field, |comma| comma.span());
            let part = field.byte_range().start..end.byte_range().end;
            let texts = self.changes_at(field, Place::Field);
            self.add_choice(node.span(), part, texts);
        }
        visit::visit_expr_struct(self, node);
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        let guard = node.guard.as_ref().map(|(_, guard)| guard.span());
        let end = node.pat.span().byte_range().end;
        let range = guard.map_or(end..end, |guard| guard.byte_range());
        for (number, _) in self.changes_at(node.span(), Place::Arm) {
            let has_guard = guard.is_some();
            let form = Form::Unless { number, has_guard };
            self.add(range.clone(), form, false);
        }
        if let Some(guard) = guard {
            let texts = self.changes_at(guard, Place::Guard);
            if !texts.is_empty() {
                self.add(range, Form::Choice(texts), false);
            }
        }
        visit::visit_arm(self, node);
    }
}

struct Writer<'a> {
    source: &'a str,
    switched: Switched,
}

impl Writer<'_> {
    /// Writes the source in `range`, with switches at the `sites` in it.
    fn write(&mut self, range: Range<usize>, sites: &[Site]) {
        let (mut at, mut rest) = (range.start, sites);
        while let Some((site, others)) = rest.split_first() {
            self.push(&self.source[at..site.range.start]);
            let is_inside = |other: &Site| other.range.end <= site.range.end;
            let inside = match site.range.is_empty() {
                true => 0,
                false => others.iter().take_while(|other| is_inside(other)).count(),
            };
            let (inner, outer) = others.split_at(inside);
            self.write_site(site, inner);
            (at, rest) = (site.range.end, outer);
        }
        self.push(&self.source[at..range.end]);
    }

    fn write_site(&mut self, site: &Site, inner: &[Site]) {
        match &site.form {
            Form::Choice(texts) => {
                self.push("(");
                for (number, text) in texts {
                    let on = condition(*number);
                    self.push_switch(*number, &format!("if {on} {{ ({text}) }} else "));
                }
                self.push("{ (");
                self.write(site.range.clone(), inner);
                self.push(") })");
            }
            Form::Return(texts) => {
                for (number, text) in texts {
                    let on = condition(*number);
                    self.push_switch(*number, &format!(" if {on} {{ return {text}; }} "));
                }
            }
            Form::Unless { number, has_guard } => {
                let on = condition(*number);
                if *has_guard {
                    self.push("(");
                    self.write(site.range.clone(), inner);
                    self.push_switch(*number, &format!(") && !{on}"));
                } else {
                    self.push_switch(*number, &format!(" if !{on}"));
                }
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.switched.text.push_str(text);
    }

    fn push_switch(&mut self, number: usize, text: &str) {
        let start = self.switched.text.len();
        self.push(text);
        let range = start..self.switched.text.len();
        self.switched.switches.push((number, range));
    }
}

fn condition(number: usize) -> String {
    format!("::mutant_switch::on({number})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a function with switches for changes, each the kind, the column, and the text.
    fn switched(text: &str, changes: &[(Place, usize, &str)]) -> Switched {
        let change = |(place, column, text): &(Place, usize, &str)| Change {
            name: String::new(),
            file: String::new(),
            place: *place,
            start: (1, *column),
            text: (*text).to_owned(),
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        let numbered: Vec<_> = changes.iter().enumerate().collect();
        switch(text, &numbered).expect("it is Rust")
    }

    /// Compares without blanks, and without the path of the switch.
    fn assert_text(switched: &Switched, wanted: &str) {
        let bare = |text: &str| text.replace(' ', "").replace("::mutant_switch::", "");
        assert_eq!(bare(&switched.text), bare(wanted));
        for (number, range) in &switched.switches {
            let text = &switched.text[range.clone()];
            assert!(text.contains(&condition(*number)), "{text}");
        }
    }

    #[test]
    fn operators_become_choices() {
        let text = "fn f() { g(a < b) }";
        let changes = [(Place::Binary, 14, "<="), (Place::Binary, 14, "==")];
        assert_text(
            &switched(text, &changes),
            "fn f() { g((if on(0) { (a <= b) } else if on(1) { (a == b) } else { (a < b) })) }",
        );
        let text = "fn f() { !a }";
        assert_text(
            &switched(text, &[(Place::Unary, 10, "")]),
            "fn f() { (if on(0) { (a) } else { (!a) }) }",
        );
    }

    #[test]
    fn what_a_changed_operator_connects_is_changed_too() {
        let text = "fn f() { a + b * c }";
        let changes = [(Place::Binary, 12, "-"), (Place::Binary, 16, "/")];
        assert_text(
            &switched(text, &changes),
            "fn f() { (if on(0) { (a - b * c) } else { \
             (a + (if on(1) { (b / c) } else { (b * c) })) }) }",
        );
    }

    #[test]
    fn functions_return_at_once() {
        let text = "fn f() -> bool { g(); true }";
        let changes = [
            (Place::Function, 18, "true"),
            (Place::Function, 18, "false"),
        ];
        assert_text(
            &switched(text, &changes),
            "fn f() -> bool { if on(0) { return true; } if on(1) { return false; } g(); true }",
        );
    }

    #[test]
    fn arms_go_and_guards_change() {
        let text = "fn f() { match a { 1 => b, c if d => e, _ => g } }";
        let changes = [
            (Place::Arm, 20, ""),
            (Place::Arm, 28, ""),
            (Place::Guard, 33, "true"),
        ];
        assert_text(
            &switched(text, &changes),
            "fn f() { match a { 1 if !on(0) => b, \
             c if ((if on(2) { (true) } else { (d) })) && !on(1) => e, _ => g } }",
        );
    }

    #[test]
    fn fields_go() {
        let text = "fn f() { S { a: 1, ..s } }";
        assert_text(
            &switched(text, &[(Place::Field, 14, "")]),
            "fn f() { (if on(0) { (S { ..s }) } else { (S { a: 1, ..s }) }) }",
        );
    }

    #[test]
    fn constants_have_no_switch() {
        let text = "const A: usize = 1 + 2;";
        let switched = switched(text, &[(Place::Binary, 20, "-")]);
        assert_eq!((switched.text.as_str(), switched.constant), (text, vec![0]));
    }
}
