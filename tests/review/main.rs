//! Mistakes that were found by reading, each with the state that shows it.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

mod early;
mod reserve;
mod settling;
mod shapes;
mod watchers;
