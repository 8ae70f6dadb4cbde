//! Recorded allocation traces.
#![no_std]
