//! Layer 6: runs of Ready pages.
//!
//! The page heap owns the growth gate, the page lock, the windows, metadata memory, the reserve,
//! scavenging, the limit, and the memory of the heap bitmap. It hands up runs as tokens. It asks
//! its user for pages through one trait, [`Reclaim`], and calls nothing else above it.

mod adjacent;
mod ahead;
mod alloc;
mod array;
mod bitmap;
mod commit;
mod cover;
mod gate;
mod grow;
mod held;
mod home;
mod idle;
mod in_place;
mod init;
mod limit;
mod long;
mod long_piece;
mod machine;
mod page_heap;
mod plan;
mod pool;
mod reclaim;
mod refill;
mod requests;
mod reserve;
mod run;
mod scavenge;
mod side;
mod stock;
mod window;

pub use init::InitFailure;
pub(crate) use page_heap::{Gated, Online, PageHeap};
pub(crate) use pool::HeldPool;
pub(crate) use reclaim::Reclaim;
pub(crate) use run::{ReadyRun, Want};
pub use window::{InitError, Window, WindowRule};
