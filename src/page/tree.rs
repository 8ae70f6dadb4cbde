//! The tree of summaries over every chunk of the address space: sparse, with the chunk bitmaps for
//! leaves.
//!
//! Fan-out 8, and as many levels as the geometry needs. Nodes are told by height: the children of a
//! node of height 0 are chunks. The **top** is the lowest node above every chunk that the heap owns
//! pages of: searches begin there, and nodes above it say nothing, so that a small heap in a large
//! space pays for the heap's size alone. An absent node reads as "no page below is free".

use core::marker::PhantomData;
use core::sync::atomic::AtomicU32;

use crate::base::sparse::{Link, Node};
use crate::base::{PageIdx, PageRun, Shape};
use crate::region::{Cause, Purpose, Source};

use super::bits::{Bits, ChunkBits, WORD};
use super::summary::{self, Summary, Value};

/// log2 of the children of a node.
const FAN_OUT_SHIFT: usize = 3;
/// Children of a node.
pub(super) const FAN_OUT: usize = 1 << FAN_OUT_SHIFT;

/// A node in metadata memory.
pub(super) type TreeNode = Node<Value, ChunkBits>;

/// The tree of the address space of `S`.
///
/// Nodes and bitmaps are added under the growth gate; what they hold changes under the page lock.
pub(super) struct Tree<S> {
    root: TreeNode,
    shape: PhantomData<fn() -> S>,
}

/// A chunk whose bitmaps are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    /// The chunk's summary.
    pub(super) value: &'a Value,
    /// The bits of pages that are free.
    pub(super) free: Bits<'a>,
    /// The bits of pages that lack memory, or are about to get it.
    pub(super) scavenged: Bits<'a>,
}

/// The top of the tree: where walks to the heap's chunks begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Top {
    /// The height of the lowest node above every chunk that the heap owns pages of.
    pub(super) height: usize,
    /// The node of that height, and the number that tells the chunks below it from others; `None`
    /// if it is not known, and walks begin at the root.
    near: Option<(&'static TreeNode, usize)>,
}

impl Top {
    /// The top of an empty tree.
    pub(super) const ROOT: Self = Self {
        height: 0,
        near: None,
    };

    /// Whether the two are the same.
    pub(super) fn is(self, other: Self) -> bool {
        let place = |top: Self| {
            let near = top.near;
            near.map(|(node, number)| (core::ptr::from_ref(node), number))
        };
        self.height == other.height && place(self) == place(other)
    }
}

/// The part of a run that lies in one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The chunk's number.
    pub(super) chunk: usize,
    /// The first page, counted from the start of the chunk.
    pub(super) first: usize,
    /// How many pages there are.
    pub(super) count: usize,
}

impl<S: Shape> Tree<S> {
    /// Pages of a chunk.
    pub(super) const CHUNK_PAGES: usize = S::GEOMETRY.chunk_pages();
    /// log2 of them.
    pub(super) const CHUNK_SHIFT: usize = Self::CHUNK_PAGES.trailing_zeros() as usize;
    /// Chunks have so few words that to look at all of them costs no more than to know which have
    /// changed.
    pub(super) const SHORT_CHUNKS: bool = Self::CHUNK_PAGES <= 2 * WORD;
    /// Whether walks begin at the top instead of the root.
    const REMEMBERS_TOP: bool = !Self::SHORT_CHUNKS;
    /// Pages of the address space.
    const SPACE_PAGES: usize = 1 << S::GEOMETRY.page_number_bits();
    /// Levels of the tree.
    pub(super) const LEVELS: usize = {
        let bits = S::GEOMETRY.chunk_number_bits() as usize;
        let levels = bits.div_ceil(FAN_OUT_SHIFT);
        if levels == 0 { 1 } else { levels }
    };

    /// A tree of one node, the root.
    pub(super) const fn new() -> Self {
        Self {
            root: Node {
                values: [const { [const { AtomicU32::new(0) }; 4] }; FAN_OUT],
                links: [const { Link::EMPTY }; FAN_OUT],
            },
            shape: PhantomData,
        }
    }

    /// The root, whose height is one less than the levels.
    pub(super) const fn root(&self) -> &TreeNode {
        &self.root
    }

    /// log2 of the pages of one child of a node of `height`.
    #[inline]
    pub(super) const fn child_shift(height: usize) -> usize {
        Self::CHUNK_SHIFT + height * FAN_OUT_SHIFT
    }

    /// The first page of the node of `height` above `chunk`.
    #[inline]
    pub(super) const fn node_base(chunk: usize, height: usize) -> usize {
        let below = (height + 1) * FAN_OUT_SHIFT;
        chunk >> below << below << Self::CHUNK_SHIFT
    }

