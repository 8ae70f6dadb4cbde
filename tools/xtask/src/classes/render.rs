//! The chosen classes as the library's source file.

use core::fmt::{Display, Write as _};

use super::generate::{Class, Classes, NARROW_SLOTS, RECORD_BYTES, largest};

/// Sizes up to here are looked up by [`FINE`] bytes, those above by [`COARSE`], as in
/// `src/span/class/mod.rs`.
const FINE_LIMIT: u32 = 1024;
const FINE: u32 = 8;
const COARSE: u32 = 128;

const HEADER: &str = "\
//! The size classes for each page size. Written by `cargo xtask classes --write`; never edited.

use super::class::ClassTable;
use super::record::{NARROW_SLOTS, Record, WideRecord};

/// The classes for pages of `1 << page_shift` bytes, from 256 B to 8 KiB.
pub(crate) const fn table(page_shift: u32) -> Option<&'static ClassTable> {
    match page_shift {
";

/// The text of `src/span/class_table.rs`.
pub(crate) fn render(tables: &[Classes]) -> String {
    let mut text = String::from(HEADER);
    for table in tables {
        let (shift, bytes) = (table.page_bytes.trailing_zeros(), table.page_bytes);
        push(
            &mut text,
            format_args!("        {shift} => Some(&PAGES_OF_{bytes}),\n"),
        );
    }
    text.push_str("        _ => None,\n    }\n}\n");
    render_assumptions(&mut text);
    for table in tables {
        render_table(&mut text, table);
    }
    text
}

/// The check that the library's records are those that the classes were chosen for.
fn render_assumptions(text: &mut String) {
    let (narrow, wide) = RECORD_BYTES;
    push(
        text,
        format_args!(
            "
/// The classes were chosen for records of these sizes.
const _: () = assert!(
    NARROW_SLOTS == {NARROW_SLOTS} && size_of::<Record>() == {narrow} && size_of::<WideRecord>() == {wide},
    \"`tools/xtask/src/classes/generate.rs` assumes other records\"
);
"
        ),
    );
}

fn render_table(text: &mut String, table: &Classes) {
    let Classes { page_bytes, list } = table;
    push(
        text,
        format_args!(
            "\n/// {} classes for pages of {page_bytes} bytes.\n",
            list.len()
        ),
    );
    push(
        text,
        format_args!("#[rustfmt::skip]\nconst PAGES_OF_{page_bytes}: ClassTable = ClassTable {{\n"),
    );
    push(
        text,
        format_args!(
            "    page_bytes: {page_bytes},\n    largest: {},\n",
            largest(*page_bytes)
        ),
    );
    row(text, "sizes", list.iter().map(|class| class.size));
    row(text, "pages", list.iter().map(|class| class.pages));
    row(text, "slots", list.iter().map(|class| class.slots));
    row(text, "magic", list.iter().map(|class| magic(class.size)));
    row(text, "fine", fine(table));
    row(text, "coarse", coarse(table));
    text.push_str("};\n");
}

/// `2^32` divided by `size`, rounded up: the upper half of its product with an offset is the offset
/// divided by `size`.
pub(crate) fn magic(size: u32) -> u32 {
    u32::MAX / size + 1
}

/// The class of each multiple of [`FINE`] up to [`FINE_LIMIT`].
fn fine(table: &Classes) -> impl Iterator<Item = usize> {
    (0..=FINE_LIMIT / FINE).map(|index| class_of(&table.list, index * FINE))
}

/// The class of the smallest size of each [`COARSE`] bytes above [`FINE_LIMIT`].
fn coarse(table: &Classes) -> impl Iterator<Item = usize> {
    let buckets = largest(table.page_bytes).saturating_sub(FINE_LIMIT) / COARSE;
    (0..buckets).map(|bucket| class_of(&table.list, FINE_LIMIT + bucket * COARSE + 1))
}

fn class_of(list: &[Class], size: u32) -> usize {
    list.partition_point(|class| class.size < size)
}

/// A field that is an array of numbers.
fn row<T: Display>(text: &mut String, name: &str, values: impl Iterator<Item = T>) {
    const INDENT: &str = "\n       ";
    push(text, format_args!("    {name}: &["));
    let mut room = 0;
    for value in values {
        let word = format!(" {value},");
        if word.len() > room {
            text.push_str(INDENT);
            room = 92;
        }
        room -= word.len();
        text.push_str(&word);
    }
    text.push_str("\n    ],\n");
}

fn push(text: &mut String, arguments: core::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}
