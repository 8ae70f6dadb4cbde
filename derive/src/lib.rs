//! Derives `archipelago::bits::Mapped`: which words of a structure hold pointers.
//!
//! ```
//! use archipelago::bits::Mapped;
//! use archipelago_derive::Mapped;
//! use core::ptr::NonNull;
//!
//! #[derive(Mapped)]
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
//! Every field's type has a map itself, generic ones too:
//!
//! ```compile_fail,E0277
//! use archipelago_derive::Mapped;
//!
//! #[derive(Mapped)]
//! struct Named {
//!     name: &'static str,
//! }
//! ```
//!
//! ```compile_fail,E0277
//! use archipelago::bits::Description;
//! use archipelago_derive::Mapped;
//!
//! #[derive(Mapped)]
//! struct Pair<T>(*mut T, T);
//!
//! Description::of::<Pair<u32>>();
//! // A string has no map, and so a pair of one has none.
//! Description::of::<Pair<String>>();
//! ```
//!
//! Which words of an enumeration hold pointers depends on its variant, so there is no map of it;
//! nor is there one of a union.
//!
//! ```compile_fail
//! use archipelago_derive::Mapped;
//!
//! #[derive(Mapped)]
//! enum Value {
//!     Number(usize),
//!     Pointer(*mut u8),
//! }
//! ```
//!
//! ```compile_fail
//! use archipelago_derive::Mapped;
//!
//! #[derive(Mapped)]
//! union Either {
//!     number: usize,
//!     pointer: *mut u8,
//! }
//! ```
//!
//! A pointer in a packed structure can lie between two words; then the map stops the compilation.
//!
//! ```compile_fail,E0080
//! use archipelago::bits::Mapped;
//! use archipelago_derive::Mapped;
//!
//! #[derive(Mapped)]
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

/// Implements `archipelago::bits::Mapped` for a structure, from the maps of its fields.
///
/// Where the type has parameters, the implementation holds for those that give every field a map.
#[proc_macro_derive(Mapped)]
pub fn derive_mapped(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::mapped(&input)
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
