//! Mutants that no test can find, because they are no faults.

/// Mutants of one description that do not change what the heap does, as far as anyone can tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Equivalent {
    /// The file, from the project's root.
    pub(super) file: &'static str,
    /// The mutants, as `cargo mutants` describes each.
    pub(super) mutant: &'static str,
    /// How many places of the function there are that are changed so.
    pub(super) count: usize,
    /// The reason why they are no faults.
    pub(super) reason: &'static str,
}

const fn same(file: &'static str, mutant: &'static str, reason: &'static str) -> Equivalent {
    Equivalent {
        file,
        mutant,
        count: 1,
        reason,
    }
}

impl Equivalent {
    /// So many of one description.
    const fn times(self, count: usize) -> Self {
        Self { count, ..self }
    }
}

/// The mutants that may survive, one entry for each description.
pub(super) const EQUIVALENT: &[Equivalent] = &[
    same(
        "src/page/bits.rs",
        "replace < with <= in Bits<'a>::summary",
        "a chunk of one word ends with the word",
    ),
    same(
        "src/page/bits.rs",
        "replace >> with << in longer_run",
        "a run is shortened from its other end",
    ),
    same(
        "src/page/marks.rs",
        "replace && with || in FreePages<S>::mark_free",
        "a chunk is looked at in vain once",
    )
    .times(2),
    same(
        "src/page/marks.rs",
        "replace < with <= in FreePages<S>::mark_free",
        "a chunk is looked at in vain once",
    ),
    same(
        "src/page/marks.rs",
        "replace - with + in taken",
        "a run is searched that cannot be longer",
    )
    .times(4),
    same(
        "src/page/pages.rs",
        "replace < with <= in FreePages<S>::free_below",
        "pages are counted beyond the most, and left out below",
    ),
    same(
        "src/page/pages.rs",
        "replace < with <= in FreePages<S>::run_above",
        "pages are counted beyond the most, and left out below",
    ),
    same(
        "src/page/state.rs",
        "replace < with <= in State::became_free",
        "the page is the search address already",
    ),
    same(
        "src/page/state.rs",
        "replace < with <= in State::none_free_below",
        "the page is the search address already",
    ),
    same(
        "src/page/tree.rs",
        "replace * with / in Tree<S>::refresh",
        "summaries are added up more often",
    ),
    same(
        "src/page/tree.rs",
        "replace < with > in Tree<S>::refresh",
        "summaries are added up more often",
    ),
    same(
        "src/page/tree.rs",
        "replace >> with << in Tree<S>::refresh",
        "summaries are added up more often",
    )
    .times(2),
    same(
        "src/pageheap/cover.rs",
        "replace >> with << in PageHeap<M, K>::drop_surplus",
        "it differs only while another thread frees pages",
    ),
    same(
        "src/pageheap/grow.rs",
        "replace match guard Self::METADATA_FIRST with false in PageHeap<M, K>::grow",
        "the metadata is there already, and making it again makes nothing",
    ),
    same(
        "src/pageheap/grow.rs",
        "replace < with <= in PageHeap<M, K>::plan",
        "no two pieces have the same first page",
    ),
    same(
        "src/pageheap/home.rs",
        "replace + with - in PageHeap<M, K>::smallest",
        "the search begins beyond every answer",
    ),
    same(
        "src/pageheap/home.rs",
        "replace + with * in PageHeap<M, K>::smallest",
        "the search begins beyond every answer",
    ),
    same(
        "src/pageheap/home.rs",
        "replace / with * in PageHeap<M, K>::smallest",
        "the search begins beyond every answer",
    ),
    same(
        "src/pageheap/idle.rs",
        "replace + with - in PageHeap<M, K>::clear_the_way",
        "parts are freed that are made again at once",
    ),
    same(
        "src/pageheap/idle.rs",
        "replace + with * in PageHeap<M, K>::clear_the_way",
        "parts are freed that are made again at once",
    ),
    same(
        "src/pageheap/idle.rs",
        "replace > with >= in PageHeap<M, K>::clear_the_way",
        "parts are freed that are made again at once",
    ),
    same(
        "src/pageheap/idle.rs",
        "replace > with >= in PageHeap<M, K>::free_idle_parts",
        "without idle parts none is freed",
    ),
    same(
        "src/pageheap/idle.rs",
        "replace > with >= in PageHeap<M, K>::free_all_idle_parts",
        "without idle parts none is freed",
    ),
    same(
        "src/pageheap/limit.rs",
        "replace || with && in PageHeap<M, K>::scavenge_for",
        "what is kept back was asked for before, and a busy machine takes no memory",
    ),
    same(
        "src/pageheap/limit.rs",
        "replace > with >= in PageHeap<M, K>::scavenge_for",
        "the next refusal is the same, and the last",
    ),
    same(
        "src/pageheap/long.rs",
        "replace > with >= in PageHeap<M, K>::is_long",
        "a run of one step is committed at once either way",
    ),
    same(
        "src/pageheap/run.rs",
        "replace ReadyRun::is_zeroed -> bool with false",
        "memory that is zero is zeroed again",
    ),
    same(
        "src/pageheap/scavenge.rs",
        "replace + with * in PageHeap<M, K>::scavenge_inside",
        "the last page of the space is nobody's",
    ),
    same(
        "src/pageheap/scavenge.rs",
        "replace >> with << in PageHeap<M, K>::scavenge_inside",
        "no page is above the last one",
    ),
    same(
        "src/region/ledger.rs",
        "replace > with >= in Ledger::became_ready",
        "a peak is stored that is the same",
    ),
    same(
        "src/region/metadata/mod.rs",
        "replace < with <= in Metadata::stock_up",
        "which of two pieces of the same size stays is all the same",
    ),
    same(
        "src/region/metadata/mod.rs",
        "replace > with >= in Metadata::next_extent",
        "nothing is put in stock",
    ),
    same(
        "src/region/metadata/mod.rs",
        "replace > with >= in MetadataSource<'_, M>::bump",
        "nothing is put in stock",
    ),
    same(
        "src/region/metadata/mod.rs",
        "replace > with >= in MetadataSource<'_, M>::commit_pages",
        "nothing is put in stock",
    ),
    same(
        "src/region/ranges/mod.rs",
        "replace < with <= in Ranges::adopt",
        "a slot without a range is copied",
    ),
    same(
        "src/region/windows.rs",
        "replace > with >= in Windows::replace_room",
        "a piece as large as the room is refused below",
    ),
    same(
        "src/span/class/mod.rs",
        "replace - with / in ClassTable::fitting",
        "the search begins at a class below, and ends at the same one",
    ),
    same(
        "src/span/near.rs",
        "replace | with ^ in Record::set_bits",
        "the bits are apart",
    ),
    same(
        "src/span/owned/block.rs",
        "replace match guard Place::of(table, class) == place with true in CpuBlock::set_up",
        "no layout and no tag leads to the entry",
    ),
    same(
        "src/span/owned/entry.rs",
        "replace ClassSpans::takes_from -> bool with true",
        "a span in the queue whose credit is spent has no live slot",
    ),
    same(
        "src/span/owned/notices.rs",
        "replace & with | in take_word_back",
        "a word that is posted has the bit of a live slot",
    ),
    same(
        "src/span/owned/notices.rs",
        "delete ! in take_word_back",
        "it differs only while another CPU frees: a model in tests/loom finds it",
    ),
    same(
        "src/span/pool.rs",
        "replace | with ^ in Pool::has_empty_page",
        "a record is on one list, so that the two first ones differ",
    ),
    same(
        "src/span/pool.rs",
        "replace match guard Records::<M>::HAS_WIDE with true in Pool::take_empty_page",
        "without wide records the stock of them is empty",
    ),
    same(
        "src/span/pool.rs",
        "replace && with || in Pool::all_unused",
        "the walk goes on, and has its answer already",
    ),
    same(
        "src/span/record.rs",
        "replace | with ^ in Record::mark_wide",
        "the bits are apart",
    ),
    same(
        "src/span/record.rs",
        "replace | with ^ in Record::mark_paged",
        "the bits are apart",
    ),
    same(
        "src/span/record.rs",
        "replace | with ^ in Record::describe",
        "the bits are apart",
    )
    .times(2),
    same(
        "src/span/record.rs",
        "replace | with ^ in Record::mark",
        "the bits are apart",
    ),
    same(
        "src/span/record.rs",
        "replace | with ^ in Record::claim",
        "the bits are apart",
    ),
    same(
        "src/span/records.rs",
        "replace < with <= in RecordKind::in_page",
        "both are the most that there can be",
    ),
    same(
        "src/span/records.rs",
        "replace < with <= in RecordKind::lines_of_piece",
        "both are the most that there can be",
    ),
    same(
        "src/span/slots.rs",
        "replace * with / in SpanRef<'a>::alloc_slot",
        "slots beyond the last are refused below",
    ),
    same(
        "src/span/tokens.rs",
        "replace NewSlot<'a>::is_zeroed -> bool with false",
        "memory that is zero is zeroed again",
    ),
];
