//! Refusals: each names the step, with figures.

use archipelago::{AllocError, AllocFlags, Cause, InitError, Kernel, Purpose, Window};
use archipelago_sim::{Hosted, Mode, Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

const NONE: AllocFlags = AllocFlags::empty();

/// Checks the text of a refusal, which begins with the request and continues with the step.
fn check_text(error: AllocError, step: &str, figures: &[usize]) {
    let text = error.to_string();
    let (size, align) = (error.layout.size(), error.layout.align());
    let start = format!("cannot allocate {size} bytes aligned to {align}: {step}");
    assert!(text.starts_with(&start), "{text}");
    for figure in figures {
        assert!(
            text.contains(&figure.to_string()),
            "{figure} is missing: {text}"
        );
    }
}

fn not_initialised<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    let error = rig.allocate(layout(8, 8), NONE).expect_err("no heap");
    assert_eq!(error.cause, Cause::NotInitialised);
    check_text(error, "the heap is not initialised", &[]);
}

fn too_large<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let most = isize::MAX.unsigned_abs();
    let space = G::GEOMETRY.last_offset().value();
    let larger = [layout(1, 1 << (usize::BITS - 2)), layout(most / 2, 8)]
        .into_iter()
        .filter(|wanted| wanted.size().max(wanted.align()) > space);
    for wanted in larger.chain([layout(most, 1)]) {
        let error = rig
            .allocate(wanted, NONE)
            .expect_err("larger than any space");
        let bytes = wanted.size().max(wanted.align());
        let Cause::TooLarge { bytes: asked, most } = error.cause else {
            panic!("{error}");
        };
        assert_eq!(asked, bytes);
        assert!(most < bytes, "{most} bytes would do");
        check_text(error, "class:", &[bytes, most]);
    }
    rig.check();
}

fn window<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let bytes = 5 * G::GEOMETRY.arena_bytes();
    let error = rig
        .allocate(layout(bytes, 8), NONE)
        .expect_err("the window has 4 arenas");
    let Cause::Window {
        bytes: asked,
        align,
        largest,
        ..
    } = error.cause
    else {
        panic!("{error}");
    };
    assert_eq!((asked, align), (bytes, Rig::<G>::PAGE));
    assert!(largest > 3 * G::GEOMETRY.arena_bytes() && largest < bytes);
    check_text(error, "window:", &[asked, largest]);
    // The memory of the index comes out of the same piece: a run that leaves it no room is refused
    // with what would.
    let mut largest = largest;
    let served = loop {
        match rig.allocate(layout(largest, 1), NONE) {
            Ok(served) => break served,
            Err(error) => match error.cause {
                Cause::Window { largest: rest, .. } if rest < largest => largest = rest,
                _ => panic!("{error}"),
            },
        }
    };
    assert!(largest > 3 * G::GEOMETRY.arena_bytes());
    rig.free(served);
    rig.check();
}

/// An alignment that no address of the window has is in the cause.
fn alignment<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let space = G::GEOMETRY.last_offset().value();
    let align = (space >> 1) + 1;
    if align > isize::MAX.unsigned_abs() {
        // No layout has it.
        return;
    }
    let wanted = layout(1, align);
    let Err(error) = rig.allocate(wanted, NONE) else {
        panic!("the window has no such address");
    };
    let Cause::Window { bytes, align, .. } = error.cause else {
        panic!("{error}");
    };
    assert_eq!((bytes, align), (Rig::<G>::PAGE, wanted.align()));
    check_text(error, "window:", &[bytes, align]);
    rig.check();
}

fn metadata_window<G: SimGeometry>() {
    // Requests take pages of the heap where metadata has no address space of its own left, so that
    // this cause is seen when windows are noted: each is too small for a longer array of them.
    let page = Rig::<G>::PAGE;
    let objects = lone_window::<G>(64 * page);
    let rig = Rig::<G>::on(Sim::default(), &[objects]);
    let blocks: Vec<_> =
        core::iter::from_fn(|| rig.allocate(layout(page, page), NONE).ok()).collect();
    let above = |number: usize| objects.base + objects.bytes + (2 * number + 1) * page;
    let refused = |number| {
        let window = Window::new(above(number), page);
        rig.heap.add_window(window).err()
    };
    let error = (0..20_000).find_map(refused).expect("no array is endless");
    let InitError::Metadata { cause } = error else {
        panic!("{error}");
    };
    let Cause::MetadataWindow { bytes } = cause else {
        panic!("{error}");
    };
    let text = error.to_string();
    assert!(text.contains("no address space is left"), "{text}");
    assert!(text.contains(&bytes.to_string()), "{text}");
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.verify();
}

