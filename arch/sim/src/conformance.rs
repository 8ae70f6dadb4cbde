//! The controls of a simulated machine that the conformance suite uses.

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
