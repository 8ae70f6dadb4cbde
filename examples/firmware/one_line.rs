//! The usual firmware: a part of its RAM is the heap's, declared in one line. There is nothing to
//! call at start. The implementation of critical sections is the `cortex-m` crate's.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use archipelago_qemu::{Boot, Verdict, entry, exit, println, protocol};
use cortex_m as _;

archipelago_firmware::heap!(HEAP, 32 * 1024);

entry!(main);

fn main(_: Boot) -> ! {
    protocol::plan(2);
    protocol::test(1, "collections work", || {
        let squares: Vec<u32> = (1..=1000).map(|n| n * n).collect();
        let text: String = squares.iter().map(|n| n.to_string() + " ").collect();
        assert!(text.ends_with(" 998001 1000000 "));
        HEAP.verify().expect("the heap is sound");
    });
    protocol::test(2, "a request for more than there is is refused", || {
        let mut numbers: Vec<u8> = Vec::new();
        let refused = numbers.try_reserve(32 * 1024);
        assert!(refused.is_err());
    });
    println!("# {:?}", HEAP.stats());
    exit(Verdict::Pass)
}