fn frames<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    rig.free(rig.get(40 * Rig::<G>::PAGE, 8));
    rig.machine.set_available_frames(3);
    let bytes = 50 * Rig::<G>::PAGE;
    let error = rig
        .allocate(layout(bytes, 8), NONE)
        .expect_err("too few frames");
    let Cause::Frames { needed, available } = error.cause else {
        panic!("{error}");
    };
    assert!(needed > available);
    check_text(error, "frames:", &[needed, available]);
    rig.check();
}

fn page_tables<G: SimGeometry>() {
    // Some number of frames is enough for metadata and not for the tables of a large object.
    let refusal = (0..200).find_map(|frames| {
        let tables = [G::GEOMETRY.granule_shift + 3];
        let rig = Rig::<G>::on(
            Sim::builder().page_tables(&tables).build(),
            &[lone_window::<G>(1000 * Rig::<G>::PAGE)],
        );
        rig.machine.set_available_frames(frames);
        let error = rig
            .allocate(layout(900 * Rig::<G>::PAGE, 8), NONE)
            .expect_err("too few frames");
        rig.check();
        match error.cause {
            Cause::PageTables { needed, available } if needed > 2 => {
                Some((error, needed, available))
            }
            _ => None,
        }
    });
    let (error, needed, available) = refusal.expect("too few for the tables");
    assert!(needed > available);
    check_text(error, "page tables:", &[needed, available]);
}

fn limit<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let block = rig.get(8, 8);
    let limit = rig.heap.stats().mapped_ready + 10 * Rig::<G>::PAGE;
    rig.heap.set_limit(limit);
    let error = rig.allocate(layout(11 * Rig::<G>::PAGE, Rig::<G>::PAGE), NONE);
    let error = error.expect_err("above the limit");
    let Cause::Limit {
        bytes,
        limit: told,
        mapped_ready,
    } = error.cause
    else {
        panic!("{error}");
    };
    assert_eq!(told, limit);
    assert!(mapped_ready + bytes > limit && mapped_ready <= limit);
    check_text(error, "limit:", &[bytes, limit, mapped_ready]);
    rig.check();
    rig.heap.set_limit(usize::MAX);
    let large = rig.get(11 * Rig::<G>::PAGE, Rig::<G>::PAGE);
    rig.free(large);
    rig.free(block);
    rig.check();
}

fn a_limit_is_kept_by_scavenging_free_pages<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let blocks: Vec<_> = [30, 20, 30, 20]
        .map(|pages| rig.get(pages * Rig::<G>::PAGE, 8))
        .into();
    let limit = rig.heap.stats().mapped_ready + Rig::<G>::PAGE;
    rig.heap.set_limit(limit);
    rig.free(blocks[0]);
    rig.free(blocks[2]);
    // The object is longer than each hole and shorter than both, so it lies elsewhere, backed by
    // the memory of the holes.
    let elsewhere = rig.get(50 * Rig::<G>::PAGE, 8);
    assert!(rig.heap.stats().mapped_ready <= limit);
    assert!(rig.heap.stats().scavenged_pages >= 49);
    rig.check();
    rig.verify();
    for block in [blocks[1], blocks[3], elsewhere] {
        rig.free(block);
    }
    rig.verify();
}

fn not_ready<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let bytes = 40 * Rig::<G>::PAGE;
    let error = rig
        .allocate(layout(bytes, 8), AllocFlags::NO_GROW)
        .expect_err("nothing is ready");
    assert!(matches!(error.cause, Cause::NotReady { .. }), "{error}");
    check_text(error, "growth:", &[]);
}

fn busy<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let state = Hosted::disable_interrupts();
    rig.machine.busy_nth(1, Mode::FromThenOn);
    let busy = rig.allocate(layout(8, 8), NONE);
    rig.machine.disarm();
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(state) };
    let error = busy.expect_err("nothing is ready, and the machine is busy");
    assert!(
        matches!(error.cause, Cause::Busy | Cause::NotReady { .. }),
        "{error}"
    );
    check_text(error, "growth:", &[]);
    assert_eq!(rig.heap.stats().of(Purpose::Objects), 0);
    rig.check();
    rig.free(rig.get(8, 8));
    rig.check();
}

archipelago_testing::on_every_geometry!(
    not_initialised,
    too_large,
    window,
    alignment,
    metadata_window,
    frames,
    page_tables,
    limit,
    not_ready,
    busy,
);
archipelago_testing::on_geometries_that_decommit!(a_limit_is_kept_by_scavenging_free_pages);
