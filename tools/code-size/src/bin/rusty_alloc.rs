//! `rusty_alloc` with the configuration for firmware: one thread, one region.
#![no_std]
#![no_main]

use rusty_alloc::prim::fixed::{Region, good_region_size};
use rusty_alloc_api::RustyAlloc;

static HEAP: RustyAlloc = RustyAlloc;

static REGION: Region<{ good_region_size(128 << 10) }> = Region::new();

#[unsafe(no_mangle)]
extern "C" fn init() -> bool {
    REGION.give().is_ok()
}

archipelago_code_size::exports!(HEAP);
