//! Unsafe code: it stays in the files of a ledger, which says how often each contains it.

use alloc::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::source::Source;

/// Files of the library, of the firmware heap and of the machines that may contain `unsafe`, with
/// the number of blocks, implementations, traits and functions that it opens. A change that adds
/// one changes a number here.
const LEDGER: &[(&str, usize)] = &[
    ("arch/api/src/cpu_slot.rs", 4),
    ("arch/api/src/critical.rs", 10),
    ("arch/api/src/kernel.rs", 1),
    ("arch/api/src/kernels.rs", 3),
    ("arch/api/src/machine.rs", 8),
    ("arch/api/src/own_memory.rs", 25),
    ("arch/api/src/reentry.rs", 2),
    ("arch/arm/src/descriptor.rs", 1),
    ("arch/arm/src/kernel.rs", 4),
    ("arch/arm/src/maintenance.rs", 14),
    ("arch/arm/src/roots.rs", 20),
    ("arch/conformance/src/fixture.rs", 13),
    ("arch/cortex-m/src/lib.rs", 3),
    ("arch/flat/src/heap.rs", 23),
    ("arch/flat/src/machine.rs", 13),
    ("arch/flat/src/own_memory.rs", 4),
    ("arch/flat/src/region.rs", 1),
    ("arch/host/src/cpu.rs", 3),
    ("arch/host/src/heap.rs", 15),
    ("arch/host/src/kernel.rs", 1),
    ("arch/host/src/machine.rs", 16),
    ("arch/host/src/mapping.rs", 12),
    ("arch/host/src/message.rs", 1),
    ("arch/mips/src/cache.rs", 3),
    ("arch/mips/src/cp0.rs", 3),
    ("arch/mips/src/directory.rs", 11),
    ("arch/mips/src/kernel.rs", 1),
    ("arch/mips/src/tlb.rs", 6),
    ("arch/paging/src/alloc.rs", 9),
    ("arch/paging/src/entry.rs", 1),
    ("arch/paging/src/frames.rs", 13),
    ("arch/paging/src/mode.rs", 7),
    ("arch/paging/src/owned.rs", 3),
    ("arch/paging/src/paging.rs", 16),
    ("arch/paging/src/physmap.rs", 6),
    ("arch/paging/src/radix.rs", 17),
    ("arch/paging/src/steps.rs", 2),
    ("arch/paging/src/table.rs", 6),
    ("arch/paging/src/tlb.rs", 2),
    ("arch/paging/src/walk.rs", 11),
    ("arch/x86_64/src/entry.rs", 1),
    ("arch/x86_64/src/kernel.rs", 1),
    ("arch/x86_64/src/mode.rs", 18),
    ("arch/x86_64/src/tables.rs", 8),
    ("arch/x86_64/src/tlb.rs", 2),
    ("firmware/src/block.rs", 13),
    ("firmware/src/heap.rs", 26),
    ("firmware/src/own_memory.rs", 4),
    ("src/arena/bitmap.rs", 6),
    ("src/arena/bitmap_words.rs", 2),
    ("src/arena/bits_reader.rs", 2),
    ("src/arena/part/some.rs", 1),
    ("src/arena/words.rs", 3),
    ("src/base/cell.rs", 4),
    ("src/base/held/some.rs", 1),
    ("src/base/lock.rs", 1),
    ("src/base/sparse.rs", 19),
    ("src/base/sync.rs", 5),
    ("src/bits/scannable.rs", 10),
    ("src/bits/tests/maps.rs", 1),
    ("src/global/allocator.rs", 9),
    ("src/global/front.rs", 38),
    ("src/heap/alloc.rs", 1),
    ("src/heap/early.rs", 13),
    ("src/heap/blocks.rs", 17),
    ("src/heap/cpus.rs", 18),
    ("src/heap/cpu_memory.rs", 1),
    ("src/heap/drain.rs", 2),
    ("src/heap/retired.rs", 4),
    ("src/span/owned/block.rs", 18),
    ("src/span/owned/entry.rs", 9),
    ("src/span/owned/frees.rs", 20),
    ("src/span/owned/map.rs", 17),
    ("src/span/owned/notices.rs", 3),
    ("src/span/owned/outside.rs", 1),
    ("src/span/owned/places.rs", 1),
    ("src/span/owned/queue.rs", 5),
    ("src/span/owned/remote.rs", 1),
    ("src/span/owned/table.rs", 1),
    ("src/span/owned/tests/blocks.rs", 6),
    ("src/span/owned/tests/map.rs", 2),
    ("src/span/owned/tests/outside.rs", 7),
    ("src/span/owned/tests/stage.rs", 12),
    ("src/span/pages.rs", 2),
    ("src/heap/free.rs", 17),
    ("src/heap/init.rs", 3),
    ("src/heap/lookup.rs", 7),
    ("src/heap/memory.rs", 3),
    ("src/heap/missed.rs", 2),
    ("src/heap/pages.rs", 2),
    ("src/heap/records.rs", 2),
    ("src/heap/remote.rs", 28),
    ("src/heap/resize.rs", 22),
    ("src/heap/scannable/alloc.rs", 2),
    ("src/heap/scannable/hooks.rs", 21),
    ("src/heap/scannable/none.rs", 4),
    ("src/heap/scannable/resize.rs", 4),
    ("src/heap/scannable/tests/mod.rs", 4),
    ("src/heap/scannable/tests/places.rs", 1),
    ("src/inspect/bits.rs", 2),
    ("src/inspect/damaged.rs", 3),
    ("src/inspect/handlers.rs", 2),
    ("src/inspect/planted_owned.rs", 1),
    ("src/inspect/planted_bits.rs", 4),
    ("src/inspect/verify_bits.rs", 2),
    ("src/pageheap/adjacent.rs", 3),
    ("src/pageheap/array.rs", 2),
    ("src/pageheap/bitmap/memory.rs", 8),
    ("src/pageheap/bitmap/none.rs", 1),
    ("src/pageheap/commit.rs", 6),
    ("src/pageheap/cover.rs", 1),
    ("src/pageheap/grow.rs", 2),
    ("src/pageheap/idle.rs", 1),
    ("src/pageheap/in_place.rs", 11),
    ("src/pageheap/init.rs", 14),
    ("src/pageheap/long.rs", 4),
    ("src/pageheap/long_piece.rs", 4),
    ("src/pageheap/machine.rs", 1),
    ("src/pageheap/page_heap.rs", 4),
    ("src/pageheap/pool.rs", 8),
    ("src/pageheap/run.rs", 3),
    ("src/pageheap/scavenge.rs", 1),
    ("src/region/calls.rs", 14),
    ("src/region/metadata/mod.rs", 10),
    ("src/region/metadata/tests.rs", 1),
    ("src/region/space.rs", 35),
    ("src/region/tests.rs", 2),
    ("src/region/token.rs", 1),
    ("src/region/windows.rs", 2),
    ("src/span/central.rs", 1),
    ("src/span/near.rs", 4),
    ("src/span/record.rs", 1),
    ("src/span/records.rs", 10),
    ("src/span/slots.rs", 1),
    ("src/testing/source.rs", 3),
];

