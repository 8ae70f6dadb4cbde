//! Walking the bitmap, and comparing each word with the records of the objects.

use archipelago::bits::{HeapBits, PointerWords, WordBits};
use archipelago::{BitsView, VirtAddr, Window};
use archipelago_api::{Machine, Offset};

use super::{Live, Objects, WORD};
use crate::machine::{HeapMachine, SingleCpu};

/// How the bitmap is walked: a name, and what does it, through these windows.
pub type Way = (&'static str, fn(&Objects, &[Window]));

/// All ways. Each panics with the first word that differs from the records.
pub const WAYS: [Way; 4] = [
    ("words", by_words),
    ("strides", by_strides),
    ("objects", by_objects),
    ("heap", by_heap),
];

/// Steps of more than one word: within a unit, one more and one less than a unit's words on
/// machines of either width, and further than a page.
const STRIDES: [usize; 7] = [3, 15, 17, 31, 33, 64, 1031];

type View<'a> = BitsView<'a, HeapMachine, SingleCpu>;
type Cursor<'a, 'b> = HeapBits<'a, View<'b>>;

impl Objects {
    /// Compares every word of the windows, which hold all of the objects, in every way: also the
    /// words that are no object's, but for those above where there ever was one.
    ///
    /// # Panics
    /// If a word differs from the records. The message names the word.
    pub fn compare(&mut self, windows: &[Window]) {
        self.sort();
        for (_, way) in WAYS {
            way(self, windows);
        }
    }

    /// Puts the objects in order, as every way needs them.
    pub fn sort(&mut self) {
        self.live.sort_unstable_by_key(Live::place);
    }

    /// Compares one object, while others may change.
    ///
    /// # Panics
    /// As [`compare`](Self::compare).
    pub fn compare_one(&self, index: usize) {
        compare_object(self, &self.heap.bits(), &self.live[index]);
    }
}

/// The cursor, word by word.
fn by_words(objects: &Objects, windows: &[Window]) {
    for window in windows {
        walk(objects, window, |cursor| (cursor.next(), 1));
    }
}

/// The cursor in longer steps, and from piece to piece of the bitmap.
fn by_strides(objects: &Objects, windows: &[Window]) {
    for window in windows {
        for stride in STRIDES {
            walk(objects, window, |cursor| (cursor.forward(stride), stride));
        }
        walk(objects, window, |cursor| {
            cursor.forward_or_boundary(usize::MAX)
        });
    }
}

/// Each object, found by addresses in it, with its pointer words.
fn by_objects(objects: &Objects, _: &[Window]) {
    let view = objects.heap.bits();
    for live in &objects.live {
        compare_object(objects, &view, live);
    }
}

/// The pointer words of the whole heap.
fn by_heap(objects: &Objects, _: &[Window]) {
    let mut laid_out = objects.live.iter().flat_map(|live| {
        let words = live.pointer_words();
        words.map(move |offset| (live, offset))
    });
    objects.heap.for_each_pointer_word(|address| {
        let expected = laid_out.next();
        if let Some((live, offset)) = expected {
            let found = live.address(offset);
            let word = offset / WORD;
            assert!(
                found == address,
                "word {word} of {live} is laid out as a pointer, but the next one is found at \
                 {address}"
            );
        } else {
            panic!("a pointer is found at {address}, after all that were laid out");
        }
    });
    if let Some((live, offset)) = laid_out.next() {
        let word = offset / WORD;
        panic!("word {word} of {live} is laid out as a pointer, but not found");
    }
}

/// Walks through a window in steps that `step` takes, and returns their length in words.
fn walk(
    objects: &Objects,
    window: &Window,
    step: impl for<'a, 'b> Fn(Cursor<'a, 'b>) -> (Cursor<'a, 'b>, usize),
) {
    let view = objects.heap.bits();
    let base = VirtAddr::new(window.base);
    let first = HeapMachine::GEOMETRY.offset(base);
    let first = first.expect("a window of the space").value();
    let mut cursor = view.at(base).expect("a window of the space");
    let mut stretches = Stretches(&objects.live);
    let mut stretch = Stretch::EMPTY;
    let mut into = 0;
    let bytes = window.bytes.min(objects.highest.saturating_sub(first));
    while into < bytes {
        let place = first + into;
        if place >= stretch.end {
            stretch = stretches.at(place);
            assert_eq!(cursor.address(), address_at(Some(place)), "of the cursor");
        }
        stretch.compare(place, cursor.entry());
        let (next, words) = step(cursor);
        assert!(words > 0, "a step from {cursor:?} goes nowhere");
        cursor = next;
        into = into.saturating_add(words.saturating_mul(WORD));
    }
    let end = first.checked_add(into);
    assert_eq!(cursor.address(), address_at(end), "of the cursor");
}

/// The stretches of words that a walk of rising addresses has left to visit.
struct Stretches<'a>(&'a [Live]);

