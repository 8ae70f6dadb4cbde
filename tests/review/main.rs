//! Mistakes that were found by reading, each with the state that shows it.

mod early;
mod reserve;
mod settling;
mod shapes;
mod watchers;
