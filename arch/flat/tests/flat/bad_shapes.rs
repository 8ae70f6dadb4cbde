//! The compiler stops at a geometry that does not add up, and at an early region, with a message
//! that says why.

use crate::compiler::Programs;

#[test]
fn a_geometry_that_does_not_add_up_is_stopped_by_the_compiler() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let archipelago = format!("archipelago = {{ path = {root:?} }}");
    let programs = Programs::in_folder("bad_shapes", &archipelago);
    let sound = programs.message("sound");
    assert_eq!(sound, None, "a shape that adds up");
    let bad = [
        ("half_a_chunk", "an arena has at least one chunk"),
        (
            "tiny_pages",
            "a page of a small geometry has 256 bytes to 1 KiB",
        ),
        (
            "wide_root",
            "the index root has as many words as the geometry says",
        ),
        ("early_region", "this machine has its memory from the start"),
    ];
    for (program, message) in bad {
        let said = programs.message(program).expect("it does not compile");
        assert!(said.contains(message), "{program}: {said}");
    }
}
