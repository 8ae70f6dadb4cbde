//! Without a heap bitmap: nothing to verify.

use archipelago_api::{Kernel, Machine};

use super::rules::Violation;
use crate::heap::Heap;
use crate::pageheap::{HeldPool, Online};
use crate::region::Windows;

impl<M: Machine, K: Kernel> Heap<M, K> {
    #[inline(always)]
    pub(super) fn verify_bits(
        &self,
        _: &Online<M>,
        _: &Windows,
        _: &HeldPool<'_, M, K>,
        _: usize,
    ) -> Result<(), Violation> {
        Ok(())
    }
}
