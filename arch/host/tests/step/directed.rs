//! Calls that are interrupted by certain others.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use archipelago_host::{CpuId, Fault, Heap, Host, Kernel};

use crate::branches::interrupt_everywhere;
use crate::handlers::{check, heap};
use crate::kernel;
use crate::trap::fault;

/// A CPU that owns no spans.
const BEYOND: u16 = CpuId::SHARED.0;

/// A slot of a class of which the blocks have no span. Behind its slots a page has room for half of
/// one more.
const LAYOUT: Layout = Layout::new::<[u64; 40]>();

fn get<K: Kernel>(heap: &Heap<Host, K>) -> NonNull<u8> {
    // SAFETY: the layout has bytes.
    NonNull::new(unsafe { heap.alloc(LAYOUT) }).expect("memory")
}

fn free<K: Kernel>(heap: &Heap<Host, K>, object: NonNull<u8>) {
    // SAFETY: the object was allocated with this layout, and nothing uses it.
    unsafe { heap.dealloc(object.as_ptr(), LAYOUT) };
}

/// Does `work` on CPU `cpu` instead of CPU 0.
fn on_cpu<R>(cpu: u16, work: impl FnOnce() -> R) -> R {
    kernel::migrate(cpu);
    let result = work();
    kernel::migrate(0);
    result
}

/// CPU 0 takes a span off the central lists, whose only object is freed meanwhile on CPU `cpu`.
pub(crate) fn empty_a_taken_span<K: Kernel>(cpu: u16) {
    let heap = heap::<K>();
    let central = on_cpu(BEYOND, || get(&heap));
    interrupt_everywhere(
        "a span is taken",
        cpu,
        || get(&heap),
        || free(&heap, central),
        |own, is_freed| {
            if !is_freed {
                free(&heap, central);
            }
            check(&heap, 1);
            free(&heap, own);
            check(&heap, 0);
        },
    );
}

/// An interrupted call of CPU 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// A request that a word of free slots serves.
    Allocate,
    /// A request that takes back the slots that others have freed.
    ReadNotices,
    Free,
    /// A request; what is called a mistake is none.
    NoMistake,
}

/// Mistakes on CPU `cpu` while CPU 0 makes a call.
pub(crate) fn misuse<K: Kernel>(call: Call, cpu: u16) {
    let heap = heap::<K>();
    // Three spans, which are full.
    let own: Vec<_> = (0..36).map(|_| get(&heap)).collect();
    let (mine, of_full) = (own[30], own[26]);
    // Of two spans a lower slot is freed, too, so that the call does not take one of these.
    let (local, remote) = (own[15], own[5]);
    let free_local = || [own[13], local].map(|object| free(&heap, object));
    match call {
        Call::Allocate | Call::Free => free_local(),
        Call::ReadNotices => on_cpu(1, free_local),
        Call::NoMistake => [(); 2],
    };
    on_cpu(1, || [own[3], remote].map(|object| free(&heap, object)));
    let mistakes = [
        (local, LAYOUT, Fault::DoubleFree),
        (remote, LAYOUT, Fault::DoubleFree),
        (free_page(&heap), LAYOUT, Fault::DoubleFree),
        (
            behind_the_last_slot(&heap, mine),
            LAYOUT,
            Fault::InteriorPointer,
        ),
        (above(mine, 8), LAYOUT, Fault::InteriorPointer),
        (mine, Layout::new::<[u64; 4]>(), Fault::WrongLayout),
        (NonNull::from(&LAYOUT).cast(), LAYOUT, Fault::ForeignPointer),
    ];
    let make_mistakes = || {
        for (number, (pointer, layout, expected)) in mistakes.into_iter().enumerate() {
            // A mistake with an object that the interrupted call is freeing may be another.
            if pointer == mine && call == Call::Free {
                continue;
            }
            // SAFETY: if there is an object, it is the test's.
            let freed = unsafe { heap.try_deallocate(pointer, layout) };
            if !freed.is_err_and(|report| report.fault == expected) {
                fault(format_args!(
                    "mistake {number} is {freed:?} for {expected:?}"
                ));
            }
        }
        free(&heap, of_full);
        // SAFETY: there is no object.
        let again = unsafe { heap.try_deallocate(of_full, LAYOUT) };
        if !again.is_err_and(|report| report.fault == Fault::DoubleFree) {
            fault(format_args!("a second free is {again:?}"));
        }
    };
    let make_call = || {
        if call != Call::Free {
            return Some(get(&heap));
        }
        free(&heap, mine);
        None
    };
    interrupt_everywhere("a call", cpu, make_call, make_mistakes, |got, is_freed| {
        if !is_freed {
            free(&heap, of_full);
        }
        let is_freed = |object| [own[3], remote, own[13], local, of_full].contains(object);
        let left = own.iter().filter(|object| !is_freed(object)).copied();
        let left: Vec<_> = left
            .filter(|object| *object != mine || call != Call::Free)
            .chain(got)
            .collect();
        check(&heap, left.len());
        left.into_iter().for_each(|object| free(&heap, object));
        check(&heap, 0);
    });
}

/// A page of the heap that is free.
fn free_page<K: Kernel>(heap: &Heap<Host, K>) -> NonNull<u8> {
    let layout = Layout::new::<[u64; 8000]>();
    // SAFETY: the layout has bytes.
    let start = NonNull::new(unsafe { heap.alloc(layout) }).expect("memory");
    // SAFETY: the object was allocated with this layout, and nothing uses it.
    unsafe { heap.dealloc(start.as_ptr(), layout) };
    above(start, 8 * 4096)
}

/// The end of the last slot of an object's span.
fn behind_the_last_slot<K: Kernel>(heap: &Heap<Host, K>, object: NonNull<u8>) -> NonNull<u8> {
    let (address, mut found) = (object.addr().get(), None);
    heap.for_each_span(|span| {
        let base = span.base.value();
        if (base..base + span.bytes).contains(&address) {
            found = Some((base + span.slots * span.slot_bytes, base + span.bytes));
        }
    });
    let (behind, end) = found.expect("the object is in a span");
    assert!(behind < end, "the span is longer than its slots");
    NonNull::new(ptr::with_exposed_provenance_mut(behind)).expect("no span is at 0")
}

fn above(pointer: NonNull<u8>, bytes: usize) -> NonNull<u8> {
    NonNull::new(pointer.as_ptr().wrapping_add(bytes)).expect("not the end of all addresses")
}
