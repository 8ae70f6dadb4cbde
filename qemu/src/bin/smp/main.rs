//! A kernel on several CPUs, which use one heap all at once: they replay a trace, free each other's
//! objects, go offline and return, and are interrupted by timers whose handlers use the heap and
//! switch threads in the midst of it. In the end, every frame is accounted for.
//!
//! The trace is the kernel's module. Words on the command line:
//!
//! | word | |
//! | --- | --- |
//! | `cpus=N` | how many CPUs there are |
//! | `scale=N` | so many times as much work |
//! | `seed=N` | of the random numbers |
//! | `careless=TEST` | no maintenance of other CPUs' TLBs: `gone` or `elsewhere`, which has to fail |
//! | `hang` | a CPU stops in its tracks, which has to be noticed |
//!
//! Lines that start with `figure` hold a name and a number; those that start with `progress` say
//! what each CPU does.
#![no_std]
#![no_main]

extern crate alloc;

mod cpus;
mod hand_over;
mod marked;
mod offline;
mod replays;
mod scheduler;
mod threads;
mod ticks;
mod tlb;
mod translations;
mod watch;

use core::hint;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::{Heap, Purpose};
use archipelago_api::context::HandlersOf;
use archipelago_api::kernels::Cpus;
use archipelago_api::{CpuId, CpuSlot};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Account, Boot, BootInfo, HEAP_WINDOW, MOST_CPUS, Memory, Module, MultiCpuThreads, current_cpu,
    entry, mask_interrupts, println, share_memory,
};
use fastrand::Rng;

use scheduler::Scheduled;
use ticks::OfThread;
use tlb::Machine;
use watch::Watched;

entry!(main);

/// The kernel's CPUs, as the heap sees them.
struct Numbered;

impl Cpus for Numbered {
    const OWN_SPANS: u16 = 4;

    /// CPUs beyond those own no spans.
    fn current_cpu() -> CpuId {
        let cpu = current_cpu();
        if cpu.0 < Self::OWN_SPANS {
            cpu
        } else {
            CpuId::SHARED
        }
    }

    fn with_slot<R>(work: impl FnOnce(Option<&CpuSlot>) -> R) -> R {
        static SLOTS: [CpuSlot; MOST_CPUS] = [const { CpuSlot::new() }; MOST_CPUS];
        work(SLOTS.get(usize::from(current_cpu().0)))
    }
}

type SmpKernel = MultiCpuThreads<Numbered, Scheduled, HandlersOf<OfThread>>;

static HEAP: Heap<Machine, SmpKernel> = Heap::new();

#[global_allocator]
static GLOBAL: Watched = Watched;

/// Pages that the heap keeps Ready for handlers.
const RESERVE: usize = 32;

static SCALE: AtomicUsize = AtomicUsize::new(1);
static SEED: AtomicUsize = AtomicUsize::new(1);

/// How many times as much work there is.
fn scale() -> usize {
    SCALE.load(Ordering::Relaxed)
}

/// Random numbers of their own for each `stream`.
fn random(stream: usize) -> Rng {
    let seed = SEED.load(Ordering::Relaxed) as u64;
    Rng::with_seed(seed << 32 | stream as u64)
}

/// The state that the tests share, on the first CPU.
struct Context {
    trace: Module,
    memory: &'static Memory,
    account: Account,
    /// How often the account was checked.
    checks: usize,
}

impl Context {
    /// Checks the account and every invariant of the heap, in a quiet moment: all other CPUs wait.
    fn check(&mut self) {
        ticks::pause();
        self.check_now();
        ticks::go_on();
    }

    /// As [`check`](Self::check), where no handler uses the heap any more.
    fn check_now(&mut self) {
        if let Err(violation) = HEAP.verify() {
            panic!("the heap is not sound: {violation}");
        }
        let stats = HEAP.stats();
        if let Err(imbalance) = self.account.check(&self.memory.lock().1, &stats) {
            panic!("the account is wrong: {imbalance}");
        }
        self.checks += 1;
        watch::gets_on();
    }
}

