//! Cycles: files of the library that use each other, directly or through others.

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use crate::config::Tests;
use crate::modules::Crate;
use crate::uses::{self, Uses};

/// The cycles of files, each with an example of every use in it.
fn cycles(parsed: &Crate, uses: &Uses) -> Vec<String> {
    let mut graph: DiGraph<usize, ()> = DiGraph::new();
    let nodes: Vec<_> = (0..parsed.files.len())
        .map(|file| graph.add_node(file))
        .collect();
    for (from, to) in uses.keys() {
        graph.add_edge(nodes[*from], nodes[*to], ());
    }
    let mut found: Vec<String> = tarjan_scc(&graph)
        .into_iter()
        .filter(|component| component.len() > 1)
        .map(|component| {
            let mut files: Vec<usize> = component.iter().map(|node| graph[*node]).collect();
            files.sort_by_key(|file| &parsed.files[*file]);
            cycle_report(parsed, uses, &files)
        })
        .collect();
    found.sort();
    found
}

/// The list of files of a cycle, and below it one line for each use between two of them.
fn cycle_report(parsed: &Crate, uses: &Uses, files: &[usize]) -> String {
    let names: Vec<&str> = files.iter().map(|&file| &*parsed.files[file]).collect();
    let mut report = names.join(", ");
    for ((from, to), example) in uses {
        if files.contains(from) && files.contains(to) {
            let (from, to) = (&parsed.files[*from], &parsed.files[*to]);
            report.push_str(&format!("\n    {from} uses {to} ({example})"));
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::{Crate, Tests, cycles, uses};
    use crate::source::{self, Source};

    fn cycles_of(sources: &[Source]) -> Vec<String> {
        let parsed = Crate::parse(sources, Tests::Excluded);
        cycles(&parsed, &uses::uses(&parsed))
    }

    /// The cycles of a planted crate, each without the examples.
    fn planted(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::planted(path, text))
            .collect();
        let first_line = |report: String| report.lines().next().map(str::to_owned);
        let found = cycles_of(&sources).into_iter().filter_map(first_line);
        found.collect()
    }

    #[test]
    fn files_of_the_library_have_no_cycle() {
        crate::none("cycles", &cycles_of(&source::library()));
    }

    #[test]
    fn every_path_leads_somewhere() {
        for tests in [Tests::Included, Tests::Excluded] {
            let parsed = Crate::parse(&source::library(), tests);
            crate::none("paths", &uses::lost(&parsed));
        }
        let sources = [
            Source::planted("src/lib.rs", "mod a;"),
            Source::planted(
                "src/a.rs",
                "use crate::b::B; fn f() { super::g(); super::a::f() }",
            ),
        ];
        let parsed = Crate::parse(&sources, Tests::Excluded);
        assert_eq!(uses::lost(&parsed).len(), 2);
    }

    #[test]
    fn two_files_that_use_each_other() {
        let found = planted(&[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "use crate::b::B; pub struct A(B);"),
            ("src/b.rs", "pub struct B; fn f(a: &super::a::A) {}"),
        ]);
        assert_eq!(found, ["src/a.rs, src/b.rs"]);
    }

    #[test]
    fn three_files_in_a_ring() {
        let found = planted(&[
            ("src/lib.rs", "mod l;"),
            ("src/l/mod.rs", "mod a; mod b; mod c;"),
            ("src/l/a.rs", "use super::b::B; pub struct A(B);"),
            ("src/l/b.rs", "pub struct B; fn f() { super::c::g(); }"),
            (
                "src/l/c.rs",
                "pub fn g() { assert!(crate::l::a::A::is()); }",
            ),
        ]);
        assert_eq!(found, ["src/l/a.rs, src/l/b.rs, src/l/c.rs"]);
    }

    #[test]
    fn a_ring_through_self() {
        let lib = ("src/lib.rs", "mod t; mod up; mod down;");
        let shared = ("src/t.rs", "pub struct T { pub inner: U } pub struct U;");
        let found = planted(&[
            lib,
            shared,
            (
                "src/up.rs",
                "impl crate::t::T { fn up(&self) { self.down(); } }",
            ),
            (
                "src/down.rs",
                "use crate::t::T; impl T { fn down(&self) { Self::up(self); } }",
            ),
        ]);
        assert_eq!(found, ["src/down.rs, src/up.rs"]);
        let through_a_field = planted(&[
            lib,
            shared,
            (
                "src/up.rs",
                "impl crate::t::T { fn up(&self) { self.inner.down(); } }",
            ),
            (
                "src/down.rs",
                "use crate::t::{T, U}; impl U { fn down(&self) { T::up(x); } }",
            ),
        ]);
        assert_eq!(through_a_field, ["src/down.rs, src/up.rs"]);
        let through_a_parameter = planted(&[
            lib,
            shared,
            (
                "src/up.rs",
                "impl crate::t::T { fn up(&self) { self.down(); } }",
            ),
            (
                "src/down.rs",
                "use crate::t::T; impl T { fn down(&self) { f(self) } } \
                 fn f(t: &T) { let t = t; t.up(); }",
            ),
        ]);
        assert_eq!(through_a_parameter, ["src/down.rs, src/up.rs"]);
    }

    #[test]
    fn a_ring_through_a_reexport() {
        let found = planted(&[
            ("src/lib.rs", "mod l; pub use l::A;"),
            (
                "src/l/mod.rs",
                "mod a; mod b; pub(crate) use a::A; pub(crate) use b::B as C;",
            ),
            ("src/l/a.rs", "use crate::l::C; pub struct A(C);"),
            (
                "src/l/b.rs",
                "use crate::A; pub struct B; impl B { fn f(a: &A) {} }",
            ),
        ]);
        assert_eq!(found, ["src/l/a.rs, src/l/b.rs"]);
    }

    #[test]
    fn a_type_in_a_mod_file_that_holds_its_children() {
        let found = planted(&[
            ("src/lib.rs", "mod l;"),
            ("src/l/mod.rs", "mod a; use a::A; pub struct L(A);"),
            (
                "src/l/a.rs",
                "pub struct A; impl super::L { fn f(&self) {} }",
            ),
        ]);
        assert_eq!(found, ["src/l/a.rs, src/l/mod.rs"]);
    }

    #[test]
    fn tests_and_reexports_make_no_cycle() {
        let found = planted(&[
            ("src/lib.rs", "mod l; pub use l::A;"),
            (
                "src/l/mod.rs",
                "mod a; mod b; pub(crate) use a::A; pub use b::B;",
            ),
            ("src/l/a.rs", "use super::B; pub struct A(B);"),
            (
                "src/l/b.rs",
                "pub struct B; #[cfg(test)] mod tests { use super::super::A; fn f(a: A) {} } \
                 impl B { #[cfg(test)] fn g(a: super::A) {} }",
            ),
        ]);
        assert_eq!(found, [""; 0]);
    }
}
