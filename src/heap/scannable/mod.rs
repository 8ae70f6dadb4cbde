//! Scannable objects, which the heap bitmap describes: a twin without the feature `heap-bits`.

#[cfg(feature = "heap-bits")]
mod alloc;
#[cfg(feature = "heap-bits")]
mod hooks;
#[cfg(not(feature = "heap-bits"))]
mod none;
#[cfg(feature = "heap-bits")]
mod resize;
#[cfg(all(test, feature = "heap-bits"))]
mod tests;
