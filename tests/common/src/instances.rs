//! Compiles the heap of every geometry here, once, for all test programs.
//!
//! A generic function is compiled in the first crate that uses it with given types, and at the
//! optimisation level of the tests its dependents link that instance instead of compiling one of
//! their own. So each method named here is compiled once, and not once for each test program.
//! Optimised builds share no instances, so this module is not in them.

use core::alloc::GlobalAlloc;

use archipelago::{Heap, OwnedRun, Pages};
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{
    Hosted, Plain31, Plain32, Sim, SimGeometry, Small, SmallFixed, Top30, WidePage,
};

use crate::rig::Rig;

/// The address of a function, which has the compiler make the function.
macro_rules! addresses {
    ($($function:expr),+ $(,)?) => { [$($function as *const ()),+] };
}

/// The addresses of the shared methods, over all geometries: never needed, and there so that the
/// methods are compiled.
#[must_use]
pub fn instances() -> Vec<*const ()> {
    let mut all = Vec::new();
    #[cfg(target_pointer_width = "64")]
    add::<X86_64>(&mut all);
    add::<Plain32>(&mut all);
    add::<Plain31>(&mut all);
    add::<Small>(&mut all);
    add::<SmallFixed>(&mut all);
    add::<WidePage>(&mut all);
    add::<Top30>(&mut all);
    all
}

fn add<G: SimGeometry>(all: &mut Vec<*const ()>) {
    type Tested<G> = Heap<Sim<G>, Hosted>;
    all.extend(addresses![
        Tested::<G>::init,
        Tested::<G>::add_window,
        Tested::<G>::allocate,
        Tested::<G>::reallocate,
        Tested::<G>::deallocate,
        Tested::<G>::try_deallocate,
        Tested::<G>::try_reallocate,
        Tested::<G>::set_reserve,
        Tested::<G>::set_limit,
        Tested::<G>::scavenge,
        Tested::<G>::stats,
        Tested::<G>::verify,
        Tested::<G>::owns,
        <Tested<G> as GlobalAlloc>::alloc,
        <Tested<G> as GlobalAlloc>::alloc_zeroed,
        <Tested<G> as GlobalAlloc>::realloc,
        <Tested<G> as GlobalAlloc>::dealloc,
    ]);
    all.extend(addresses![
        Pages::<'static, Sim<G>, Hosted>::allocate,
        Pages::<'static, Sim<G>, Hosted>::allocate_adjacent,
        Pages::<'static, Sim<G>, Hosted>::recover,
        Pages::<'static, Sim<G>, Hosted>::stats,
        OwnedRun::<'static, Sim<G>, Hosted>::as_ptr,
        OwnedRun::<'static, Sim<G>, Hosted>::extend,
        OwnedRun::<'static, Sim<G>, Hosted>::shrink,
        OwnedRun::<'static, Sim<G>, Hosted>::leak,
        drop::<OwnedRun<'static, Sim<G>, Hosted>>,
    ]);
    all.extend(addresses![
        Rig::<G>::new,
        Rig::<G>::on,
        Rig::<G>::uninitialised,
        Rig::<G>::init,
        Rig::<G>::allocate,
        Rig::<G>::get,
        Rig::<G>::resize,
        Rig::<G>::free,
        Rig::<G>::vouch,
        Rig::<G>::address,
        Rig::<G>::verify,
        Rig::<G>::check,
        crate::placements::<G>,
        crate::lone_window::<G>,
    ]);
    #[cfg(feature = "heap-bits")]
    all.extend(addresses![
        Tested::<G>::allocate_scannable,
        Tested::<G>::reallocate_scannable,
        Tested::<G>::object_at,
        Tested::<G>::object_of,
        Tested::<G>::bits,
    ]);
}