const GONE: Test<Context> = Test {
    name: "no CPU translates pages that another one gave back",
    run: translations::gone,
};

const ELSEWHERE: Test<Context> = Test {
    name: "every CPU finds pages that were committed again in their new frames",
    run: translations::elsewhere,
};

const HANG: Test<Context> = Test {
    name: "a CPU that hangs is noticed",
    run: hang,
};

const ALL: &[Test<Context>] = &[
    GONE,
    ELSEWHERE,
    Test {
        name: "every CPU replays the trace at the same time",
        run: replays::run,
    },
    Test {
        name: "objects are made on one CPU and freed on another",
        run: hand_over::run,
    },
    Test {
        name: "CPUs go offline and return",
        run: offline::run,
    },
    Test {
        name: "threads are preempted in the heap and go on on another CPU",
        run: threads::run,
    },
    Test {
        name: "handlers were served, and all memory goes back",
        run: nothing_left,
    },
];

fn main(boot: Boot) -> ! {
    let info = boot.info;
    let number = |name| info.value(name).and_then(|text| text.parse().ok());
    let count = number("cpus").or(info.cpus()).unwrap_or(0);
    assert!((2..=MOST_CPUS).contains(&count), "{count} CPUs");
    SCALE.store(number("scale").unwrap_or(1), Ordering::Relaxed);
    SEED.store(number("seed").unwrap_or(1), Ordering::Relaxed);
    let tests = tests(&info);
    let mut context = start(boot);
    cpus::start_all(count);
    ticks::start_on_this_cpu();
    HEAP.set_reserve(RESERVE).expect("there is memory");
    protocol::run(tests, &mut context)
}

/// The tests that the command line asks for.
fn tests(info: &BootInfo) -> &'static [Test<Context>] {
    if info.has_word("hang") {
        watch::be_impatient();
        return &[HANG];
    }
    match info.value("careless") {
        None => return ALL,
        Some(_) => tlb::be_careless(),
    }
    match info.value("careless") {
        Some("elsewhere") => &[ELSEWHERE],
        _ => &[GONE],
    }
}

fn start(boot: Boot) -> Context {
    let trace = boot.info.module().expect("the trace is the module");
    let account = Account::open(&boot.frames);
    let memory = share_memory(boot);
    HEAP.init(&[HEAP_WINDOW], tlb::machine(memory))
        .unwrap_or_else(|failure| panic!("no heap: {failure}"));
    Context {
        trace,
        memory,
        account,
        checks: 0,
    }
}

/// Hangs the last CPU, with interrupts masked: those of the others go on.
fn hang(_: &mut Context) {
    ticks::go_on();
    cpus::on(cpus::count() - 1, || {
        drop(alloc::vec![0_u8; 7_777]);
        mask_interrupts();
        loop {
            hint::spin_loop();
        }
    });
}

fn nothing_left(context: &mut Context) {
    ticks::pause();
    let [ticks, served, refused] = ticks::counts();
    assert!(served > 100, "{ticks} interrupts: {served} requests served");
    ticks::free_all();
    (1..cpus::count()).for_each(cpus::send_off);
    cpus::free_stacks();
    HEAP.set_reserve(0).expect("nothing is needed");
    context.check_now();
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    context.check_now();
    let stats = HEAP.stats();
    assert_eq!(stats.small_objects, 0);
    for purpose in [Purpose::Objects, Purpose::Runs, Purpose::Free] {
        assert_eq!(stats.of(purpose), 0, "{purpose:?}");
    }
    let [preempted, in_heap, moved] = scheduler::counts();
    for (name, number) in [
        ("cpus", cpus::count()),
        ("actions", watch::actions()),
        ("replayed", replays::operations()),
        ("handed_over", hand_over::handed_over()),
        ("returns", offline::returns()),
        ("interrupts", ticks),
        ("served", served),
        ("refused", refused),
        ("preempted", preempted),
        ("preempted_in_heap", in_heap),
        ("moved_in_heap", moved),
        ("shoot_downs", tlb::shoot_downs()),
        ("account_checks", context.checks),
    ] {
        println!("figure {name} {number}");
    }
}
