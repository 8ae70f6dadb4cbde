//! Types that say which of their words hold pointers.

use core::cell::{Cell, UnsafeCell};
use core::marker::{PhantomData, PhantomPinned};
use core::mem::{ManuallyDrop, offset_of, size_of};
use core::num::{NonZero, Wrapping};
use core::pin::Pin;
use core::ptr::NonNull;
use core::sync::atomic;

use super::map::{Field, PointerMap};

/// A type with a pointer map.
///
/// Implementations exist for numbers and functions, which are no pointers into a heap; for thin
/// pointers (references, [`NonNull`], `Option`s of both, raw pointers and `AtomicPtr`); and for
/// arrays, tuples and cells of such types. For structures, `archipelago-derive` derives it; a
/// pointer that is not to be followed is a `usize`, or hidden in a type of its own whose map is
/// [`PointerMap::none`]. Pointers to slices and trait objects have no map, since nothing promises
/// which of their words is the address: keep a thin pointer and the length.
///
/// # Safety
/// - `MAP` has as many words as the type, the last one counted whole;
/// - in every value of the type, the words that `MAP` says are pointers are initialised, and hold
///   null or an address.
#[diagnostic::on_unimplemented(
    message = "nothing says which words of `{Self}` hold pointers",
    label = "has no pointer map",
    note = "structures derive it: `#[derive(archipelago_derive::Scannable)]`",
    note = "in the place of a pointer to a slice or to a trait object, hold a thin pointer"
)]
pub unsafe trait Scannable {
    /// The pointer map of the type.
    const MAP: PointerMap<'static>;

    /// The fields that `MAP` was made from, where it was made from fields.
    #[doc(hidden)]
    const FIELDS: &'static [Field<'static>] = &[];
}

macro_rules! thin_pointers {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY:
            // - the type is one word, and so is its map;
            // - the word is initialised in every value, and holds null or an address.
            unsafe impl<T> Scannable for $type {
                const MAP: PointerMap<'static> = PointerMap::from_mask(1, 1);
            }
        )*
    };
}

thin_pointers! {
    NonNull<T>, Option<NonNull<T>>,
    &T, &mut T, Option<&T>, Option<&mut T>,
    *const T, *mut T, atomic::AtomicPtr<T>,
}

// SAFETY:
// - an array has the words of its elements, which lie side by side;
// - each element's pointers are those of its type's map, repeated at its place.
unsafe impl<T: Scannable, const N: usize> Scannable for [T; N] {
    const MAP: PointerMap<'static> = if T::MAP.described() == 0 {
        // The elements need not be whole words.
        PointerMap::none(size_of::<Self>())
    } else {
        PointerMap::array(&T::MAP, N)
    };
}

macro_rules! wrappers {
    ($($type:ident),* $(,)?) => {
        $(
            // SAFETY:
            // - the wrapper has the layout of its content, and so the words of its map;
            // - the content is initialised, and its pointers are where its map says.
            unsafe impl<T: Scannable> Scannable for $type<T> {
                const MAP: PointerMap<'static> = T::MAP;
            }
        )*
    };
}

wrappers! { Cell, UnsafeCell, ManuallyDrop, Pin }

// SAFETY:
// - the type has no words;
// - so none of them holds a pointer.
unsafe impl<T: ?Sized> Scannable for PhantomData<T> {
    const MAP: PointerMap<'static> = PointerMap::none(0);
}

macro_rules! without_pointers {
    ($($(#[$attribute:meta])* $type:ty),* $(,)?) => {
        $(
            $(#[$attribute])*
            // SAFETY:
            // - the map has the words of the type's bytes;
            // - none of them holds a pointer.
            unsafe impl Scannable for $type {
                const MAP: PointerMap<'static> = PointerMap::none(size_of::<$type>());
            }
        )*
    };
}

without_pointers! {
    (), PhantomPinned, bool, char, f32, f64,
    u8, u16, u32, u64, u128, usize,
    i8, i16, i32, i64, i128, isize,
    NonZero<u8>, NonZero<u16>, NonZero<u32>, NonZero<u64>, NonZero<u128>, NonZero<usize>,
    NonZero<i8>, NonZero<i16>, NonZero<i32>, NonZero<i64>, NonZero<i128>, NonZero<isize>,
    Wrapping<u8>, Wrapping<u16>, Wrapping<u32>, Wrapping<u64>, Wrapping<usize>,
    Wrapping<i8>, Wrapping<i16>, Wrapping<i32>, Wrapping<i64>, Wrapping<isize>,
    core::time::Duration, core::alloc::Layout,
    atomic::AtomicBool,
    atomic::AtomicU8, atomic::AtomicU16, atomic::AtomicU32, atomic::AtomicUsize,
    atomic::AtomicI8, atomic::AtomicI16, atomic::AtomicI32, atomic::AtomicIsize,
}

macro_rules! tuples {
    ($(($($element:ident $place:tt),+)),* $(,)?) => {
        $(
            // SAFETY:
            // - the map has the words of the tuple's bytes;
            // - each element lies where `offset_of` says, and its pointers where its map says.
            unsafe impl<$($element: Scannable),+> Scannable for ($($element,)+) {
                const FIELDS: &'static [Field<'static>] = &[$(
                    Field {
                        offset: offset_of!(Self, $place),
                        map: &$element::MAP,
                    },
                )+];
                const MAP: PointerMap<'static> =
                    PointerMap::from_fields(size_of::<Self>(), Self::FIELDS);
            }
        )*
    };
}

tuples! {
    (A 0),
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5),
}

macro_rules! functions {
    ($(($($argument:ident),*)),* $(,)?) => {
        $(
            function! { fn($($argument),*) -> R, R $(, $argument)* }
            function! { unsafe fn($($argument),*) -> R, R $(, $argument)* }
            function! { extern "C" fn($($argument),*) -> R, R $(, $argument)* }
            function! { unsafe extern "C" fn($($argument),*) -> R, R $(, $argument)* }
        )*
    };
}

macro_rules! function {
    ($type:ty, $($parameter:ident),*) => {
        // SAFETY:
        // - the map has the words of the type's bytes;
        // - a function pointer points to code, and so to no object.
        unsafe impl<$($parameter),*> Scannable for $type {
            const MAP: PointerMap<'static> = PointerMap::none(size_of::<Self>());
        }
        // SAFETY:
        // - the map has the words of the type's bytes;
        // - a function pointer points to code, and so to no object, or is null.
        unsafe impl<$($parameter),*> Scannable for Option<$type> {
            const MAP: PointerMap<'static> = PointerMap::none(size_of::<Self>());
        }
    };
}

functions! { (), (A), (A, B), (A, B, C), (A, B, C, D) }
