//! The check that a heap without the bitmap has no code of it.

use anyhow::{Result, ensure};

use super::image::{Image, Symbol};
use super::link::{Variant, link};
use super::{Sizes, Subject, WHOLE};
use crate::toolchain::Toolchain;

/// The paths of the bitmap's modules.
const MODULES: [&str; 6] = [
    "archipelago::bits::",
    "archipelago::pageheap::bitmap::",
    "archipelago::heap::scannable::",
    "archipelago::arena::bitmap::",
    "archipelago::arena::bits_reader::",
    "archipelago::span::near::",
];

/// The heap with its bitmap.
const WITH_BITMAP: Subject = Subject {
    name: "archipelago_whole,heap-bits",
    profile: "whole,heap-bits",
    ..WHOLE
};

/// Measures the whole heap with the bitmap, with and without `init` as `inits` says, and adds a
/// line for each way to compile it without the bitmap, which begins with `kept` or `broken`.
///
/// # Errors
/// If a heap cannot be linked. If a heap with the bitmap has no symbol of one of its modules: then
/// the check for a heap without would find nothing, whatever is in it.
pub(super) fn measure(
    toolchain: &Toolchain,
    target: &str,
    inits: &[bool],
    sizes: &mut Sizes,
) -> Result<()> {
    let program = WHOLE.program;
    for has_init in inits.iter().copied() {
        let variant = Variant {
            has_bitmap: true,
            has_init,
            ..Variant::MEASURED
        };
        let image = link(toolchain, target, variant, &[program])?.image(program)?;
        sizes.add(WITH_BITMAP, target, has_init, &image);
    }
    for is_optimized in [true, false] {
        let image = |has_bitmap| {
            let variant = Variant {
                has_bitmap,
                is_optimized,
                has_init: false,
            };
            link(toolchain, target, variant, &[program])?.image(program)
        };
        if !is_optimized {
            found_in(&image(true)?)?;
        }
        sizes.lines.push(judge(is_optimized, &image(false)?));
    }
    Ok(())
}

/// Checks that every module of the bitmap is found in an image that has it.
fn found_in(with: &Image) -> Result<()> {
    for module in MODULES {
        ensure!(
            with.symbols.iter().any(|symbol| symbol.is_in(module)),
            "a heap with the bitmap has no symbol of {module}: the check of a heap without it would \
             find nothing"
        );
    }
    Ok(())
}

fn judge(is_optimized: bool, without: &Image) -> String {
    let how = if is_optimized {
        "optimized"
    } else {
        "not optimized"
    };
    let is_left = |symbol: &&Symbol| MODULES.iter().any(|module| symbol.is_in(module));
    let left = without.symbols.iter().filter(is_left);
    let left: Vec<_> = left.map(|symbol| symbol.name.as_str()).collect();
    let own = without.symbols.iter();
    let own = own
        .filter(|symbol| symbol.name.contains("archipelago"))
        .count();
    if left.is_empty() {
        format!("kept: no heap bitmap, {how}: none of the heap's {own} symbols is of it")
    } else {
        let left = left.join(", ");
        format!("broken: no heap bitmap, {how}: symbols are left: {left}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symbols of a heap with the bitmap, in the legacy mangling and in v0.
    const WITH: [&str; 9] = [
        "_ZN11archipelago4bits4copy12copy_several17hac26849bfc3ef589E",
        "_ZN103_$LT$archipelago..inspect..bits..BitsView$LT$M$C$K$GT$$u20$as$u20$archipelago..bits..tables..Tables$GT$5units17h76158ab6d1eae755E",
        "_ZN11archipelago5arena6bitmap7Stretch5pages17h4b1f216dcde3615eE",
        "_ZN11archipelago5arena11bits_reader19BitsReader$LT$M$GT$10units_from17h4b1f216dcde3615eE",
        "_ZN11archipelago8pageheap6bitmap6memory21BitmapMemory$LT$K$GT$5claim17h05ff02bf40a9b2bdE",
        "_ZN11archipelago4heap9scannable5hooks67_$LT$impl$u20$archipelago..heap..object_heap..Heap$LT$M$C$K$GT$$GT$9clear_far17h05ff02bf40a9b2bdE",
        "_ZN11archipelago4span4near9BitsPlace5units17h2f3c9e6f0a14d7b8E",
        "_RNvNtNtCs1_11archipelago4bits4copy12copy_several",
        "_RNvMNtNtNtCs1_11archipelago4heap9scannable5hooksNtNtB6_11object_heap4Heap9clear_far",
    ];

    /// A symbol of another bitmap.
    const OTHER: &str = "_ZN11archipelago4page4bits4Bits3new17h7491ec063d1ea350E";

    fn image(symbols: &[&str]) -> Image {
        Image {
            symbols: symbols.iter().map(|name| Symbol::new(name)).collect(),
            ..Image::default()
        }
    }

    #[test]
    fn one_symbol_that_is_left_breaks_the_bound() {
        assert!(judge(true, &image(&[OTHER])).starts_with("kept"));
        for symbol in WITH {
            let judged = judge(true, &image(&[OTHER, symbol]));
            assert!(judged.starts_with("broken"), "{symbol}");
        }
    }

    #[test]
    fn a_module_that_is_not_found_where_it_is_says_nothing() {
        assert!(found_in(&image(&WITH)).is_ok());
        assert!(found_in(&image(&WITH[..2])).is_err());
        assert!(found_in(&image(&WITH[..5])).is_err());
        assert!(found_in(&image(&[OTHER])).is_err());
    }
}
