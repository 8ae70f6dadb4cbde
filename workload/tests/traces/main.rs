//! The recorded traces, damaged ones, and replays of both.

mod common;
mod damaged;
mod recorded;
mod replay;
