//! Interrupt handlers whose requests come between two steps of a long one, and grow the heap.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::RefCell;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};
use archipelago_sim::{Hosted, Plain32, Sim};

use crate::base::{PageIdx, PageRun};
use crate::heap::Heap;
use crate::pageheap::{Online, ReadyRun, Reclaim, Want, Window};
use crate::region::Cause;

type Subject = Heap<Sim<Plain32>, Hosted>;

/// Pages of a long request.
const PAGES: usize = 1000;

/// Pages of a handler's request: more than a piece has beside it.
const HANDLER_PAGES: usize = 600;

const PAGE: usize = 4096;

/// A heap that is asked by an interrupt handler after each step of a long request.
struct Interrupted<'a> {
    heap: &'a Subject,
    /// The handlers' objects.
    served: RefCell<Vec<NonNull<u8>>>,
}

impl Interrupted<'_> {
    const LAYOUT: Layout = match Layout::from_size_align(HANDLER_PAGES * PAGE, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("a layout"),
    };

    fn owned_pages(&self) -> usize {
        self.heap.pages.pool().hold().owned().total_pages()
    }

    /// A long request of pages that are not of an object.
    fn request(&self) -> Result<ReadyRun, Cause> {
        let online = self.heap.pages.online().expect("initialised");
        self.heap
            .pages
            .alloc_or_grow(online, Want::pages(PAGES), self)
    }

    /// Frees the handlers' objects, and returns how many there were.
    fn finish(self) -> usize {
        let served = self.served.into_inner();
        let count = served.len();
        for object in served {
            // SAFETY: a handler allocated it with this layout, and nothing uses it.
            unsafe { self.heap.deallocate(object, Self::LAYOUT) };
        }
        self.heap.verify().expect("sound");
        count
    }
}

impl Reclaim<Sim<Plain32>> for Interrupted<'_> {
    fn reclaim(&self, online: &Online<Sim<Plain32>>) {
        self.heap.reclaim(online);
    }

    fn reclaim_kept(&self, _: &Online<Sim<Plain32>>) -> bool {
        false
    }

    fn between_steps(&self, online: &Online<Sim<Plain32>>) {
        let owned = self.owned_pages();
        let interrupts = Hosted::disable_interrupts();
        let served = self.heap.allocate(Self::LAYOUT, AllocFlags::empty());
        // SAFETY: the state is of the call above.
        unsafe { Hosted::restore_interrupts(interrupts) };
        let served = served.expect("the gate is open between two steps");
        assert!(self.owned_pages() > owned, "the heap grew");
        self.served.borrow_mut().push(served.cast());
        self.heap.between_steps(online);
    }
}

fn subject(machine: &Sim<Plain32>) -> Box<Subject> {
    let heap: Box<Subject> = Box::default();
    heap.init(&[Window::new(0x4000_0000, 1 << 29)], machine.clone())
        .expect("a good window");
    heap
}

fn interrupted(heap: &Subject) -> Interrupted<'_> {
    Interrupted {
        heap,
        served: RefCell::default(),
    }
}

/// The pages of `run`, which are freed, and those of the handlers' objects are apart.
fn free_apart(user: &Interrupted<'_>, run: ReadyRun) {
    let pages = run.run();
    for object in user.served.borrow().iter() {
        let view = user
            .heap
            .pages
            .online()
            .and_then(|online| online.machine.address(*object));
        let first = view.and_then(PageIdx::of::<Sim<Plain32>>);
        let object = PageRun::new(first.expect("the heap's"), HANDLER_PAGES);
        assert!(!object.overlaps(pages), "{object:?} in {pages:?}");
    }
    user.heap.pages.free(run);
    user.heap.verify().expect("sound");
}

#[test]
fn the_heap_grows_for_handlers_between_the_steps_of_growth() {
    let machine = Sim::default();
    let heap = subject(&machine);
    let user = interrupted(&heap);
    let run = user.request().expect("memory");
    assert_eq!(run.run().count, PAGES);
    free_apart(&user, run);
    // As many steps commit the run as make metadata for it.
    assert!(user.finish() >= 2 * (PAGES / 128));
}

#[test]
fn the_heap_grows_for_handlers_between_the_steps_of_a_commit() {
    let machine = Sim::default();
    let heap = subject(&machine);
    let free = heap.pages().allocate(PAGES, 1, AllocFlags::empty());
    drop(free.expect("memory"));
    heap.scavenge(PAGES).expect("quiet");
    let user = interrupted(&heap);
    let run = user.request().expect("memory");
    free_apart(&user, run);
    assert!(user.finish() >= PAGES / 128);
}

#[test]
fn a_long_request_is_refused_after_handlers_grew_the_heap() {
    let machine = Sim::<Plain32>::default();
    let heap = subject(&machine);
    let user = interrupted(&heap);
    // Enough for some steps and the handlers between them.
    machine.set_available_frames(3 * (HANDLER_PAGES + 128) + 100);
    let refused = heap.pages.alloc_or_grow(
        heap.pages.online().expect("initialised"),
        Want::pages(3 * PAGES),
        &user,
    );
    assert!(matches!(refused, Err(Cause::Frames { .. })), "{refused:?}");
    assert!(user.finish() >= 2, "handlers came before the refusal");
}
