//! The heap's memory on the recorded traces: no more than its bounds.

#[cfg(feature = "heap-bits")]
use archipelago_bench::{BitmapPeak, bitmap_peak};
use archipelago_bench::{TRACES, memory_peak};
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{Plain32, SimGeometry};

/// Bytes of frames for each live byte at the peak, at most, in the order of the traces.
const MOST: [f64; 4] = [1.125, 1.13, 1.08, 1.28];

fn holds_at_most<G: SimGeometry>() {
    for (name, most) in TRACES.into_iter().zip(MOST) {
        let peak = memory_peak::<G>(name);
        assert!(peak.live > 0, "{name}: the peak was reached");
        assert!(peak.ratio() <= most, "{name}: {peak:?}");
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn traces_stay_within_their_memory_on_64_bits() {
    holds_at_most::<X86_64>();
}

#[test]
fn traces_stay_within_their_memory_on_32_bits() {
    holds_at_most::<Plain32>();
}

#[cfg(feature = "heap-bits")]
fn bitmap_takes_at_most<G: SimGeometry>(permille: usize) {
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
#[cfg(all(feature = "heap-bits", target_pointer_width = "64"))]
fn the_bitmap_of_a_64_bit_heap_is_about_a_thirtieth() {
    bitmap_takes_at_most::<X86_64>(35);
}

#[test]
#[cfg(feature = "heap-bits")]
fn the_bitmap_of_a_32_bit_heap_is_about_a_fifteenth() {
    bitmap_takes_at_most::<Plain32>(69);
}
