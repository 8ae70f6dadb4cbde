//! Rules of a heap, and how a broken one is reported.

use core::fmt;

use archipelago_api::{Machine, VirtAddr};

use crate::base::PageIdx;

/// A rule of the heap that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule, as a sentence that should hold.
    pub rule: &'static str,
    /// The address at which the rule is broken, if there is one.
    pub address: Option<VirtAddr>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "broken at {address}: {}", self.rule),
            None => write!(f, "broken: {}", self.rule),
        }
    }
}

impl core::error::Error for Violation {}

/// Reports `rule` unless it `holds`.
pub(super) fn rule(holds: bool, rule: &'static str) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            rule,
            address: None,
        })
    }
}

/// Reports `rule` at the first address of `page` unless it `holds`.
pub(super) fn rule_at<M: Machine>(
    holds: bool,
    page: PageIdx,
    rule: &'static str,
) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            rule,
            address: Some(page.address::<M>()),
        })
    }
}

/// Reports `rule` at `address` unless it `holds`.
#[cfg(feature = "heap-bits")]
pub(super) fn rule_at_address(
    holds: bool,
    address: VirtAddr,
    rule: &'static str,
) -> Result<(), Violation> {
    if holds {
        return Ok(());
    }
    Err(Violation {
        rule,
        address: Some(address),
    })
}
