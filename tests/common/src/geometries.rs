//! Macros that make a test for each geometry.

/// Makes, of each function that is generic in a [`SimGeometry`](archipelago_sim::SimGeometry) and
/// takes nothing, a test for every geometry that the host's words can hold, in a module of the
/// geometry's name.
///
/// ```
/// use archipelago_sim::SimGeometry;
///
/// fn a_chunk_has_pages<G: SimGeometry>() {
///     assert!(G::GEOMETRY.chunk_pages() >= 2);
/// }
/// archipelago_testing::on_every_geometry!(a_chunk_has_pages);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! on_every_geometry {
    ($($test:ident),+ $(,)?) => {
        #[cfg(target_pointer_width = "64")]
        $crate::on_geometry!(x86_64, X86_64, $($test),+);
        $crate::on_geometry!(plain32, Plain32, $($test),+);
        $crate::on_geometry!(plain31, Plain31, $($test),+);
        $crate::on_geometry!(small, Small, $($test),+);
        $crate::on_geometry!(small_fixed, SmallFixed, $($test),+);
        $crate::on_geometry!(wide_page, WidePage, $($test),+);
    };
}

/// Makes the tests of [`on_every_geometry!`] for the geometries on which memory is given back, for
/// functions that scavenge.
#[macro_export]
macro_rules! on_geometries_that_decommit {
    ($($test:ident),+ $(,)?) => {
        #[cfg(target_pointer_width = "64")]
        $crate::on_geometry!(x86_64_decommits, X86_64, $($test),+);
        $crate::on_geometry!(plain32_decommits, Plain32, $($test),+);
        $crate::on_geometry!(plain31_decommits, Plain31, $($test),+);
        $crate::on_geometry!(small_decommits, Small, $($test),+);
        $crate::on_geometry!(wide_page_decommits, WidePage, $($test),+);
    };
}

/// Makes the tests of [`on_every_geometry!`] for one geometry.
#[macro_export]
macro_rules! on_geometry {
    ($module:ident, $geometry:ident, $($test:ident),+ $(,)?) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test::<archipelago_sim::$geometry>();
                }
            )+
        }
    };
}
