//! Maps of types, as they come out of `const`.

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, offset_of};
use core::num::Wrapping;
use core::pin::Pin;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use crate::bits::{Field, PointerMap, Run, Scannable};

/// The words of a map as a mask.
fn mask(map: &PointerMap<'_>) -> u128 {
    (0..128).fold(0, |mask, word| {
        mask | u128::from(map.is_pointer(word)) << word
    })
}

#[test]
fn thin_pointers_are_one_pointer_and_numbers_none() {
    for map in [
        <NonNull<u8>>::MAP,
        <Option<NonNull<[u8; 0]>>>::MAP,
        <*const u64>::MAP,
        <*mut u64>::MAP,
        <AtomicPtr<u8>>::MAP,
        <Cell<Option<NonNull<u8>>>>::MAP,
        <&'static u8>::MAP,
        <&'static mut u8>::MAP,
        <Option<&'static u8>>::MAP,
        <Option<&'static mut u8>>::MAP,
        <Pin<&'static u8>>::MAP,
        <ManuallyDrop<NonNull<u8>>>::MAP,
        <(NonNull<u8>,)>::MAP,
    ] {
        assert_eq!((map.words(), map.described(), mask(&map)), (1, 1, 1));
    }
    let word = size_of::<usize>();
    for (map, bytes) in [
        (u8::MAP, 1),
        (<[u8; 100]>::MAP, 100),
        (u128::MAP, 16),
        (<()>::MAP, 0),
        (<PhantomData<NonNull<u8>>>::MAP, 0),
        (AtomicUsize::MAP, word),
        (<[[usize; 3]; 50]>::MAP, 150 * word),
        (<[NonNull<u8>; 0]>::MAP, 0),
        (<fn(u8) -> u8>::MAP, word),
        (<Option<fn()>>::MAP, word),
        (<unsafe extern "C" fn(usize, u8) -> bool>::MAP, word),
        (<Wrapping<u16>>::MAP, 2),
        (<(u8, usize)>::MAP, 2 * word),
    ] {
        let expected = (bytes.div_ceil(word), 0, 0);
        assert_eq!((map.words(), map.described(), map.pointers()), expected);
    }
}

#[test]
fn elements_of_tuples_are_where_the_compiler_put_them() {
    type Tuple = (u8, NonNull<u8>, [u16; 7], (bool, *mut u8), u32);
    let word = size_of::<usize>();
    let inner = offset_of!((bool, *mut u8), 1);
    let places = [offset_of!(Tuple, 1), offset_of!(Tuple, 3) + inner];
    let expected = places.map(|place| 1 << (place / word));
    assert_eq!(mask(&Tuple::MAP), expected[0] | expected[1]);
    assert_eq!(Tuple::MAP.words(), size_of::<Tuple>() / word);
}

#[derive(Clone, Copy)]
struct Branch<T> {
    left: Option<NonNull<T>>,
    keys: [usize; 2],
    right: *mut T,
}

// SAFETY:
// - the map has the words of the structure's bytes;
// - each field lies where `offset_of` says, and its pointers where its type's map says.
unsafe impl<T> Scannable for Branch<T> {
    const FIELDS: &'static [Field<'static>] = &[
        Field {
            offset: offset_of!(Self, left),
            map: &<Option<NonNull<T>>>::MAP,
        },
        Field {
            offset: offset_of!(Self, keys),
            map: &<[usize; 2]>::MAP,
        },
        Field {
            offset: offset_of!(Self, right),
            map: &<*mut T>::MAP,
        },
    ];
    const MAP: PointerMap<'static> = PointerMap::from_fields(size_of::<Self>(), Self::FIELDS);
}

