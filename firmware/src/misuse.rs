//! Kinds of misuse, as the checks of a free and of a change of size find them.

use archipelago_api::Fault;

/// A mistake in a pointer or a layout. One byte, so that it stays in a register where a
/// [`Fault`] would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// The heap never handed out memory at this address.
    ForeignPointer,
    /// No object is there any more.
    DoubleFree,
    /// The address lies inside an object.
    InteriorPointer,
    /// The layout is not the object's.
    WrongLayout,
}

impl Misuse {
    /// The fault to report.
    pub(crate) const fn fault(self) -> Fault {
        match self {
            Self::ForeignPointer => Fault::ForeignPointer,
            Self::DoubleFree => Fault::DoubleFree,
            Self::InteriorPointer => Fault::InteriorPointer,
            Self::WrongLayout => Fault::WrongLayout,
        }
    }
}
