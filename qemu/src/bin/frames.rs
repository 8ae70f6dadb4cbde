//! The frame pool: the frames that it hands out, counts, takes back and refuses.
#![no_std]
#![no_main]

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Boot, FILL, FRAME_BYTES, FramePool, MemoryKind, PhysRange, Refusal, entry, physmap, println,
};
use spin::Mutex;

entry!(main);

fn main(mut boot: Boot) -> ! {
    let tests = [
        Test {
            name: "a frame is filled before it is handed out",
            run: filled,
        },
        Test {
            name: "a frame given back is filled again",
            run: filled_again,
        },
        Test {
            name: "the n-th request is refused once",
            run: refused_once,
        },
        Test {
            name: "requests from the n-th on are refused",
            run: refused_from,
        },
        Test {
            name: "no more frames are handed out at once than are available",
            run: available,
        },
        Test {
            name: "adjacent frames follow one another and are aligned, whatever is in use",
            run: adjacent,
        },
        Test {
            name: "every frame is usable memory, handed out once",
            run: all,
        },
        Test {
            name: "all frames are back and can be taken again",
            run: all,
        },
        Test {
            name: "frames that are carved out follow one another, and are never handed out",
            run: carved,
        },
        Test {
            name: "all frames that are left are handed out",
            run: all,
        },
    ];
    protocol::run(&tests, &mut boot)
}

fn take(frames: &mut FramePool) -> u64 {
    frames.take().expect("a frame is free")
}

fn contents(frame: u64) -> &'static mut [u8] {
    let first = physmap(frame);
    // SAFETY: the physmap always maps the frame. The tests use a frame only between taking and
    // returning it, and only one slice of it at a time.
    unsafe { core::slice::from_raw_parts_mut(first, FRAME_BYTES) }
}

fn filled(boot: &mut Boot) {
    let frame = take(&mut boot.frames);
    assert!(contents(frame).iter().all(|byte| *byte == FILL));
    boot.frames.give_back(frame);
}

fn filled_again(boot: &mut Boot) {
    let frame = take(&mut boot.frames);
    contents(frame).fill(0);
    boot.frames.give_back(frame);
    assert_eq!(
        take(&mut boot.frames),
        frame,
        "the lowest frame comes first"
    );
    assert!(contents(frame).iter().all(|byte| *byte == FILL));
    boot.frames.give_back(frame);
}

fn adjacent(boot: &mut Boot) {
    const FRAME: u64 = FRAME_BYTES as u64;
    const COUNT: u64 = 5;
    let frames = &mut boot.frames;
    let before = frames.in_use();
    // The lowest free frames are every other one.
    let all = [(); 12].map(|()| take(frames));
    for hole in (0..12).step_by(2) {
        frames.give_back(all[hole]);
    }
    for align in [FRAME, 4 * FRAME, 16 * FRAME] {
        let bytes = usize::try_from(align).expect("a few frames");
        let first = frames.take_adjacent(5, bytes).expect("there are so many");
        assert_eq!(first % align, 0);
        assert_eq!(frames.in_use(), before + 6 + COUNT);
        for number in 0..COUNT {
            let frame = first + number * FRAME;
            assert!(!all.contains(&frame), "{frame:#x} is in use or a hole");
            assert!(contents(frame).iter().all(|byte| *byte == FILL));
            frames.give_back(frame);
        }
    }
    assert_eq!(take(frames), all[0], "a lone frame fills a hole");
    frames.give_back(all[0]);
    frames.set_available(COUNT - 1);
    assert_eq!(
        frames.take_adjacent(5, FRAME_BYTES),
        None,
        "there are too few"
    );
    frames.set_available(u64::MAX);
    for kept in (1..12).step_by(2) {
        frames.give_back(all[kept]);
    }
    assert_eq!(frames.in_use(), before);
}

fn refused_once(boot: &mut Boot) {
    let (taken, returned) = (boot.frames.taken(), boot.frames.returned());
    boot.frames.refuse(Refusal::Once(2));
    let first = take(&mut boot.frames);
    assert_eq!(boot.frames.take(), None);
    let third = take(&mut boot.frames);
    assert_ne!(first, third);
    boot.frames.give_back(first);
    boot.frames.give_back(third);
    assert_eq!(
        (boot.frames.taken(), boot.frames.returned()),
        (taken + 2, returned + 2)
    );
}

fn refused_from(boot: &mut Boot) {
    boot.frames.refuse(Refusal::From(2));
    let first = take(&mut boot.frames);
    assert_eq!(boot.frames.take(), None);
    assert_eq!(boot.frames.take(), None);
    boot.frames.refuse(Refusal::Never);
    let second = take(&mut boot.frames);
    boot.frames.give_back(second);
    boot.frames.give_back(first);
}

fn available(boot: &mut Boot) {
    let frames = &mut boot.frames;
    let before = take(frames);
    frames.set_available(2);
    let pair = [take(frames), take(frames)];
    assert_eq!(frames.take(), None);
    frames.give_back(pair[0]);
    let again = take(frames);
    assert_eq!(frames.take(), None);
    frames.set_available(u64::MAX);
    let last = take(frames);
    for frame in [before, pair[1], again, last] {
        frames.give_back(frame);
    }
}

fn carved(boot: &mut Boot) {
    let frames = &mut boot.frames;
    let managed = frames.managed_frames();
    let (taken, returned) = (frames.taken(), frames.returned());
    let range = frames.carve(10 * FRAME_BYTES + 1).expect("room");
    assert_eq!(range.end - range.start, 11 * FRAME_BYTES as u64);
    assert_eq!(frames.managed_frames(), managed - 11);
    assert_eq!(frames.free_frames(), managed - 11);
    assert_eq!((frames.taken(), frames.returned()), (taken, returned));
    let below = frames.carve(FRAME_BYTES).expect("room");
    assert!(below.end <= range.start, "the highest come first");
    let all = usize::try_from(managed).expect("a word") * FRAME_BYTES;
    assert_eq!(frames.carve(all), None);
    for carved in [range, below] {
        CARVED.lock()[usize::from(carved == below)] = carved;
    }
}

/// Memory that the pool must never hand out again.
static CARVED: Mutex<[PhysRange; 2]> = Mutex::new([PhysRange { start: 0, end: 0 }; 2]);

fn all(boot: &mut Boot) {
    let frames = &mut boot.frames;
    let managed = frames.managed_frames();
    let taken_before = frames.taken();
    // The frames themselves are the list of frames: each one holds the address of the one before.
    let mut last = 0;
    while let Some(frame) = frames.take() {
        assert!(frame > last, "{frame:#x} after {last:#x}");
        let usable = boot.info.memory_map().any(|region| {
            region.kind == MemoryKind::Usable
                && region.range.start <= frame
                && frame + FRAME_BYTES as u64 <= region.range.end
        });
        assert!(usable, "{frame:#x} is not usable memory");
        let is_carved = |range: &PhysRange| (range.start..range.end).contains(&frame);
        assert!(
            !CARVED.lock().iter().any(is_carved),
            "{frame:#x} is carved out"
        );
        contents(frame)[..8].copy_from_slice(&last.to_le_bytes());
        last = frame;
    }
    println!("# {managed} frames, the last at {last:#x}");
    assert_eq!(frames.taken() - taken_before, managed);
    assert_eq!(frames.free_frames(), 0);
    while last != 0 {
        let before = u64::from_le_bytes(contents(last)[..8].try_into().expect("eight bytes"));
        frames.give_back(last);
        last = before;
    }
    assert_eq!(frames.free_frames(), managed);
    assert_eq!(frames.taken(), frames.returned());
}
