//! Every workload in short, on the heap that does nothing and on the heap in a process.

use core::alloc::Layout;
use std::collections::HashMap;

use archipelago_host::HostHeap;
use archipelago_workloads::{Action, Nothing, Row, Scale, Workload};

#[test]
fn every_workload_runs_and_leaves_nothing_live() {
    for row in Row::ALL {
        let work = row.make(Scale::Short);
        assert!(work.actions() >= 100, "{}", row.name());
        work.run(&Nothing);
        let heap = HostHeap::new();
        work.run(&heap);
        let mut slots = work.slots();
        for _ in 0..3 {
            work.repeat(&mut slots, &heap);
        }
        let stats = heap.stats();
        assert_eq!(
            stats.small_objects + stats.large_objects,
            0,
            "{}",
            row.name()
        );
        assert_eq!(heap.verify(), Ok(()), "{}", row.name());
    }
}

/// A block that is live, with the number that fills its first byte.
type Live = HashMap<usize, (*mut u8, Layout, u8)>;

#[test]
fn blocks_are_aligned_and_keep_what_is_written() {
    for row in Row::ALL {
        let (heap, mut live, mut number) = (HostHeap::new(), Live::new(), 0_u8);
        let work = row.make(Scale::Short);
        let mut seen = 0;
        work.inspect(&heap, |action: &Action, block| {
            seen += 1;
            if action.is_free() {
                live.remove(&action.slot());
                return;
            }
            assert_eq!(block.addr() % action.layout().align(), 0, "{}", row.name());
            number = number.wrapping_add(1);
            // SAFETY: the block is live and has the layout's bytes.
            unsafe { block.write_bytes(number, action.layout().size()) };
            live.insert(action.slot(), (block, action.layout(), number));
            for (block, layout, number) in live.values() {
                // SAFETY: the block is live and has the layout's bytes.
                let bytes = unsafe { core::slice::from_raw_parts(*block, layout.size()) };
                assert!(bytes.first() == Some(number) && bytes.last() == Some(number));
            }
        });
        assert_eq!(seen, work.all_actions(), "{}", row.name());
        assert!(live.is_empty(), "{}", row.name());
    }
}

#[test]
fn a_churn_keeps_as_many_blocks_live_as_it_says() {
    let row = Row::find("c300").expect("a row");
    let (mut live, mut most, mut sum) = (0_usize, 0, 0);
    let work = row.make(Scale::Full);
    work.inspect(&Nothing, |action, _| {
        live = if action.is_free() { live - 1 } else { live + 1 };
        most = most.max(live);
        sum += 1;
    });
    assert_eq!((live, most), (0, 300));
    assert_eq!((work.actions(), sum), (60_000, work.all_actions()));
}

#[test]
fn names_stand_for_one_row_each() {
    for row in Row::ALL {
        assert_eq!(Row::find(row.name()), Some(row));
        assert!(!row.about().is_empty());
    }
    assert_eq!(Row::find("c301"), None);
}

#[test]
#[should_panic(expected = "refused")]
fn a_heap_that_is_full_stops_a_workload() {
    let layout = Layout::new::<[u64; 8]>();
    let allocate = |slot| Action::allocate(slot, layout, false);
    let all = (0..1_000_000).map(allocate).collect();
    Workload::new(Vec::new(), all).run(&HostHeap::with_window(8 << 20));
}
