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
use crate::base::{PageRun, Shape};
use crate::region::{Cause, Purpose, Source};

use super::bits::{Bits, ChunkBits, WORD};
use super::summary::{self, Value};

/// log2 of the children of a node.
const FAN_OUT_SHIFT: usize = 3;
/// Children of a node.
pub(super) const FAN_OUT: usize = 1 << FAN_OUT_SHIFT;
/// Levels that a path has room for: 57 address bits in chunks of 512 KiB.
const MAX_LEVELS: usize = 13;

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
    /// Its summary.
    pub(super) value: &'a Value,
    /// Which pages are free.
    pub(super) free: Bits<'a>,
    /// Which pages have no memory, or are on their way to get it.
    pub(super) scavenged: Bits<'a>,
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
    /// FreePages of a chunk.
    pub(super) const CHUNK_PAGES: usize = S::GEOMETRY.chunk_pages();
    /// log2 of them.
    pub(super) const CHUNK_SHIFT: usize = Self::CHUNK_PAGES.trailing_zeros() as usize;
    /// Chunks have so few words that to look at all of them costs no more than to know which have
    /// changed.
    pub(super) const SHORT_CHUNKS: bool = Self::CHUNK_PAGES <= 2 * WORD;
    /// FreePages of the address space.
    const SPACE_PAGES: usize = 1 << S::GEOMETRY.page_number_bits();
    /// Levels of the tree.
    pub(super) const LEVELS: usize = {
        let bits = S::GEOMETRY.chunk_number_bits() as usize;
        let levels = bits.div_ceil(FAN_OUT_SHIFT);
        assert!(levels <= MAX_LEVELS, "the tree has too many levels");
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
        while first >> ((height + 1) * FAN_OUT_SHIFT) != last >> ((height + 1) * FAN_OUT_SHIFT) {
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

    /// The node of `height` above `chunk`, if it is there.
    #[inline]
    pub(super) fn node(&self, chunk: usize, height: usize) -> Option<&TreeNode> {
        let mut node = &self.root;
        for height in (height + 1..Self::LEVELS).rev() {
            node = node.links[Self::column(chunk, height)].node()?;
        }
        Some(node)
    }

    /// Chunk number `chunk`, if it has bitmaps.
    #[inline]
    pub(super) fn chunk(&self, chunk: usize) -> Option<Chunk<'_>> {
        Self::chunk_in(self.node(chunk, 0)?, Self::column(chunk, 0))
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

    /// The nodes above `chunk`, by height; those past the root are the root again.
    #[inline]
    fn path(&self, chunk: usize) -> Option<[&TreeNode; MAX_LEVELS]> {
        let mut path = [&self.root; MAX_LEVELS];
        for height in (1..Self::LEVELS).rev() {
            path[height - 1] = path[height].links[Self::column(chunk, height)].node()?;
        }
        Some(path)
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

    /// Recomputes the summaries above the chunks from `first` to `last`, whose own are right and have changed
    /// with one run of pages, up to height `top`.
    pub(super) fn refresh(&self, top: usize, first: usize, last: usize) {
        if top == 0 {
            return;
        }
        // A group is the chunks of one node of height 0.
        let (first_group, last_group) = (first >> FAN_OUT_SHIFT, last >> FAN_OUT_SHIFT);
        for group in first_group..=last_group {
            let chunk = group << FAN_OUT_SHIFT;
            let Some(path) = self.path(chunk) else {
                debug_assert!(false, "chunks that changed have nodes");
                return;
            };
            for height in 1..=top {
                let below = (height - 1) * FAN_OUT_SHIFT;
                if group < last_group && group >> below == (group + 1) >> below {
                    // The next group's way up leads through this node as well.
                    break;
                }
                // Below the node that holds the whole run, its ends change every summary. From there up, no
                // news means that there is none further up either.
                if !Self::sum_up(&path, chunk, height) {
                    break;
                }
            }
        }
    }

    /// Carries what the node of height `from` above `chunk` says up to height `to`.
    pub(super) fn lift(&self, chunk: usize, from: usize, to: usize) {
        if let Some(path) = self.path(chunk) {
            for height in from + 1..=to {
                Self::sum_up(&path, chunk, height);
            }
        }
    }

    /// Recomputes what the node of `height` on a path says of the one below it, and whether that is
    /// news.
    #[inline]
    fn sum_up(path: &[&TreeNode; MAX_LEVELS], chunk: usize, height: usize) -> bool {
        let merged = summary::merge(&path[height - 1].values, Self::child_shift(height - 1));
        summary::store(&path[height].values[Self::column(chunk, height)], merged)
    }

    /// Notes that `chunk` may have free pages that are Ready.
    #[inline]
    pub(super) fn hint_ready(&self, chunk: usize) {
        let Some(path) = self.path(chunk) else {
            return;
        };
        for (height, node) in path.iter().enumerate().take(Self::LEVELS) {
            let value = &node.values[Self::column(chunk, height)];
            if summary::may_be_ready(value) {
                // A node is hinted at before anything above it is.
                return;
            }
            summary::hint_ready(value, true);
        }
    }
}
