//! The compiler stops at a mapper that cannot serve, with a message that names one that can.

use crate::compiler::Programs;

#[test]
fn recursive_page_tables_are_refused_with_the_way_out() {
    let dependencies = format!(
        "archipelago = {{ path = {:?} }}\n\
         x86_64 = {{ version = \"0.15.5\", default-features = false }}",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../..")
    );
    let programs = Programs::in_folder("mappers", &dependencies);
    let offset = programs.message("offset");
    assert_eq!(offset, None, "an offset mapping serves");
    let said = programs.message("recursive").expect("it does not compile");
    for text in [
        "`RecursivePageTable<'static>` cannot serve the heap: it has to reach frames",
        "map all physical memory at an offset and use `OffsetPageTable`",
    ] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
}
