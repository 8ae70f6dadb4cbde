//! The report that the heap makes before it stops the machine.

use core::alloc::Layout;
use core::fmt;

use crate::{CpuId, VirtAddr};

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The heap never handed out memory at this address.
    ForeignPointer,
    /// The object was freed already: no object is there.
    DoubleFree,
    /// The address lies inside an object, not at its start.
    InteriorPointer,
    /// The layout is not the one that the object was allocated with.
    WrongLayout,
    /// The mapper or the frame allocator allocated from within a call of the heap without
    /// [`AllocFlags::ATOMIC`](crate::AllocFlags::ATOMIC). The heap knows it by the number of the
    /// thread, so that another thread to which
    /// [`Kernel::current_thread`](crate::Kernel::current_thread) gives the same number, or another
    /// CPU with the same [`Kernel::current_cpu`](crate::Kernel::current_cpu), looks like it.
    MachineAllocates,
    /// A CPU has a number that the kernel did not declare:
    /// [`Kernel::CPUS`](crate::Kernel::CPUS) is not above it, and it is not
    /// [`CpuId::SHARED`](crate::CpuId::SHARED).
    UndeclaredCpu {
        /// The answer of [`Kernel::current_cpu`](crate::Kernel::current_cpu).
        cpu: CpuId,
        /// The number of CPUs in [`Kernel::CPUS`](crate::Kernel::CPUS).
        declared: u16,
    },
    /// A structure of the heap is damaged; the name says which rule it breaks.
    Corruption(&'static str),
}

/// A span, as a report shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanReport {
    /// The first address of the span.
    pub base: VirtAddr,
    /// The length of the span in bytes.
    pub bytes: usize,
    /// The size class, or `None` for a large object.
    pub class: Option<u8>,
    /// Bytes of one slot.
    pub slot_bytes: usize,
}

/// The report that the heap makes before it stops the machine, or of a free that it rejects: the
/// address, if the rule is about one, its span, and the rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The rule that was broken.
    pub fault: Fault,
    /// The address that the request was about; `None` where it was about none.
    pub address: Option<VirtAddr>,
    /// The layout that the caller gave, if any.
    pub layout: Option<Layout>,
    /// The span that holds the address, if any.
    pub span: Option<SpanReport>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignPointer => f.write_str("not an address of this heap"),
            Self::DoubleFree => f.write_str("freed twice"),
            Self::InteriorPointer => f.write_str("not the start of an object"),
            Self::WrongLayout => f.write_str("not the layout it was allocated with"),
            Self::MachineAllocates => f.write_str(
                "the mapper or frame allocator allocated from within a call of the heap \
                 without ATOMIC; or Kernel::current_thread gives two threads one number, or \
                 Kernel::current_cpu two CPUs",
            ),
            Self::UndeclaredCpu { cpu, declared } => write!(
                f,
                "Kernel::current_cpu says {cpu}, and Kernel::CPUS declares {declared}: declare \
                 more, or let it say CpuId::SHARED for a CPU that is to own no spans"
            ),
            Self::Corruption(rule) => write!(f, "corrupted: {rule}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("archipelago: ")?;
        if let Some(address) = self.address {
            write!(f, "{address}: ")?;
        }
        write!(f, "{}", self.fault)?;
        if let Some(layout) = self.layout {
            write!(
                f,
                "; layout: {} bytes aligned to {}",
                layout.size(),
                layout.align()
            )?;
        }
        let Some(span) = self.span else {
            return Ok(());
        };
        write!(f, "; span at {} of {} bytes, ", span.base, span.bytes)?;
        match span.class {
            Some(class) => write!(f, "class {class} ({} bytes a slot)", span.slot_bytes),
            None => f.write_str("one large object"),
        }
    }
}

impl core::error::Error for Report {}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_report_names_an_address_only_if_there_is_one() {
        let mut report = Report {
            fault: Fault::DoubleFree,
            address: Some(VirtAddr::new(0x1000)),
            layout: None,
            span: None,
        };
        assert_eq!(report.to_string(), "archipelago: 0x1000: freed twice");
        report.address = None;
        assert_eq!(report.to_string(), "archipelago: freed twice");
    }
}
