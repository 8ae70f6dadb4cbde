//! What the heap bitmap takes on the recorded traces: no more than its share of the pages.

use archipelago_bench::{BitmapPeak, TRACES, bitmap_peak};
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{Plain32, SimGeometry};

fn takes_at_most<G: SimGeometry>(permille: usize) {
    for name in TRACES {
        let peak = bitmap_peak::<G>(name, 16);
        let BitmapPeak { bitmap, ready, .. } = peak;
        assert!(bitmap > 0, "{name}: objects hold pointers");
        assert!(1000 * bitmap <= permille * ready, "{name}: {peak:?}");
        let none = bitmap_peak::<G>(name, usize::MAX);
        assert_eq!(none.bitmap, 0, "{name}: no object holds pointers");
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_bitmap_of_a_64_bit_heap_is_a_thirty_second() {
    takes_at_most::<X86_64>(32);
}

#[test]
fn the_bitmap_of_a_32_bit_heap_is_a_sixteenth() {
    takes_at_most::<Plain32>(63);
}
