//! Types of all kinds, with derived maps and with maps made by hand.

use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;

use archipelago::bits::{PointerMap, Run, Scannable};
use archipelago_derive::Scannable;

use super::shape::{Shape, Typed, WORD, in_field};

/// The value of all numbers: no object has this address.
const NUMBER: usize = usize::MAX;

/// Every shape that has pointers.
pub static SHAPES: [Shape; 13] = [
    LINKS,
    Shape::array::<Node>("nodes"),
    Shape::array::<Tuple>("tuples"),
    Shape::array::<Nested>("nested structures"),
    Shape::array::<Generic<u16, 5>>("structures with numbers for a parameter"),
    Shape::array::<Generic<*mut u8, 3>>("structures with pointers for a parameter"),
    Shape::array::<Table>("long structures"),
    SPARSE,
    Shape::array::<Irregular>("runs"),
    Shape::array::<Matrix>("arrays of arrays"),
    Shape::header_and_tail::<Header, Node>("nodes after a header"),
    Shape::header_and_tail::<Header, *mut u8>("pointers after a header"),
    Shape::header_and_tail::<Header, usize>("numbers after a header"),
];

/// An array of pointers.
pub const LINKS: Shape = Shape::array::<*mut u8>("pointers");

/// Two pointers and a long tail of numbers each.
pub const SPARSE: Shape = Shape::array::<Sparse>("masks with a long tail");

/// An array of numbers.
pub static NUMBERS: Shape = Shape::array::<usize>("numbers");

impl Typed for *mut u8 {
    fn holds_pointer(offset: usize) -> bool {
        offset == 0
    }

    fn leading_to(target: *mut u8) -> Self {
        target
    }
}

impl Typed for usize {
    fn holds_pointer(_: usize) -> bool {
        false
    }

    fn leading_to(_: *mut u8) -> Self {
        NUMBER
    }
}

impl Typed for u16 {
    fn holds_pointer(_: usize) -> bool {
        false
    }

    fn leading_to(_: *mut u8) -> Self {
        Self::MAX
    }
}

/// Fields of several sizes, in an order that the compiler chooses.
#[derive(Debug, Scannable)]
struct Node {
    key: u32,
    left: Option<NonNull<u8>>,
    is_red: bool,
    right: *mut u8,
    value: [u16; 3],
}

impl Typed for Node {
    fn holds_pointer(offset: usize) -> bool {
        [offset_of!(Self, left), offset_of!(Self, right)].contains(&offset)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            key: u32::MAX,
            left: NonNull::new(target),
            is_red: true,
            right: target,
            value: [u16::MAX; 3],
        }
    }
}

/// Fields without names.
#[derive(Debug, Scannable)]
struct Tuple(u64, *const u8, [AtomicPtr<u8>; 3]);

impl Typed for Tuple {
    fn holds_pointer(offset: usize) -> bool {
        offset == offset_of!(Self, 1) || in_field::<*mut u8>(offset, offset_of!(Self, 2), 3)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self(u64::MAX, target, [0; 3].map(|_| AtomicPtr::new(target)))
    }
}

/// Structures in a structure.
#[derive(Debug, Scannable)]
#[repr(C)]
struct Nested {
    tag: u8,
    nodes: [Node; 2],
    tuple: Tuple,
}

impl Typed for Nested {
    fn holds_pointer(offset: usize) -> bool {
        in_field::<Node>(offset, offset_of!(Self, nodes), 2)
            || in_field::<Tuple>(offset, offset_of!(Self, tuple), 1)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            tag: u8::MAX,
            nodes: [0; 2].map(|_| Node::leading_to(target)),
            tuple: Tuple::leading_to(target),
        }
    }
}

/// A structure whose pointers depend on its parameters.
#[derive(Debug, Scannable)]
struct Generic<T, const N: usize> {
    values: [T; N],
    link: Cell<*mut u8>,
}

impl<T: Typed, const N: usize> Typed for Generic<T, N> {
    fn holds_pointer(offset: usize) -> bool {
        offset == offset_of!(Self, link) || in_field::<T>(offset, offset_of!(Self, values), N)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            values: core::array::from_fn(|_| T::leading_to(target)),
            link: Cell::new(target),
        }
    }
}

