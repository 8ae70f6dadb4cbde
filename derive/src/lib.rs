//! Derives `archipelago::bits::Scannable`: which words of a structure hold pointers.
//!
//! ```
//! use archipelago::bits::Scannable;
//! use archipelago_derive::Scannable;
//! use core::ptr::NonNull;
//!
//! #[derive(Scannable)]
//! struct Node<T> {
//!     parent: Option<NonNull<Node<T>>>,
//!     children: [*mut Node<T>; 2],
//!     value: T,
//! }
//!
//! // Three pointers of its own, and one in the value.
//! assert_eq!(Node::<NonNull<u8>>::MAP.pointers(), 4);
//! assert_eq!(Node::<[u8; 1000]>::MAP.pointers(), 3);
//! ```
//!
//! The type of every field needs a map, in generic structures, too:
//!
//! ```compile_fail,E0277
//! use archipelago_derive::Scannable;
//!
//! #[derive(Scannable)]
//! struct Named {
//!     name: &'static str,
//! }
//! ```
//!
//! ```compile_fail,E0277
//! use archipelago::bits::Description;
//! use archipelago_derive::Scannable;
//!
//! #[derive(Scannable)]
//! struct Pair<T>(*mut T, T);
//!
//! Description::of::<Pair<u32>>();
//! // A string has no map, and so a pair of one has none.
//! Description::of::<Pair<String>>();
//! ```
//!
//! An enumeration has no map, because the words that hold pointers depend on its variant; nor has a
//! union.
//!
//! ```compile_fail
//! use archipelago_derive::Scannable;
//!
//! #[derive(Scannable)]
//! enum Value {
//!     Number(usize),
//!     Pointer(*mut u8),
//! }
//! ```
//!
//! ```compile_fail
//! use archipelago_derive::Scannable;
//!
//! #[derive(Scannable)]
//! union Either {
//!     number: usize,
//!     pointer: *mut u8,
//! }
//! ```
//!
//! A pointer in a packed structure can lie between two words; then the map stops the compilation.
//!
//! ```compile_fail,E0080
//! use archipelago::bits::Scannable;
//! use archipelago_derive::Scannable;
//!
//! #[derive(Scannable)]
//! #[repr(C, packed)]
//! struct Packed {
//!     tag: u8,
//!     pointer: *mut u8,
//! }
//!
//! const WORDS: usize = Packed::MAP.words();
//! ```

mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `archipelago::bits::Scannable` for a structure, from the maps of its fields.
///
/// The implementation of a generic type requires that the type of every field has a map.
#[proc_macro_derive(Scannable)]
pub fn derive_scannable(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::scannable(&input)
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
