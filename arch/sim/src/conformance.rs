//! What the conformance suite may do with a simulated machine beside calling it.

use archipelago_conformance::{Contend, Exhaust};

use crate::geometry::SimGeometry;
use crate::sim::Sim;

impl<G: SimGeometry> Exhaust for Sim<G> {
    fn set_available_frames(&self, frames: usize) {
        self.shared().books().frames.set_available(frames);
    }

    fn frames_in_use(&self) -> usize {
        let books = self.shared().books();
        books.frames.taken() - books.frames.returned()
    }
}

impl<G: SimGeometry> Contend for Sim<G> {
    fn while_held(&self, act: &mut dyn FnMut()) {
        let _held = self.hold();
        act();
    }
}
