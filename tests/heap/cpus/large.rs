//! Spans of large slots that CPUs own, of up to 32 KiB.

use core::alloc::GlobalAlloc;

use super::*;

/// Bytes of objects whose classes are the largest, by the size.
const SIZES: [usize; 7] = [8192, 8193, 9360, 14_000, 16_384, 20_481, 32_768];

/// Whether objects of so many bytes have slots, and are no large objects, of one page or more.
fn has_slots<G: SimGeometry>(bytes: usize) -> bool {
    bytes <= 8 * G::GEOMETRY.page_bytes() && Sim::<G>::DECOMMITS
}

/// Allocates `count` objects, and fills each.
fn objects<G: SimGeometry>(heap: &OwnHeap<G>, count: usize, bytes: usize) -> Vec<NonNull<u8>> {
    let objects = (0_u8..).take(count).map(|number| {
        let object = get(heap, bytes);
        // SAFETY: the object has so many bytes.
        unsafe { object.write_bytes(number, bytes) };
        object
    });
    objects.collect()
}

/// Objects keep what was written, and a slot that its owner has freed is at hand at once.
fn large_slots_are_the_cpus<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    for bytes in SIZES.into_iter().filter(|bytes| has_slots::<G>(*bytes)) {
        let all = objects(&heap, 9, bytes);
        check(&heap, 9);
        assert_eq!(heap.stats().large_objects, 0, "{bytes}");
        for (number, object) in (0_u8..).zip(&all) {
            for at in [0, 1, bytes / 2, bytes - 1] {
                // SAFETY: the byte is the object's.
                let byte = unsafe { object.add(at) };
                // SAFETY: as above.
                assert_eq!(unsafe { byte.read() }, number, "{at} of {bytes}");
            }
        }
        let last = all[8];
        free(&heap, last, bytes);
        for align in [1, 8, 16] {
            let taken = alloc_at_once(&*heap, layout(bytes, align)).expect("it is free");
            assert_eq!(taken, last, "the lowest free slot of {bytes} bytes");
            // SAFETY: the object was allocated with this layout, and nothing uses it.
            unsafe { heap.dealloc(taken.as_ptr(), layout(bytes, align)) };
        }
        for object in &all[..8] {
            free(&heap, *object, bytes);
        }
        check(&heap, 0);
    }
    all_goes_back(&heap);
}

/// A slot that was used is zeroed, in whatever way it is asked for.
fn large_slots_are_zeroed<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    for bytes in SIZES {
        for object in objects(&heap, 3, bytes) {
            free(&heap, object, bytes);
        }
        let wanted = layout(bytes, 16);
        let first = heap.allocate(wanted, AllocFlags::ZEROED).expect("memory");
        // SAFETY: the layout is not empty.
        let second = unsafe { heap.alloc_zeroed(wanted) };
        for start in [first.cast(), NonNull::new(second).expect("memory")] {
            for at in 0..bytes {
                // SAFETY: the byte is the object's.
                let byte = unsafe { start.add(at) };
                // SAFETY: as above.
                assert_eq!(unsafe { byte.read() }, 0, "{at} of {bytes}");
            }
            free(&heap, start, bytes);
        }
    }
    all_goes_back(&heap);
}

/// Alignments above 16 have no place for so many bytes, and are served by the central lists.
fn other_alignments_are_served_too<G: SimGeometry>() {
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    for bytes in SIZES.into_iter().skip(1) {
        for align in [32, 1024, 4096] {
            let wanted = layout(bytes, align);
            assert!(alloc_at_once(&*heap, wanted).is_err());
            let object: NonNull<u8> = heap.allocate(wanted, NONE).expect("memory").cast();
            assert_eq!(object.addr().get() % align, 0);
            assert!(alloc_at_once(&*heap, wanted).is_err());
            // SAFETY: the object was allocated with this layout, and nothing uses it.
            unsafe { heap.dealloc(object.as_ptr(), wanted) };
        }
    }
    check(&heap, 0);
}

fn misuse_of_large_slots_is_found<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    for bytes in SIZES {
        for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
            let all = objects(&heap, 5, bytes);
            let victim = all[2];
            for cpu in [0, 1] {
                // SAFETY: the object has more bytes.
                let inside = unsafe { victim.add(16) };
                let fault = free_on(&heap, cpu, inside, bytes);
                assert_eq!(fault, Some(Fault::InteriorPointer), "{bytes}");
                let fault = free_on(&heap, cpu, victim, 100);
                assert_eq!(fault, Some(Fault::WrongLayout), "{bytes}");
                let foreign = NonNull::from(&all).cast();
                let fault = free_on(&heap, cpu, foreign, bytes);
                assert_eq!(fault, Some(Fault::ForeignPointer), "{bytes}");
            }
            check(&heap, 5);
            assert_eq!(free_on(&heap, first, victim, bytes), None);
            let again = free_on(&heap, second, victim, bytes);
            if has_slots::<G>(bytes) {
                assert_eq!(again, Some(Fault::DoubleFree), "{bytes}");
            } else {
                assert!(again.is_some(), "its pages are nobody's");
            }
            check(&heap, 4);
            for object in all.into_iter().filter(|object| *object != victim) {
                free(&heap, object, bytes);
            }
        }
    }
    all_goes_back(&heap);
}

/// Slots that another CPU has freed serve the owner: no span more is made for it.
fn large_slots_come_back_from_another_cpu<G: SimGeometry>() {
    Hosted::set_cpu(CpuId(0));
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    for bytes in SIZES.into_iter().filter(|bytes| has_slots::<G>(*bytes)) {
        let all = objects(&heap, 8, bytes);
        let before = heap.stats().of(Purpose::Objects);
        for object in &all {
            assert_eq!(free_on(&heap, 3, *object, bytes), None);
        }
        check(&heap, 0);
        let again = objects(&heap, 8, bytes);
        assert_eq!(heap.stats().of(Purpose::Objects), before, "{bytes}");
        for object in &again {
            free(&heap, *object, bytes);
        }
        check(&heap, 0);
    }
    all_goes_back(&heap);
}

on_every_geometry!(
    large_slots_are_the_cpus,
    large_slots_are_zeroed,
    other_alignments_are_served_too,
    misuse_of_large_slots_is_found,
    large_slots_come_back_from_another_cpu,
);
