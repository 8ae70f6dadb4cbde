//! The shapes of scannable objects: their maps, and the places where the compiler put pointers.

use core::alloc::Layout;
use core::fmt;

use archipelago::bits::{Description, PointerMap, Scannable};

/// Bytes of a word.
pub const WORD: usize = size_of::<usize>();

/// A scannable type that also knows from its fields, and not from its map, where its pointers are.
pub trait Typed: Scannable + Sized {
    /// Whether the word at `offset`, in bytes from the start of a value, holds a pointer.
    fn holds_pointer(offset: usize) -> bool;

    /// A value whose pointers all lead to `target`.
    fn leading_to(target: *mut u8) -> Self;
}

/// Whether the word at `offset` of a structure is a pointer of one of `count` values of `T` that
/// lie in it from `first` on.
#[must_use]
pub fn in_field<T: Typed>(offset: usize, first: usize, count: usize) -> bool {
    let into = offset.checked_sub(first);
    into.is_some_and(|into| {
        into < count * size_of::<T>() && T::holds_pointer(into % size_of::<T>())
    })
}

/// Values of one type, side by side.
#[derive(Clone, Copy)]
struct Part {
    map: &'static PointerMap<'static>,
    layout: Layout,
    holds_pointer: fn(usize) -> bool,
    write: unsafe fn(*mut u8, *mut u8),
}

impl Part {
    const fn of<T: Typed>() -> Self {
        Self {
            map: const { &T::MAP },
            layout: Layout::new::<T>(),
            holds_pointer: T::holds_pointer,
            write: write::<T>,
        }
    }
}

/// Writes a value that leads to `target`.
///
/// # Safety
/// `place` is valid for writes of a `T`, and aligned for one.
unsafe fn write<T: Typed>(place: *mut u8, target: *mut u8) {
    // SAFETY: the caller promises that the place is valid for the write, and aligned.
    unsafe { place.cast::<T>().write(T::leading_to(target)) };
}

/// The shape of an object: an optional header, and any number of elements.
pub struct Shape {
    /// The name of an object of this shape.
    pub name: &'static str,
    header: Option<Part>,
    element: Part,
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Shape {
    /// Elements alone.
    #[must_use]
    pub const fn array<T: Typed>(name: &'static str) -> Self {
        Self {
            name,
            header: None,
            element: Part::of::<T>(),
        }
    }

    /// A header before the elements.
    #[must_use]
    pub const fn header_and_tail<H: Typed, T: Typed>(name: &'static str) -> Self {
        const {
            assert!(
                size_of::<H>() % WORD == 0 && size_of::<H>() % align_of::<T>() == 0,
                "the first element directly follows the header"
            );
        }
        Self {
            name,
            header: Some(Part::of::<H>()),
            element: Part::of::<T>(),
        }
    }

    /// How many elements an object of `bytes` bytes has room for, if it has room for the header.
    #[must_use]
    pub fn count_in(&self, bytes: usize) -> Option<usize> {
        let room = bytes.checked_sub(self.header_bytes())?;
        Some(room / self.element.layout.size())
    }

    pub(super) fn layout(&self, count: usize) -> Layout {
        let bytes = self.header_bytes() + count * self.element.layout.size();
        let header = self.header.map_or(1, |part| part.layout.align());
        let align = self.element.layout.align().max(header);
        Layout::from_size_align(bytes, align).expect("an object far below the top")
    }

    pub(super) fn description(&self, count: usize) -> Description<'static> {
        match self.header {
            Some(header) => Description::header_and_tail(header.map, self.element.map, count),
            None => Description::array(self.element.map, count),
        }
    }

    /// Whether the word at `offset` of an object holds a pointer: by the fields, not by the map.
    pub(super) fn holds_pointer(&self, count: usize, offset: usize) -> bool {
        match (self.header, offset.checked_sub(self.header_bytes())) {
            (Some(header), None) => (header.holds_pointer)(offset),
            (_, Some(into)) => {
                let bytes = self.element.layout.size();
                into < count * bytes && (self.element.holds_pointer)(into % bytes)
            }
            (None, None) => false,
        }
    }

    /// Writes an object whose pointers lead to `target`.
    ///
    /// # Safety
    /// `place` is valid for writes of an object of that many elements, and aligned for one.
    pub(super) unsafe fn write(&self, count: usize, place: *mut u8, target: *mut u8) {
        if let Some(header) = self.header {
            // SAFETY: the object begins with the header.
            unsafe { (header.write)(place, target) };
        }
        let bytes = self.element.layout.size();
        for index in 0..count {
            let element = place.wrapping_add(self.header_bytes() + index * bytes);
            // SAFETY: the elements follow the header, whose end is aligned for them.
            unsafe { (self.element.write)(element, target) };
        }
    }

    fn header_bytes(&self) -> usize {
        self.header.map_or(0, |part| part.layout.size())
    }
}