impl<'a> Stretches<'a> {
    fn at(&mut self, place: usize) -> Stretch<'a> {
        while let [live, others @ ..] = self.0 {
            let (start, end) = (live.place(), live.place() + live.bytes);
            if start > place {
                let live = None;
                let end = start;
                return Stretch { live, start, end };
            }
            if end > place {
                let live = Some(live);
                return Stretch { live, start, end };
            }
            self.0 = others;
        }
        Stretch {
            end: usize::MAX,
            ..Stretch::EMPTY
        }
    }
}

/// Places on the line of the space that are one object's, or none's.
struct Stretch<'a> {
    live: Option<&'a Live>,
    start: usize,
    end: usize,
}

impl Stretch<'_> {
    const EMPTY: Self = Self {
        live: None,
        start: 0,
        end: 0,
    };

    /// Compares a word with its bits. Where there are none it is dead.
    fn compare(&self, place: usize, found: Option<WordBits>) {
        let found = found.unwrap_or(WordBits::DEAD);
        match self.live {
            Some(live) => {
                let word = (place - self.start) / WORD;
                let laid_out = live.entry(word);
                assert!(
                    found == laid_out,
                    "word {word} of {live} is laid out as {laid_out:?}, but described as {found:?}"
                );
            }
            None => assert!(
                found == WordBits::DEAD,
                "the word at {:?} is no object's, but described as {found:?}",
                address_at(Some(place))
            ),
        }
    }
}

/// The address at a place on the line of the space, or none at its end.
fn address_at(place: Option<usize>) -> Option<VirtAddr> {
    let geometry = HeapMachine::GEOMETRY;
    let place = place.filter(|place| *place <= geometry.last_offset().value())?;
    Some(geometry.address(Offset::new(place)))
}

/// Compares an object that is found by addresses in it, and what its pointer words hold.
fn compare_object(objects: &Objects, view: &View<'_>, live: &Live) {
    let mut object = None;
    for offset in [0, 1, live.bytes / 2, live.bytes - 1] {
        object = objects.heap.object_at(live.address(offset));
        let found = object.map(|object| (object.base, object.bytes, object.is_scannable));
        let laid_out = (live.address(0), live.bytes, live.has_pointers());
        assert_eq!(found, Some(laid_out), "{offset} bytes into {live}");
    }
    let Some(whole) = object.and_then(|object| view.pointer_words(object)) else {
        return;
    };
    compare_pointers(live, whole);
    let middle = live.bytes / WORD / 2 * WORD;
    let halves = [0..middle, middle..live.bytes];
    let halves = halves.map(|part| PointerWords::within(view, live.address(0), part));
    compare_pointers(live, halves.into_iter().flatten().flatten());
}

fn compare_pointers(live: &Live, mut found: impl Iterator<Item = usize>) {
    for offset in live.pointer_words() {
        let word = offset / WORD;
        match found.next().map(|offset| offset / WORD) {
            Some(next) => assert!(
                next == word,
                "word {word} of {live} is laid out as a pointer, but the next one is word {next}"
            ),
            None => panic!("word {word} of {live} is laid out as a pointer, but none is left"),
        }
        let (leads_to, target) = (live.pointer(offset), live.target.as_ptr());
        assert!(
            leads_to == target,
            "word {word} of {live} leads to {leads_to:p}, but was laid out to lead to {target:p}"
        );
    }
    if let Some(offset) = found.next() {
        let word = offset / WORD;
        panic!("word {word} of {live} is described as a pointer after all that were laid out");
    }
}
