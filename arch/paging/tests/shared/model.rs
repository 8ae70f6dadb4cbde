//! Random transitions, some of which run out of frames, against a state for each page. The tests of
//! every machine with page tables share these.

use archipelago_api::{Machine as _, Patience};
use archipelago_paging_testing::Walked as _;
use proptest::prelude::*;

use crate::subject::{Machine, Source, each_page, has_tables, machine, range};

/// The space under test, over the ends of tables.
const BASE: usize = crate::subject::MODELLED.0;
const PAGES: usize = crate::subject::MODELLED.1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    None,
    Reserved,
    Prepared,
    Ready,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Reserve,
    Prepare,
    Commit,
    Decommit,
    Fault,
    Release,
}

impl Call {
    /// Whether a page in `state` may be part of the call's range.
    fn takes(self, state: State) -> bool {
        match self {
            Self::Reserve => state == State::None,
            Self::Prepare => state == State::Reserved,
            Self::Commit => state == State::Prepared,
            Self::Decommit => state == State::Ready,
            Self::Fault => matches!(state, State::Prepared | State::Ready),
            Self::Release => state != State::None,
        }
    }

    fn leaves(self) -> State {
        match self {
            Self::Reserve | Self::Fault => State::Reserved,
            Self::Prepare | Self::Decommit => State::Prepared,
            Self::Commit => State::Ready,
            Self::Release => State::None,
        }
    }
}

struct Model {
    source: Source,
    machine: Machine,
    states: Vec<State>,
}

#[derive(Clone, Debug)]
struct Request {
    call: Call,
    /// The page from which to search for one that the call takes.
    from: usize,
    /// Pages at most.
    pages: usize,
    patience: Patience,
    /// Requests for frames that are served before one fails.
    fail_after: Option<usize>,
}

impl Model {
    fn new(returning: bool) -> Self {
        let source = Source::new(2304);
        Self {
            machine: machine(&source, returning),
            source,
            states: vec![State::None; PAGES],
        }
    }

    /// The first run of pages at or above `from` that the call takes.
    fn run(&self, request: &Request) -> Option<(usize, usize)> {
        let takes = |page: &usize| request.call.takes(self.states[*page]);
        let start = (request.from..PAGES).find(takes)?;
        let pages = (start..PAGES).take(request.pages).take_while(takes).count();
        Some((start, pages))
    }

    fn apply(&mut self, request: &Request) {
        let Some((start, pages)) = self.run(request) else {
            return;
        };
        let range = range(BASE + start * 4096, pages);
        let (machine, patience) = (&self.machine, request.patience);
        if let Some(n) = request.fail_after {
            self.source.fail(n, true);
        }
        let done = match request.call {
            // SAFETY: no other call of the machine runs meanwhile.
            Call::Reserve => unsafe { machine.reserve(range, patience) }.is_ok(),
            // SAFETY: `run` chose pages that are Reserved.
            Call::Prepare => unsafe { machine.prepare(range, patience) }.is_ok(),
            // SAFETY: `run` chose pages that are Prepared.
            Call::Commit => unsafe { machine.commit(range, patience) }.is_ok(),
            // SAFETY:
            // - `run` chose pages that are Ready;
            // - only the model's CPU uses them, and it holds no references.
            Call::Decommit => unsafe { machine.decommit(range, patience) }.is_ok(),
            // SAFETY:
            // - `run` chose pages that are Prepared or Ready;
            // - only the model's CPU uses them, and it holds no references.
            Call::Fault => unsafe { machine.fault(range, patience) }.is_ok(),
            // SAFETY:
            // - `run` chose pages that are reserved;
            // - only the model's CPU uses them, and it holds no references.
            Call::Release => unsafe { machine.release(range, patience) }.is_ok(),
        };
        self.source.heal();
        let may_fail =
            matches!(request.call, Call::Prepare | Call::Commit) && request.fail_after.is_some();
        assert!(done || may_fail, "{request:?}");
        if done {
            self.states[start..start + pages].fill(request.call.leaves());
        }
    }

    fn check(&self) {
        let mut ready = 0;
        for (page, &state) in each_page(range(BASE, PAGES)).zip(&self.states) {
            let found = self.source.physical.ready(page).is_some();
            assert_eq!(found, state == State::Ready, "{page} is {state:?}");
            ready += usize::from(found);
            let needs_tables = matches!(state, State::Prepared | State::Ready);
            assert!(has_tables(&self.source, page) || !needs_tables);
        }
        let footprint = self.machine.footprint();
        assert_eq!(
            self.source.out(),
            ready + footprint.table_frames + footprint.held_frames
        );
        let reached = self.source.touch(range(BASE, PAGES));
        assert_eq!(
            reached, ready,
            "the CPU finds what is Ready, and nothing else"
        );
    }
}

fn request() -> impl Strategy<Value = Request> {
    let call = prop_oneof![
        2 => Just(Call::Reserve),
        3 => Just(Call::Prepare),
        4 => Just(Call::Commit),
        2 => Just(Call::Decommit),
        1 => Just(Call::Fault),
        1 => Just(Call::Release),
    ];
    let patience = prop_oneof![Just(Patience::Wait), Just(Patience::Try)];
    let fail_after = prop::option::weighted(0.2, 0..40usize);
    (call, 0..PAGES, 1..600usize, patience, fail_after).prop_map(
        |(call, from, pages, patience, fail_after)| Request {
            call,
            from,
            pages,
            patience,
            fail_after,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_page_is_as_the_last_call_left_it_and_every_frame_is_accounted_for(
        returning: bool,
        requests in prop::collection::vec(request(), 1..60),
    ) {
        let mut model = Model::new(returning);
        for request in &requests {
            model.apply(request);
            model.check();
        }
        let all = Request {
            call: Call::Release,
            from: 0,
            pages: PAGES,
            patience: Patience::Wait,
            fail_after: None,
        };
        while model.run(&all).is_some() {
            model.apply(&all);
        }
        assert!(model.source.physical.picture().is_empty());
        let held = model.machine.footprint().held_frames;
        assert_eq!((model.source.out(), returning && held > 0), (held, false));
    }
}
