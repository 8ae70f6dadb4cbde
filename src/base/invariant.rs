//! Steps that cannot fail unless a structure of the heap is damaged.

use archipelago_api::{Fault, Kernel, Report};

/// The value of a step that was made certain beforehand. An error means that a structure of the
/// heap is damaged, and stops the machine with `rule`, the sentence that should have held.
#[inline]
pub(crate) fn expect_invariant<K: Kernel, T, E>(result: Result<T, E>, rule: &'static str) -> T {
    match result {
        Ok(value) => value,
        Err(_) => corrupted::<K>(rule),
    }
}

/// Stops the machine over a broken rule.
#[cold]
fn corrupted<K: Kernel>(rule: &'static str) -> ! {
    K::stop(&Report {
        fault: Fault::Corruption(rule),
        address: None,
        layout: None,
        span: None,
    })
}
