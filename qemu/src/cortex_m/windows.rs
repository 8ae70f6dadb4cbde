//! The windows of heaps, in the banks of RAM.

use archipelago::Window;

/// A window in the second bank, after the image's statics. The statics, the window and the memory
/// that [`carve`](super::Frames::carve) gives first fill the 4 MiB of the bank.
pub const HEAP_WINDOW: Window = Window::new(0x2008_0000, 3 << 20);

/// A window in the third bank, after the boot block.
pub const SECOND_WINDOW: Window = Window::new(0x2140_0000, 3 << 20);

/// A window directly above [`SECOND_WINDOW`].
pub const THIRD_WINDOW: Window = Window::new(0x2170_0000, 512 << 10);