    /// The height of the lowest node above both chunks.
    pub(super) const fn height_above(first: usize, last: usize) -> usize {
        let mut height = 0;
        while Self::number_at(first, height) != Self::number_at(last, height) {
            height += 1;
        }
        height
    }

    /// The column of `chunk` in the node of `height` above it.
    #[inline]
    const fn column(chunk: usize, height: usize) -> usize {
        chunk >> (height * FAN_OUT_SHIFT) & (FAN_OUT - 1)
    }

    /// Whether the run has pages and all of them are pages of the space.
    #[inline]
    pub(super) fn in_space(run: PageRun) -> bool {
        let end = run.first.0.checked_add(run.count);
        !run.is_empty() && end.is_some_and(|end| end <= Self::SPACE_PAGES)
    }

    /// The parts of `run` in the chunks that it touches, lowest first.
    #[inline]
    pub(super) fn pieces(run: PageRun) -> impl Iterator<Item = Piece> {
        let (mut at, end) = (run.first.0, run.end().0);
        core::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let chunk = at >> Self::CHUNK_SHIFT;
            let first = at % Self::CHUNK_PAGES;
            let count = (end - at).min(Self::CHUNK_PAGES - first);
            at += count;
            Some(Piece {
                chunk,
                first,
                count,
            })
        })
    }

    /// `run` as a part of the one chunk that it lies in, if there is one such chunk.
    #[inline]
    pub(super) fn piece(run: PageRun) -> Option<Piece> {
        let (chunk, first) = (
            run.first.0 >> Self::CHUNK_SHIFT,
            run.first.0 % Self::CHUNK_PAGES,
        );
        let count = run.count;
        let is_one = count <= Self::CHUNK_PAGES - first;
        is_one.then_some(Piece {
            chunk,
            first,
            count,
        })
    }

    /// The pages of `piece`.
    #[inline]
    pub(super) fn run_of(piece: Piece) -> PageRun {
        let first = (piece.chunk << Self::CHUNK_SHIFT) + piece.first;
        PageRun::new(PageIdx(first), piece.count)
    }

    /// The node of `height` above `chunk`, if it is there.
    #[inline]
    pub(super) fn node(&self, chunk: usize, height: usize) -> Option<&TreeNode> {
        Self::descend(&self.root, Self::LEVELS - 1, chunk, height)
    }

    /// The node of `height` above `chunk`, found from the node of height `from` above it.
    #[inline]
    fn descend(node: &TreeNode, from: usize, chunk: usize, height: usize) -> Option<&TreeNode> {
        let mut node = node;
        let mut at = from;
        while at > height {
            node = node.links[Self::column(chunk, at)].node()?;
            at -= 1;
        }
        Some(node)
    }

    /// The node of `height` above `chunk`, found from the top where it is known to be below it.
    #[inline]
    pub(super) fn node_from(&self, top: Top, chunk: usize, height: usize) -> Option<&TreeNode> {
        match top.near {
            Some((node, number))
                if height <= top.height && Self::number_at(chunk, top.height) == number =>
            {
                Self::descend(node, top.height, chunk, height)
            }
            _ => self.node(chunk, height),
        }
    }

    /// The number of the node of `height` above `chunk` among all of its height.
    #[inline]
    const fn number_at(chunk: usize, height: usize) -> usize {
        chunk >> ((height + 1) * FAN_OUT_SHIFT)
    }

    /// The top of height `height` above `chunk`.
    pub(super) fn top_at(&self, chunk: usize, height: usize) -> Top {
        let mut near = None;
        if Self::REMEMBERS_TOP && height + 1 < Self::LEVELS {
            let above = self.node(chunk, height + 1);
            let link = above.map(|node| &node.links[Self::column(chunk, height + 1)]);
            let node = link.and_then(Link::node);
            near = node.map(|node| (node, Self::number_at(chunk, height)));
        }
        Top { height, near }
    }

    /// Chunk number `chunk`, if it has bitmaps.
    #[inline]
    pub(super) fn chunk(&self, chunk: usize) -> Option<Chunk<'_>> {
        Self::chunk_in(self.node(chunk, 0)?, Self::column(chunk, 0))
    }

    /// Chunk number `chunk`, if it has bitmaps, found from the top.
    #[inline]
    pub(super) fn chunk_from(&self, top: Top, chunk: usize) -> Option<Chunk<'_>> {
        Self::chunk_in(self.node_from(top, chunk, 0)?, Self::column(chunk, 0))
    }

    /// The chunk in `column` of a node of height 0.
    #[inline]
    pub(super) fn chunk_in(node: &TreeNode, column: usize) -> Option<Chunk<'_>> {
        let [free, scavenged] = node.links[column].leaf()?;
        Some(Chunk {
            value: &node.values[column],
            free: Bits::new(free, Self::CHUNK_PAGES),
            scavenged: Bits::new(scavenged, Self::CHUNK_PAGES),
        })
    }

    /// Makes the nodes and bitmaps that the pages of `run` lack. No search sees them: they hold no
    /// free page.
    ///
    /// The caller holds the growth gate and not the page lock. Doing it again is harmless.
    ///
    /// # Errors
    /// Why `source` refused. What was made until then stays, unseen, for the next attempt.
    pub(super) fn ensure(&self, run: PageRun, source: &mut impl Source) -> Result<(), Cause> {
        for piece in Self::pieces(run) {
            let mut node = &self.root;
            for height in (1..Self::LEVELS).rev() {
                let link = &node.links[Self::column(piece.chunk, height)];
                node = match link.node() {
                    Some(child) => child,
                    None => {
                        let align = align_of::<TreeNode>();
                        link.publish_node(source.take(Purpose::Summaries, 1, align)?)
                    }
                };
            }
            let link = &node.links[Self::column(piece.chunk, 0)];
            if link.leaf().is_none() {
                let align = align_of::<ChunkBits>();
                link.publish_leaf(source.take(Purpose::ChunkBitmaps, 1, align)?);
            }
        }
        Ok(())
    }

    /// Recomputes the summaries above the chunks from `first` to `last`, whose own are right and
    /// have changed with one run of pages, up to `top`.
    pub(super) fn refresh(&self, top: Top, first: usize, last: usize) {
        if top.height == 0 {
            return;
        }
        // A group is the chunks of one node of height 0.
        let (first_group, last_group) = (first >> FAN_OUT_SHIFT, last >> FAN_OUT_SHIFT);
        for group in first_group..=last_group {
            let chunk = group << FAN_OUT_SHIFT;
            for height in 1..=top.height {
                let below = (height - 1) * FAN_OUT_SHIFT;
                if group < last_group && group >> below == (group + 1) >> below {
                    // The next group's way up leads through this node as well.
                    break;
                }
                // Below the node that holds the whole run, its ends change every summary. From
                // there up, no news means that there is none further up either.
                if self.sum_up(top, chunk, height).is_none() {
                    break;
                }
            }
        }
    }

    /// Brings the summaries above `chunk` up to date, whose own was `old` and is `new`.
    #[inline]
    pub(super) fn refresh_above(&self, top: Top, chunk: usize, old: Summary, new: Summary) {
        let (mut old, mut new) = (old, new);
        for height in 1..=top.height {
            if old.start == new.start && old.end == new.end {
                let Some(node) = self.node_from(top, chunk, height) else {
                    return;
                };
                let longest = summary::longest(&node.values[Self::column(chunk, height)]);
                if old.max < longest && new.max <= longest {
                    // It is another child's run, or one over the bounds of children.
                    return;
                }
            }
            let Some(changed) = self.sum_up(top, chunk, height) else {
                return;
            };
            (old, new) = changed;
        }
    }

    /// Carries what the node of height `from` above `chunk` says up to height `to`.
    pub(super) fn lift(&self, chunk: usize, from: usize, to: usize) {
        for height in from + 1..=to {
            self.sum_up(Top::ROOT, chunk, height);
        }
    }

    /// Recomputes what the node of `height` above `chunk` says of the one below it: what it said
    /// and what it says, if that is news.
    fn sum_up(&self, top: Top, chunk: usize, height: usize) -> Option<(Summary, Summary)> {
        let column = Self::column(chunk, height);
        let above = self.node_from(top, chunk, height);
        let pair =
            above.and_then(|above| Some((&above.values[column], above.links[column].node()?)));
        let Some((value, below)) = pair else {
            debug_assert!(false, "chunks that changed have nodes");
            return None;
        };
        let old = summary::load(value);
        let new = summary::merge(&below.values, Self::child_shift(height - 1));
        summary::store(value, new).then_some((old, new))
    }

    /// Notes that `chunk` may have free pages that are Ready.
    pub(super) fn hint_ready(&self, chunk: usize) {
        for height in 0..Self::LEVELS {
            let Some(node) = self.node(chunk, height) else {
                return;
            };
            let value = &node.values[Self::column(chunk, height)];
            if summary::may_be_ready(value) {
                // A node is hinted at before anything above it is.
                return;
            }
            summary::hint_ready(value, true);
        }
    }
}
