//! Empty spans that a CPU keeps, as the heap sees them.

use super::*;

/// Pages of the spans that a CPU keeps, and empty spans that the central lists keep.
const MOST_PAGES: usize = 64;
const CENTRAL: usize = 8;
/// Bytes of the largest slots, whose spans have eight pages of 4 KiB.
const LARGEST: usize = 32_768;

/// Allocates objects and frees them in turn.
fn make_and_free<G: SimGeometry>(
    heap: &OwnHeap<G>,
    count: usize,
    bytes: usize,
) -> Vec<NonNull<u8>> {
    let objects: Vec<_> = (0..count).map(|_| get(heap, bytes)).collect();
    for object in &objects {
        free(heap, *object, bytes);
    }
    check(heap, 0);
    objects
}

/// A free of what was freed long ago is found, whether its span is kept or current.
fn misuse_of_a_kept_span_is_found<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    for bytes in [16, 64, 500, 2000] {
        let objects = make_and_free(&heap, 20, bytes);
        for object in objects {
            for cpu in [0, 1] {
                // Some spans were given up, and their pages are nobody's.
                let fault = free_on(&heap, cpu, object, bytes);
                let is_found = matches!(
                    fault,
                    Some(Fault::DoubleFree | Fault::ForeignPointer | Fault::WrongLayout)
                );
                assert!(is_found, "{bytes}: {fault:?}");
                // SAFETY: the slot has more bytes.
                let inside = unsafe { object.add(8) };
                assert_ne!(free_on(&heap, cpu, inside, bytes), None, "{bytes}");
            }
        }
        check(&heap, 0);
    }
    all_goes_back(&heap);
}

/// The last span that became empty is kept for sure, if it is short.
fn a_double_free_in_the_span_that_was_kept_last_is_named<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let in_page = G::GEOMETRY.page_bytes() / 64;
    if !Sim::<G>::DECOMMITS {
        return;
    }
    // The second span becomes current, so that the first one is put aside when it is empty.
    let objects: Vec<_> = (0..=in_page).map(|_| get(&heap, 64)).collect();
    for object in &objects[..in_page] {
        free(&heap, *object, 64);
    }
    let victim = objects[0];
    for cpu in [0, 1] {
        let fault = free_on(&heap, cpu, victim, 64);
        assert_eq!(fault, Some(Fault::DoubleFree));
        // SAFETY: the slot has more bytes.
        let inside = unsafe { victim.add(16) };
        let fault = free_on(&heap, cpu, inside, 64);
        assert_eq!(fault, Some(Fault::InteriorPointer));
    }
    check(&heap, 1);
    free(&heap, objects[in_page], 64);
    all_goes_back(&heap);
}

/// A span goes from class to class and back: nothing is counted twice, and no memory is taken.
fn spans_go_from_class_to_class_and_back<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let page = G::GEOMETRY.page_bytes();
    // Those of the first have wide records. All spans have one page.
    let sizes = [16, page / 4, 64, page / 2, 16, 128, page / 4];
    if !Sim::<G>::DECOMMITS {
        return;
    }
    let mut ready = 0;
    for round in 0..8 {
        for bytes in sizes {
            let objects: Vec<_> = (0..4 * page / bytes).map(|_| get(&heap, bytes)).collect();
            check(&heap, objects.len());
            let stats = heap.stats();
            assert_eq!(stats.live_bytes, objects.len() * bytes, "{stats}");
            for object in objects {
                // SAFETY: the object has so many bytes.
                unsafe { object.write_bytes(0x5a, bytes) };
                free(&heap, object, bytes);
            }
            check(&heap, 0);
            assert_eq!(heap.stats().live_bytes, 0);
        }
        // Each class may have a current span of its own after a while.
        if round == 3 {
            ready = heap.stats().mapped_ready;
        }
    }
    assert_eq!(heap.stats().mapped_ready, ready);
    all_goes_back(&heap);
}

fn no_more_pages_are_kept_than_the_bound<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let page = G::GEOMETRY.page_bytes();
    if LARGEST > 8 * page || !Sim::<G>::DECOMMITS {
        return;
    }
    let in_span = LARGEST / page;
    make_and_free(&heap, 10 * MOST_PAGES / in_span, LARGEST);
    let kept = heap.stats().of(Purpose::Objects) / page;
    // The current spans of this class and of the first request, and the central ones, are beside.
    let most = MOST_PAGES + (1 + CENTRAL) * in_span + 1;
    assert!(MOST_PAGES / 2 < kept && kept <= most, "{kept}");
    all_goes_back(&heap);
}

/// Empty spans are given up before the heap grows, and before free pages get memory.
fn kept_spans_serve_other_requests<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let page = G::GEOMETRY.page_bytes();
    if LARGEST > 8 * page || !Sim::<G>::DECOMMITS {
        return;
    }
    make_and_free(&heap, MOST_PAGES * page / LARGEST, LARGEST);
    let (before, kept) = (heap.stats(), heap.stats().of(Purpose::Objects));
    assert!(kept >= MOST_PAGES / 2 * page);
    let run = heap.pages().allocate(MOST_PAGES / 2, 1, NONE);
    let run = run.expect("memory");
    let after = heap.stats();
    assert!(after.of(Purpose::Objects) < kept);
    assert_eq!(after.owned_pages, before.owned_pages);
    assert_eq!(after.mapped_ready, before.mapped_ready);
    check(&heap, 0);
    drop(run);
    all_goes_back(&heap);
}

on_every_geometry!(
    misuse_of_a_kept_span_is_found,
    a_double_free_in_the_span_that_was_kept_last_is_named,
    spans_go_from_class_to_class_and_back,
    no_more_pages_are_kept_than_the_bound,
    kept_spans_serve_other_requests,
);