/// Files whose count of `unsafe` is not the ledger's.
fn off_the_ledger(sources: &[Source], ledger: &[(&str, usize)]) -> Vec<String> {
    let allowed: BTreeMap<&str, usize> = ledger.iter().copied().collect();
    let mut faults = Vec::new();
    for source in sources {
        let found = count(source.tokens());
        let allowed = allowed.get(source.path.as_str()).copied().unwrap_or(0);
        if found != allowed {
            faults.push(format!(
                "{0}: {found} times unsafe, {allowed} on the ledger: (\"{0}\", {found}),",
                source.path
            ));
        }
    }
    faults
}

/// Entries of the ledger whose file is gone.
fn without_a_file(sources: &[Source], ledger: &[(&str, usize)]) -> Vec<String> {
    let is_gone = |path: &str| !sources.iter().any(|source| source.path == path);
    let gone = ledger.iter().filter(|(path, _)| is_gone(path));
    gone.map(|(path, _)| format!("{path}: is on the ledger, and does not exist"))
        .collect()
}

/// How often `unsafe` opens a block, a function, a trait or an implementation.
fn count(tokens: TokenStream) -> usize {
    let mut found = 0;
    let mut after_unsafe = false;
    for token in tokens {
        match &token {
            TokenTree::Group(group) => {
                let is_block = group.delimiter() == Delimiter::Brace;
                found += usize::from(after_unsafe && is_block) + count(group.stream());
            }
            TokenTree::Ident(name) if after_unsafe => {
                let opens = ["fn", "impl", "trait"];
                found += usize::from(opens.iter().any(|word| name == word));
            }
            _ => {}
        }
        after_unsafe = matches!(&token, TokenTree::Ident(name) if name == "unsafe");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{LEDGER, off_the_ledger, without_a_file};
    use crate::source::{self, Source};

    #[test]
    fn unsafe_stays_on_its_islands() {
        let all = [source::library(), source::firmware(), source::machines()].concat();
        crate::none("unsafe", &off_the_ledger(&all, LEDGER));
        crate::none("unsafe", &without_a_file(&all, LEDGER));
        let ledger = &[("src/base/sparse.rs", 1)];
        let text = "fn f() { unsafe { g() } } // unsafe { }\n";
        let planted = |path, text| [Source::planted(path, text)];
        assert_eq!(
            off_the_ledger(&planted("src/page/a.rs", text), ledger).len(),
            1
        );
        assert_eq!(
            off_the_ledger(&planted("src/base/sparse.rs", text), ledger).len(),
            0
        );
        assert_eq!(
            off_the_ledger(&planted("src/base/sparse.rs", ""), ledger).len(),
            1
        );
        assert_eq!(
            without_a_file(&planted("src/page/a.rs", text), ledger).len(),
            1
        );
        for text in [
            "unsafe fn f() {}",
            "unsafe impl T for U {}",
            "unsafe trait T {}",
        ] {
            assert_eq!(
                off_the_ledger(&planted("src/a.rs", text), ledger).len(),
                1,
                "{text}"
            );
        }
    }
}
