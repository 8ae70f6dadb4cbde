//! Statistics of a heap without page tables name nothing that only page tables have.

use core::alloc::Layout;

use archipelago::Heap;
use archipelago_flat::{AllocFlags, FlatHeap, Small};
use archipelago_sim::{Hosted, Plain32, Sim};

use crate::common::Block;

/// The words for what a machine with page tables alone has.
const PAGING: [&str; 6] = [
    "prepared",
    "reserved",
    "table",
    "frame",
    "footprint",
    "scavenged",
];

/// The words among them that a text has.
fn paging_in(text: &str) -> Vec<&str> {
    let words = PAGING.into_iter();
    words.filter(|word| text.contains(word)).collect()
}

#[test]
fn statistics_without_page_tables_do_not_mention_them() {
    let bytes = 1 << 20;
    let heap = FlatHeap::<Hosted, Small<21, 10>>::empty();
    let block = Block::new(bytes, 0);
    // SAFETY:
    // - the block can be read and written;
    // - only the heap uses it, and the block outlives the heap's use.
    unsafe { heap.init(block.start(), bytes) }.expect("a good block");
    let object = heap.allocate(Layout::new::<[u64; 9]>(), AllocFlags::empty());
    assert!(object.is_ok());
    let stats = heap.stats();
    let [shown, debugged] = [stats.to_string(), format!("{stats:?}")];
    for text in [&shown, &debugged] {
        assert_eq!(paging_in(text), [""; 0], "{text}");
    }
    let numbers = |text: &str| -> Vec<usize> {
        let words = text.split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let lines = numbers(&shown);
    let (ready, left) = (stats.mapped_ready, stats.prepared + stats.reserved);
    assert_eq!(lines.first(), Some(&ready));
    assert_eq!(lines.last(), Some(&left));
    assert!(
        left > 0 && shown.ends_with("bytes not taken yet"),
        "{shown}"
    );
    assert!(debugged.contains("not_taken"), "{debugged}");
}

#[test]
fn statistics_with_page_tables_mention_all_of_them() {
    let stats = Heap::<Sim<Plain32>, Hosted>::new().stats();
    let shown = stats.to_string();
    assert_eq!(
        paging_in(&shown),
        ["prepared", "reserved", "table", "frame"]
    );
    let debugged = format!("{stats:?}");
    assert_eq!(paging_in(&debugged), PAGING);
}
