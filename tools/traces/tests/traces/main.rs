//! The recorded traces, damaged ones, and replays of both.

#[cfg(test)]
mod common;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod replay;