/// More words than a mask has.
#[derive(Debug, Scannable)]
struct Table {
    head: Option<NonNull<Table>>,
    numbers: [usize; 150],
    rows: [Tuple; 20],
    tail: Node,
}

impl Typed for Table {
    fn holds_pointer(offset: usize) -> bool {
        offset == offset_of!(Self, head)
            || in_field::<Tuple>(offset, offset_of!(Self, rows), 20)
            || in_field::<Node>(offset, offset_of!(Self, tail), 1)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            head: NonNull::new(target.cast()),
            numbers: [NUMBER; 150],
            rows: [0; 20].map(|_| Tuple::leading_to(target)),
            tail: Node::leading_to(target),
        }
    }
}

/// A mask by hand.
#[derive(Debug)]
#[repr(C)]
struct Sparse {
    first: *mut u8,
    number: usize,
    second: *mut u8,
    numbers: [usize; 38],
}

// SAFETY: the first word and the third are the pointers.
unsafe impl Scannable for Sparse {
    const MAP: PointerMap<'static> = PointerMap::from_mask(41, 0b101);
}

impl Typed for Sparse {
    fn holds_pointer(offset: usize) -> bool {
        [offset_of!(Self, first), offset_of!(Self, second)].contains(&offset)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            first: target,
            number: NUMBER,
            second: target,
            numbers: [NUMBER; 38],
        }
    }
}

/// Runs by hand, of more words than a mask has.
#[derive(Debug)]
#[repr(C)]
struct Irregular {
    numbers: [usize; 7],
    pointers: [*mut u8; 3],
    pairs: [Pair; 40],
    more: [usize; 90],
    last: [*mut u8; 2],
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Pair {
    number: usize,
    pointer: *mut u8,
}

const RUNS: [Run; 3] = Run::sequence([(7, 3, 1), (1, 1, 40), (90, 2, 1)]);

// SAFETY: the runs are the fields', in their order.
unsafe impl Scannable for Irregular {
    const MAP: PointerMap<'static> = PointerMap::from_runs(182, &RUNS);
}

impl Typed for Irregular {
    fn holds_pointer(offset: usize) -> bool {
        let pairs = offset_of!(Self, pairs)..offset_of!(Self, more);
        let in_pair = offset.wrapping_sub(pairs.start) % size_of::<Pair>();
        in_field::<*mut u8>(offset, offset_of!(Self, pointers), 3)
            || pairs.contains(&offset) && in_pair == offset_of!(Pair, pointer)
            || in_field::<*mut u8>(offset, offset_of!(Self, last), 2)
    }

    fn leading_to(target: *mut u8) -> Self {
        let pair = Pair {
            number: NUMBER,
            pointer: target,
        };
        Self {
            numbers: [NUMBER; 7],
            pointers: [target; 3],
            pairs: [pair; 40],
            more: [NUMBER; 90],
            last: [target; 2],
        }
    }
}

/// An array by hand.
#[derive(Debug)]
#[repr(C)]
struct Matrix {
    rows: [[Sparse; 2]; 3],
}

// SAFETY: six values side by side are all there is.
unsafe impl Scannable for Matrix {
    const MAP: PointerMap<'static> = PointerMap::array(&Sparse::MAP, 6);
}

impl Typed for Matrix {
    fn holds_pointer(offset: usize) -> bool {
        in_field::<Sparse>(offset, offset_of!(Self, rows), 6)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            rows: [0; 3].map(|_| [0; 2].map(|_| Sparse::leading_to(target))),
        }
    }
}

/// The header of an object with elements.
#[derive(Debug, Scannable)]
#[repr(C, align(8))]
struct Header {
    length: usize,
    owner: *mut u8,
}

impl Typed for Header {
    fn holds_pointer(offset: usize) -> bool {
        offset == offset_of!(Self, owner)
    }

    fn leading_to(target: *mut u8) -> Self {
        Self {
            length: NUMBER,
            owner: target,
        }
    }
}

const _: () = assert!(
    size_of::<Sparse>() == 41 * WORD && size_of::<Irregular>() == 182 * WORD,
    "the maps made by hand have as many words as their types"
);
