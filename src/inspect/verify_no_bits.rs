//! Without a heap bitmap: nothing to verify.

use archipelago_api::{Kernel, Machine};

use super::check::Check;
use super::rules::Violation;
use crate::arena::ArenaIndex;
use crate::region::Windows;

impl<M: Machine, K: Kernel> Check<'_, M, K> {
    #[inline(always)]
    pub(super) fn ready_parts(_: &ArenaIndex<M>, _: &Windows) -> usize {
        0
    }

    #[inline(always)]
    pub(super) fn verify_bits(&self, _: usize) -> Result<(), Violation> {
        Ok(())
    }
}
