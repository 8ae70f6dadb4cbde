//! Maps that the macro derives, compared with where the fields lie.

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ptr::NonNull;

use archipelago::bits::{PointerMap, Scannable};
use archipelago_derive::Scannable;

const WORD: usize = size_of::<usize>();

/// Checks that a map has these pointers, given as bytes from the start, and no others.
fn assert_pointers(map: &PointerMap<'_>, bytes: usize, pointers: &[usize]) {
    assert_eq!(map.words(), bytes.div_ceil(WORD));
    for word in 0..map.words() {
        assert_eq!(
            map.is_pointer(word),
            pointers.contains(&(word * WORD)),
            "word {word}"
        );
    }
    assert_eq!(map.pointers(), pointers.len());
}

#[derive(Scannable)]
struct Mixed {
    flag: bool,
    first: NonNull<u8>,
    number: u32,
    second: Option<NonNull<Mixed>>,
    bytes: [u8; 13],
}

#[test]
fn pointers_are_where_the_compiler_put_them() {
    let places = [offset_of!(Mixed, first), offset_of!(Mixed, second)];
    assert_pointers(&Mixed::MAP, size_of::<Mixed>(), &places);
}

#[derive(Scannable)]
struct Tuple(u64, *const u8, [*mut u8; 3]);

#[derive(Scannable)]
#[repr(C)]
struct Nested {
    tag: u8,
    mixed: [Mixed; 2],
    tuple: Tuple,
}

#[test]
fn fields_with_maps_of_their_own_are_followed() {
    let mut places = Vec::new();
    for index in 0..2 {
        let at = offset_of!(Nested, mixed) + index * size_of::<Mixed>();
        places.push(at + offset_of!(Mixed, first));
        places.push(at + offset_of!(Mixed, second));
    }
    let tuple = offset_of!(Nested, tuple);
    places.push(tuple + offset_of!(Tuple, 1));
    places.extend((0..3).map(|index| tuple + offset_of!(Tuple, 2) + index * WORD));
    assert_pointers(&Nested::MAP, size_of::<Nested>(), &places);
}

#[derive(Scannable)]
struct Generic<'a, T, const N: usize>
where
    T: Copy,
{
    link: Cell<Option<NonNull<Generic<'a, T, N>>>>,
    values: [T; N],
    borrowed: PhantomData<&'a T>,
}

type Numbers = Generic<'static, u16, 5>;
type Pointers = Generic<'static, *const u8, 3>;

#[test]
fn parameters_are_part_of_the_map() {
    assert_pointers(
        &Numbers::MAP,
        size_of::<Numbers>(),
        &[offset_of!(Numbers, link)],
    );
    let values = offset_of!(Pointers, values);
    let places = [
        offset_of!(Pointers, link),
        values,
        values + WORD,
        values + 2 * WORD,
    ];
    assert_pointers(&Pointers::MAP, size_of::<Pointers>(), &places);
}

#[derive(Scannable)]
struct Large {
    head: Option<NonNull<Large>>,
    numbers: [usize; 200],
    rows: [[Tuple; 10]; 20],
    tail: Mixed,
}

#[test]
fn a_map_longer_than_a_mask_is_made_of_its_fields() {
    let mut places = vec![offset_of!(Large, head)];
    for row in 0..200 {
        let at = offset_of!(Large, rows) + row * size_of::<Tuple>();
        places.push(at + offset_of!(Tuple, 1));
        places.extend((0..3).map(|index| at + offset_of!(Tuple, 2) + index * WORD));
    }
    let tail = offset_of!(Large, tail);
    places.push(tail + offset_of!(Mixed, first));
    places.push(tail + offset_of!(Mixed, second));
    assert_pointers(&Large::MAP, size_of::<Large>(), &places);
}

#[derive(Scannable)]
struct Unit;

#[derive(Scannable)]
struct Opaque(usize, Unit);

#[test]
fn there_need_be_no_pointers() {
    assert_pointers(&Unit::MAP, 0, &[]);
    assert_pointers(&Opaque::MAP, WORD, &[]);
}

#[derive(Scannable)]
#[repr(C, packed)]
struct Packed {
    pointer: *mut u8,
    numbers: [u32; 2 * WORD / 4],
}

#[test]
fn a_packed_structure_has_a_map_if_its_pointers_lie_at_words() {
    assert_pointers(&Packed::MAP, 3 * WORD, &[0]);
}