#[test]
fn a_structure_has_the_maps_of_its_fields_where_they_lie() {
    type Branch16 = Branch<u16>;
    let map = Branch16::MAP;
    let word = size_of::<usize>();
    let expected =
        1_u128 << (offset_of!(Branch16, left) / word) | 1 << (offset_of!(Branch16, right) / word);
    assert_eq!((map.words(), mask(&map), map.pointers()), (4, expected, 2));
    let array = <[Branch16; 1000]>::MAP;
    assert_eq!((array.words(), array.pointers()), (4000, 2000));
    for element in [0, 1, 31, 32, 999] {
        for inside in 0..4 {
            assert_eq!(
                array.is_pointer(4 * element + inside),
                map.is_pointer(inside)
            );
        }
    }
    assert!(!array.is_pointer(4000));
}

#[test]
fn runs_repeat_and_end() {
    const SHORT: PointerMap<'_> = PointerMap::from_runs(9, &Run::sequence([(0, 1, 2), (3, 1, 1)]));
    const RUNS: [Run; 4] = Run::sequence([(1, 2, 50), (0, 0, 7), (5, 0, 2), (100, 40, 2)]);
    const MAP: PointerMap<'_> = PointerMap::from_runs(1000, &RUNS);
    assert_eq!(
        (MAP.words(), MAP.described(), MAP.pointers()),
        (1000, 440, 180)
    );
    for word in 0..1000 {
        let expected = match word {
            0..150 => word % 3 != 0,
            160..440 => (word - 160) % 140 >= 100,
            _ => false,
        };
        assert_eq!(MAP.is_pointer(word), expected, "word {word}");
    }
    assert_eq!(mask(&SHORT), 0b10_0011);
    assert_eq!((SHORT.words(), SHORT.described()), (9, 6));
}

#[test]
fn a_mask_may_be_shorter_than_its_value() {
    let map = PointerMap::from_mask(5000, 1 << 127 | 1 << 63 | 1);
    assert_eq!(
        (map.words(), map.described(), map.pointers()),
        (5000, 128, 3)
    );
    let none = PointerMap::from_mask(0, 0);
    assert_eq!((none.words(), none.described(), none.pointers()), (0, 0, 0));
}

/// A mistake in a map made by hand, and the message of the panic.
type Mistake = (fn() -> usize, &'static str);

#[test]
fn mistakes_have_messages() {
    const WORD: usize = size_of::<usize>();
    const POINTER: PointerMap<'_> = PointerMap::from_mask(1, 1);
    const LOOSE: [Run; 2] = [Run::new(1, 1, 1), Run::new(1, 1, 1)];
    let mistakes: [Mistake; 7] = [
        (
            || PointerMap::from_mask(3, 0b1000).words(),
            "the mask is longer than the value",
        ),
        (
            || PointerMap::from_runs(3, &Run::sequence([(1, 3, 1)])).words(),
            "the runs are longer than the value",
        ),
        (
            || PointerMap::from_runs(9, &LOOSE).words(),
            "the runs are not one sequence",
        ),
        (
            || PointerMap::array(&POINTER, usize::MAX / 2).words(),
            "the value is larger than half of the address space",
        ),
        (
            || {
                let fields = [Field {
                    offset: 4 * WORD,
                    map: &POINTER,
                }];
                PointerMap::from_fields(4 * WORD, &fields).words()
            },
            "a field reaches out of the value",
        ),
        (
            || {
                let fields = [Field {
                    offset: 1,
                    map: &POINTER,
                }];
                PointerMap::from_fields(4 * WORD, &fields).words()
            },
            "a pointer lies at no multiple of a word",
        ),
        (
            || {
                let fields = [Field {
                    offset: 0,
                    map: &POINTER,
                }];
                PointerMap::from_fields(WORD + 1, &fields).words()
            },
            "a pointer lies at no multiple of a word",
        ),
    ];
    for (mistake, message) in mistakes {
        let stopped = std::panic::catch_unwind(mistake).expect_err("it is one");
        assert_eq!(stopped.downcast_ref::<&str>(), Some(&message));
    }
}
