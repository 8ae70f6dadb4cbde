//! Tests of the spans of one CPU, on a stage without a heap.

mod blocks;
mod credit;
mod exchange;
mod frees;
mod kept;
mod map;
mod notices;
mod outside;
mod places;
mod slots;
mod stage;
