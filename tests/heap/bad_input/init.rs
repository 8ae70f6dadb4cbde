//! Other reasons for which a heap is not initialised or a window not added.

use archipelago::{Cause, InitError, Kernel, VirtAddr, VirtRange, Window, WindowRule};
use archipelago_api::ReserveError;
use archipelago_sim::{Hosted, Mode, Sim, SimGeometry};
use archipelago_testing::{Rig, lone_window};

fn good<G: SimGeometry>() -> Window {
    lone_window::<G>(100 * Rig::<G>::PAGE)
}

fn above<G: SimGeometry>() -> Window {
    let good = good::<G>();
    Window::new(good.base + 2 * good.bytes, good.bytes)
}

fn range(window: Window) -> VirtRange {
    VirtRange::new(VirtAddr::new(window.base), window.bytes).expect("it does not wrap")
}

/// Initialises in vain, checks that nothing has changed, and initialises.
fn check<G: SimGeometry>(rig: &Rig<G>, windows: &[Window], expected: &str) -> InitError {
    let before = (rig.heap.stats(), rig.machine.ranges());
    let frames = rig.machine.frames_taken() - rig.machine.frames_returned();
    let failure = rig.init(windows).expect_err("refused");
    let text = failure.to_string();
    assert!(text.contains(expected), "{text}");
    assert_eq!((rig.heap.stats(), rig.machine.ranges()), before);
    let after = rig.machine.frames_taken() - rig.machine.frames_returned();
    assert_eq!(after, frames);
    rig.machine.disarm();
    rig.machine.set_available_frames(usize::MAX / 2);
    rig.heap
        .init(&[good::<G>()], failure.machine)
        .expect("the machine came back");
    rig.free(rig.get(8, 8));
    rig.check();
    rig.verify();
    failure.error
}

fn a_heap_needs_a_window_for_objects<G: SimGeometry>() {
    for windows in [
        &[][..],
        &[Window::for_metadata(good::<G>().base, good::<G>().bytes)],
    ] {
        let rig = Rig::<G>::uninitialised(Sim::default());
        assert_eq!(
            check(&rig, windows, "no window for objects"),
            InitError::NoWindow
        );
    }
}

fn a_heap_is_initialised_once<G: SimGeometry>() {
    let rig = Rig::<G>::on(Sim::default(), &[good::<G>()]);
    let block = rig.get(64, 8);
    let before = rig.heap.stats();
    let other = Sim::<G>::default();
    let failure = rig
        .heap
        .init(&[above::<G>()], other.clone())
        .expect_err("the second time");
    assert_eq!(failure.error, InitError::AlreadyInitialised);
    assert_eq!(failure.to_string(), "the heap is initialised already");
    assert_eq!((rig.heap.stats(), other.calls().total()), (before, 0));
    rig.free(block);
    rig.check();
}

fn a_heap_without_machine_takes_no_window<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    assert_eq!(
        rig.heap.add_window(good::<G>()),
        Err(InitError::NotInitialised)
    );
    rig.init(&[good::<G>()]).expect("nothing has changed");
}

fn what_the_machine_will_not_reserve_is_named<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    let taken = Window::new(above::<G>().base + Rig::<G>::PAGE, Rig::<G>::PAGE);
    rig.machine.occupy(range(taken));
    let text = format!("{:#x}", above::<G>().base);
    let error = check(&rig, &[good::<G>(), above::<G>()], &text);
    let InitError::Reserve { window, error } = error else {
        panic!("{error}");
    };
    assert_eq!(window, above::<G>());
    assert_eq!(
        error,
        ReserveError::Occupied {
            occupied: range(taken)
        }
    );
    let before = (rig.heap.stats(), rig.machine.ranges());
    let later = rig.heap.add_window(above::<G>());
    assert_eq!(later, Err(InitError::Reserve { window, error }));
    assert_eq!((rig.heap.stats(), rig.machine.ranges()), before);
}

fn a_machine_without_frames_is_out_of_memory<G: SimGeometry>() {
    let mut refused = 0;
    for frames in 0..100 {
        let rig = Rig::<G>::uninitialised(Sim::builder().frames(frames).build());
        if rig.init(&[good::<G>()]).is_ok() {
            break;
        }
        refused += 1;
        let error = check(&rig, &[good::<G>()], "no memory for the first metadata");
        let InitError::Metadata { cause } = error else {
            panic!("{error}");
        };
        let (Cause::Frames { needed, available } | Cause::PageTables { needed, available }) = cause
        else {
            panic!("{cause}");
        };
        assert!(needed > available && available <= frames);
    }
    assert!(refused > 0, "a heap needs frames");
}

fn a_window_that_metadata_does_not_fit_is_refused<G: SimGeometry>() {
    let tiny = lone_window::<G>(Rig::<G>::PAGE);
    let rig = Rig::<G>::uninitialised(Sim::default());
    let error = check(&rig, &[tiny], "too small for the heap's metadata");
    let InitError::Window { window, rule } = error else {
        panic!("{error}");
    };
    assert_eq!(window, tiny);
    assert!(
        matches!(rule, WindowRule::NoRoomForMetadata { .. }),
        "{error}"
    );
}

fn a_busy_machine_is_not_waited_for_with_interrupts_masked<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    let state = Hosted::disable_interrupts();
    rig.machine.busy_nth(1, Mode::FromThenOn);
    let failure = rig.init(&[good::<G>()]).expect_err("busy");
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(state) };
    rig.machine.disarm();
    assert!(
        matches!(
            failure.error,
            InitError::Busy
                | InitError::Reserve {
                    error: ReserveError::Busy,
                    ..
                }
        ),
        "{failure}"
    );
    assert!(failure.to_string().contains("busy") || failure.to_string().contains("in use"));
    assert!(rig.machine.ranges().is_empty());
    rig.heap
        .init(&[good::<G>()], failure.machine)
        .expect("the machine is not in use");
    rig.check();
}

archipelago_testing::on_every_geometry!(
    a_heap_needs_a_window_for_objects,
    a_heap_is_initialised_once,
    a_heap_without_machine_takes_no_window,
    what_the_machine_will_not_reserve_is_named,
    a_machine_without_frames_is_out_of_memory,
    a_window_that_metadata_does_not_fit_is_refused,
    a_busy_machine_is_not_waited_for_with_interrupts_masked,
);
