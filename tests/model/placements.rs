//! The model in windows all over the address space.

use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, placements};

fn a_heap_serves_in_every_placement<G: SimGeometry>() {
    for placement in placements::<G>(1 << 20) {
        println!("{}", placement.name);
        let rig = Rig::<G>::on(Sim::builder().build(), &placement.windows);
        if let Some(window) = placement.later {
            rig.heap.add_window(window).expect("a good window");
        }
        let blocks: Vec<_> = (1..200).map(|number| rig.get(number * 7, 8)).collect();
        for (id, block) in (0..).zip(&blocks) {
            block.fill(id);
        }
        rig.check();
        for (id, block) in (0..).zip(blocks) {
            assert_eq!(block.find_damage(id, block.layout.size()), None);
            rig.free(block);
            rig.check();
        }
    }
}

archipelago_testing::on_every_geometry!(a_heap_serves_in_every_placement);
