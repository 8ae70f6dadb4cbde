//! The size of the reserve, as the readme has it counted: a span for each size that handlers
//! allocate, and as many more as their objects take.

use archipelago::{AllocFlags, Purpose};
use archipelago_sim::X86_64;
use archipelago_testing::{Block, Rig, layout};

const PACKET: usize = 1500;

/// Allocates in a handler until a request is refused, and returns the objects.
fn until_refused(rig: &Rig<X86_64>, bytes: usize) -> Vec<Block> {
    let allocate = || rig.allocate(layout(bytes, 8), AllocFlags::ATOMIC).ok();
    core::iter::from_fn(allocate).collect()
}

#[test]
fn forty_packets_take_the_pages_that_the_readme_counts() {
    let rig = Rig::<X86_64>::new();
    rig.heap.set_reserve(5 * 3).expect("there is memory");
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 15 * 4096);
    let packets = until_refused(&rig, PACKET);
    assert_eq!(packets.len(), 40);

    // Packets that handlers free serve the next ones: no page is needed.
    for packet in packets {
        rig.free(packet);
    }
    let again = until_refused(&rig, PACKET);
    assert_eq!(again.len(), 40);

    // An ordinary request that needs pages fills the reserve again, as does a call.
    rig.allocate(layout(100_000, 8), AllocFlags::empty())
        .expect("there is memory");
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 15 * 4096);
    assert_eq!(until_refused(&rig, PACKET).len(), 40);
    rig.heap.set_reserve(5 * 3).expect("there is memory");
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 15 * 4096);
}

#[test]
fn each_size_takes_a_span_of_a_few_pages() {
    let mut most = Vec::new();
    for sizes in [1..=1024, 1025..=32 << 10] {
        let pages = sizes.step_by(7).map(|bytes| {
            let rig = Rig::<X86_64>::new();
            rig.allocate(layout(bytes, 8), AllocFlags::empty())
                .expect("there is memory");
            rig.heap.stats().of(Purpose::Objects) / 4096
        });
        most.push(pages.max());
    }
    assert_eq!(most, [Some(5), Some(16)]);
}
