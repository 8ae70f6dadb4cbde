//! Host times of requests: `cargo bench --package archipelago-host-times`.
#![no_std]
