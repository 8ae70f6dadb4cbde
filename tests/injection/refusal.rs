//! The errors of refused operations, and whether they are the documented ones.

use core::fmt;

use archipelago::{AllocError, Cause, InitError};
use archipelago_api::{Geometry, ReserveError};
use archipelago_sim::{Call, Kind};

/// The error of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Request(AllocError),
    Window(InitError),
    Reserve(Cause),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Window(error) => error.fmt(f),
            Self::Reserve(cause) => cause.fmt(f),
        }
    }
}

impl Refusal {
    /// The step that refused, unless it was `reserve`.
    pub(crate) fn cause(self) -> Option<Cause> {
        match self {
            Self::Request(AllocError { cause, .. })
            | Self::Window(InitError::Metadata { cause })
            | Self::Reserve(cause) => Some(cause),
            Self::Window(_) => None,
        }
    }

    /// Whether this error is the documented one for a failure of `call`, which had one frame, or
    /// granule, less than it needed.
    pub(crate) fn is_of(self, call: Call, geometry: Geometry) -> bool {
        let granules = call.range.bytes() >> geometry.granule_shift;
        match (call.kind, self.cause()) {
            (Kind::Commit, Some(Cause::Frames { needed, available })) => {
                // The figures are those of the request, of which the call is a part.
                needed >= granules && available < needed
            }
            // Tables are made of frames, and there is at most one for each granule and level above
            // it.
            (Kind::Prepare, Some(Cause::PageTables { needed, available })) => {
                (1..=4 * granules).contains(&needed) && available + 1 == needed
            }
            (Kind::Reserve, None) => match self {
                Self::Window(InitError::Reserve { window, error }) => {
                    window.base == call.range.base().value()
                        && error
                            == ReserveError::Occupied {
                                occupied: call.range,
                            }
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether this error is the documented one for a machine that was busy while interrupts were
    /// masked.
    pub(crate) fn is_busy(self) -> bool {
        match self.cause() {
            Some(Cause::NotReady { bytes }) => bytes > 0,
            Some(cause) => cause == Cause::Busy,
            None => matches!(
                self,
                Self::Window(
                    InitError::Busy
                        | InitError::Reserve {
                            error: ReserveError::Busy,
                            ..
                        }
                )
            ),
        }
    }
}
