//! Growing one tree on one minipatch.
//!
//! Two ways to find a node's best split, by how many features are looked at:
//!
//! - **Kept orders.** When every feature is looked at, each node owns the sorted rows of every feature that
//!   is not yet constant, and a split partitions all of them (only the part that a child will use). Below
//!   [`SMALL`] rows the orders are dropped.
//! - **Orders on demand.** When a few features are drawn per node (forests), or the node is small, the rows
//!   of a drawn feature are filtered from the minipatch's order or, if they are few, sorted on the spot.
//!
//! Features are visited in a random order drawn as the visit proceeds, and the visit ends as soon as both
//! children are pure, which nothing can better. That is scikit-learn's rule, in which the first of several
//! equally good features wins.

use super::Task;
use super::presorted::{Presorted, ordered_bits, unpack};
use super::split::{
    BATCH, Best, Buffers, Counted, Feature, Key, LANES, Node, Unit, Weighting, is_near, search,
};
use super::tree::{Splitter, Tree, TreeParameters};
use crate::rng::Stream;
use crate::simd::Level;

/// Nodes of up to this many rows sort a feature's rows when they look at it.
const SMALL: usize = 3;

/// A row of the data that is not in the minipatch.
const ABSENT: u32 = u32::MAX;

/// One feature's place among the keys: `low` rows below the mode, then `high` rows above it.
#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    column: u32,
    low: u32,
    high: u32,
    start: usize,
}

impl Segment {
    #[inline(always)]
    fn of<K>(self, keys: &[K]) -> (&[K], &[K]) {
        let end = self.start + self.low as usize;
        (&keys[self.start..end], &keys[end..end + self.high as usize])
    }

    /// The same with the padding that [`Feature`] asks for.
    #[inline(always)]
    fn padded<K>(self, keys: &[K]) -> (&[K], &[K]) {
        let end = self.start + self.low as usize;
        (&keys[self.start..end + LANES], &keys[end..end + self.high as usize + LANES])
    }
}

/// A minipatch made ready for trees.
#[derive(Debug)]
pub(crate) struct Patch<K> {
    /// The data's row of each row.
    pub rows: Vec<u32>,
    /// The data's column of each column.
    columns: Vec<u32>,
    /// The class of each class code; codes number the classes that occur.
    pub present: Vec<u32>,
    /// The class code of each row.
    codes: Vec<u32>,
    /// Number of classes, with those that do not occur.
    n_classes: usize,
    /// The row of each row of the data, or [`ABSENT`].
    local: Vec<u32>,
    /// Each feature's place in `keys`.
    segments: Vec<Segment>,
    /// The sorted rows of all features.
    keys: Vec<K>,
}

impl<K: Key> Patch<K> {
    /// An empty minipatch.
    pub(crate) fn new() -> Self {
        Patch {
            rows: Vec::new(),
            columns: Vec::new(),
            present: Vec::new(),
            codes: Vec::new(),
            n_classes: 0,
            local: Vec::new(),
            segments: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Takes up the minipatch of a task; with `orders`, the sorted rows of its features too.
    pub(crate) fn load(&mut self, presorted: &Presorted, task: &Task<'_>, orders: bool) {
        self.rows.clear();
        self.rows.extend_from_slice(task.rows);
        self.columns.clear();
        self.columns.extend_from_slice(task.columns);
        self.n_classes = task.n_classes;
        let mut code = vec![ABSENT; task.n_classes];
        task.classes.iter().for_each(|&class| code[class as usize] = 0);
        self.present.clear();
        for (class, code) in code.iter_mut().enumerate().filter(|(_, code)| **code == 0) {
            *code = self.present.len() as u32;
            self.present.push(class as u32);
        }
        self.codes.clear();
        self.codes.extend(task.classes.iter().map(|&class| code[class as usize]));
        self.segments.clear();
        self.segments.extend((0..task.columns.len()).map(|column| Segment {
            column: column as u32,
            low: 0,
            high: 0,
            start: 0,
        }));
        if orders {
            self.sort(presorted);
        }
    }

    /// Keeps the members of the whole data's orders.
    fn sort(&mut self, presorted: &Presorted) {
        self.local.clear();
        self.local.resize(presorted.rows, ABSENT);
        self.rows.iter().zip(0..).for_each(|(&row, local)| self.local[row as usize] = local);
        // The row after the last is written before it is known not to be kept.
        let most = self.rows.len() * self.columns.len() + LANES;
        if self.keys.len() < most {
            self.keys.resize(most, K::default());
        }
        let Patch { keys, local, segments, columns, .. } = self;
        let mut end = 0;
        for (segment, &column) in segments.iter_mut().zip(columns.iter()) {
            let (low, high) = presorted.order(column as usize);
            let lows = keep_members(low, local, &mut keys[end..]);
            let highs = keep_members(high, local, &mut keys[end + lows..]);
            *segment = Segment { start: end, low: lows as u32, high: highs as u32, ..*segment };
            end += lows + highs;
        }
    }
}

/// Writes the keys of the rows of an order that are in the minipatch; how many these are.
#[inline(always)]
fn keep_members<K: Key>(items: &[u32], local: &[u32], out: &mut [K]) -> usize {
    let (mut end, mut rank) = (0, 0);
    for &item in items {
        let (row, new) = unpack(item);
        let row = local[row];
        rank += new;
        out[end] = K::new(rank, row);
        end += usize::from(row != ABSENT);
    }
    end
}

/// A node that waits for its turn.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// Its rows, as a range of [`Grower::rows`].
    start: usize,
    end: usize,
    depth: usize,
    /// Its parent in the tree, and whether it is the left child.
    parent: Option<(usize, bool)>,
    impurity: f64,
    /// Whether it stays a leaf whatever its features are.
    leaf: bool,
    /// Its features, as a range of [`Grower::segments`].
    features: (usize, usize),
    /// Where the features of the nodes whose turn comes earlier begin in [`Grower::segments`].
    top: usize,
    /// Whether the segments of the features hold its sorted rows.
    sorted: bool,
}

/// Working memory for growing trees.
#[derive(Debug)]
pub(crate) struct Grower<K: Key> {
    level: Level,
    /// The rows of the minipatch that the tree is grown on, every node's in one piece.
    rows: Vec<u32>,
    /// Whether a row goes left, while a node is partitioned.
    goes_left: Vec<u8>,
    /// The features of the nodes that wait, those of the next one last.
    segments: Vec<Segment>,
    left_segments: Vec<Segment>,
    /// The sorted rows of the nodes that wait.
    keys: Vec<K>,
    /// What goes right, while a node is partitioned.
    right_rows: Vec<u32>,
    right_keys: Vec<K>,
    pending: Vec<Pending>,
    /// Class weights of the node at hand and of its two children.
    totals: [Vec<u32>; 3],
    lookup: Lookup<K>,
}

/// Working memory for looking at one feature.
#[derive(Debug, Default)]
struct Lookup<K: Key> {
    buffers: Buffers<K::Pair>,
    /// Rows of one feature that were sorted or filtered on demand.
    keys: Vec<K>,
    sorting: Vec<u64>,
    /// A feature's values in the node.
    values: Vec<f32>,
    /// Class weights on the left of a random threshold, and on its right.
    sides: [Vec<u32>; 2],
    /// 1 for the rows of the node at hand, while orders are filtered.
    member: Vec<u8>,
}

/// What is fixed while a tree is grown.
struct Ground<'a, K> {
    presorted: &'a Presorted,
    patch: &'a Patch<K>,
    /// How often each row of the minipatch counts; empty when each counts once.
    weights: &'a [u32],
    parameters: &'a TreeParameters,
    /// Sum of the weights.
    weight: u32,
}

impl<K> Ground<'_, K> {
    /// The values of a column of the minipatch, by row of the data.
    #[inline(always)]
    fn values(&self, column: u32) -> &[f32] {
        self.presorted.column(self.patch.columns[column as usize] as usize)
    }

    /// Sets `totals` to the class weights of `rows`.
    fn count(&self, rows: &[u32], totals: &mut Vec<u32>) {
        totals.clear();
        totals.resize(self.patch.present.len(), 0);
        for &row in rows {
            totals[self.patch.codes[row as usize] as usize] += self.row_weight(row);
        }
    }

    #[inline(always)]
    fn row_weight(&self, row: u32) -> u32 {
        if self.weights.is_empty() { 1 } else { self.weights[row as usize] }
    }
}

impl<K: Key> Grower<K> {
    /// Memory for growing trees, used again from tree to tree.
    pub(crate) fn new(level: Level) -> Self {
        Grower {
            level,
            rows: Vec::new(),
            goes_left: Vec::new(),
            segments: Vec::new(),
            left_segments: Vec::new(),
            keys: Vec::new(),
            right_rows: Vec::new(),
            right_keys: Vec::new(),
            pending: Vec::new(),
            totals: Default::default(),
            lookup: Lookup::default(),
        }
    }

    /// Grows a tree on `patch`, which must have its orders if [`TreeParameters::uses_orders`]. `weights` says
    /// how often each row counts; empty means once.
    pub(crate) fn grow(
        &mut self,
        presorted: &Presorted,
        patch: &Patch<K>,
        weights: &[u32],
        parameters: &TreeParameters,
        rng: &mut Stream,
        tree: &mut Tree,
    ) {
        let size = patch.rows.len();
        let unit = weights.is_empty();
        self.rows.clear();
        self.rows.extend((0..size as u32).filter(|&row| unit || weights[row as usize] > 0));
        let weight = if unit { size as u32 } else { weights.iter().sum() };
        let ground = Ground { presorted, patch, weights, parameters, weight };
        if self.goes_left.len() < size {
            self.goes_left.resize(size, 0);
            self.lookup.member.resize(size, 0);
            self.right_rows.resize(size + 1, 0);
            self.right_keys.resize(size + 1, K::default());
        }
        self.segments.clear();
        self.segments.extend_from_slice(&patch.segments);
        let sorted =
            parameters.uses_orders() && parameters.visits(patch.columns.len()) == patch.columns.len();
        if sorted {
            self.copy_orders(&ground);
        }
        tree.clear(patch.n_classes);
        self.pending.clear();
        ground.count(&self.rows, &mut self.totals[1]);
        let features = (0, self.segments.len());
        let root = Pending {
            start: 0,
            end: self.rows.len(),
            depth: 0,
            parent: None,
            impurity: 0.0,
            leaf: false,
            features,
            top: features.1,
            sorted,
        };
        self.pending.push(self.settle(&ground, 1, root));
        while let Some(node) = self.pending.pop() {
            self.segments.truncate(node.top);
            ground.count(&self.rows[node.start..node.end], &mut self.totals[0]);
            let index =
                tree.add(&node.parent, node.end - node.start, node.impurity, &self.totals[0], &patch.present);
            if !node.leaf {
                self.split(&ground, &node, index, rng, tree);
            }
        }
    }

    /// The orders of the rows that count, to be partitioned from node to node.
    fn copy_orders(&mut self, ground: &Ground<'_, K>) {
        let keys = &ground.patch.keys;
        if self.keys.len() < keys.len() {
            self.keys.resize(keys.len(), K::default());
        }
        let used = self.segments.last().map_or(0, |s| s.start + (s.low + s.high) as usize);
        if ground.weights.is_empty() {
            self.keys[..used].copy_from_slice(&keys[..used]);
            return;
        }
        let mut end = 0;
        for segment in &mut self.segments {
            let (low, high) = segment.of(keys);
            segment.start = end;
            for (items, count) in [(low, &mut segment.low), (high, &mut segment.high)] {
                let begin = end;
                for &key in items {
                    self.keys[end] = key;
                    end += usize::from(ground.weights[key.row()] > 0);
                }
                *count = (end - begin) as u32;
            }
        }
    }

    /// Fills in the impurity of a node with class weights `totals[which]`, and whether it must be a leaf.
    fn settle(&self, ground: &Ground<'_, K>, which: usize, node: Pending) -> Pending {
        let parameters = ground.parameters;
        let totals = &self.totals[which];
        let impurity = parameters.criterion.impurity(totals, totals.iter().sum());
        let size = node.end - node.start;
        let leaf = parameters.max_depth.is_some_and(|most| node.depth >= most)
            || size < parameters.min_samples_split
            || size < 2 * parameters.min_samples_leaf
            || impurity <= f64::EPSILON;
        Pending { impurity, leaf, ..node }
    }

    /// Splits a node of the tree if a split is to be found, and queues its children.
    fn split(
        &mut self,
        ground: &Ground<'_, K>,
        node: &Pending,
        index: usize,
        rng: &mut Stream,
        tree: &mut Tree,
    ) {
        let best = self.find(ground, node, rng);
        if !best.found() {
            return;
        }
        let middle = self.partition_rows(ground, node, &best);
        let child = Pending { depth: node.depth + 1, ..*node };
        let left = Pending { end: middle, parent: Some((index, true)), ..child };
        let right = Pending { start: middle, parent: Some((index, false)), ..child };
        let (mut left, mut right) = (self.settle(ground, 1, left), self.settle(ground, 2, right));
        if self.improvement(ground, node, &left, &right) + f64::EPSILON
            < ground.parameters.min_impurity_decrease
        {
            return;
        }
        tree.split(index, best.column, best.threshold);
        if node.sorted {
            left.sorted = !left.leaf && left.end - left.start > SMALL;
            right.sorted = !right.leaf && right.end - right.start > SMALL;
            self.partition_orders(node.features, &mut left, &mut right);
        }
        self.pending.push(right);
        self.pending.push(left);
    }

    /// The weighted decrease of the impurity, in scikit-learn's order of operations.
    fn improvement(&self, ground: &Ground<'_, K>, node: &Pending, left: &Pending, right: &Pending) -> f64 {
        let [weight, left_weight, right_weight] =
            [0, 1, 2].map(|which| f64::from(self.totals[which].iter().sum::<u32>()));
        weight / f64::from(ground.weight)
            * (node.impurity - right_weight / weight * right.impurity - left_weight / weight * left.impurity)
    }

    /// The best split of a node.
    fn find(&mut self, ground: &Ground<'_, K>, node: &Pending, rng: &mut Stream) -> Best {
        let rows = &self.rows[node.start..node.end];
        let totals = &self.totals[0];
        let at_node = Node {
            codes: &ground.patch.codes,
            weights: ground.weights,
            totals,
            weight: totals.iter().sum(),
            squares: totals.iter().map(|&t| u64::from(t) * u64::from(t)).sum(),
            size: rows.len(),
            min_leaf: ground.parameters.min_samples_leaf.max(1),
        };
        let features = &mut self.segments[node.features.0..node.features.1];
        let keys = node.sorted.then_some(&self.keys[..]);
        let lookup = &mut self.lookup;
        if ground.weights.is_empty() {
            visit_unit(self.level, ground, &at_node, rows, features, keys, lookup, rng)
        } else {
            visit_counted(self.level, ground, &at_node, rows, features, keys, lookup, rng)
        }
    }

    /// Brings the rows that go left to the front, counts both children's classes, and says where the right
    /// child begins.
    fn partition_rows(&mut self, ground: &Ground<'_, K>, node: &Pending, best: &Best) -> usize {
        let values = ground.values(best.column as u32);
        let rows = &mut self.rows[node.start..node.end];
        let mut left = 0;
        for i in 0..rows.len() {
            let row = rows[i];
            let goes = f64::from(values[ground.patch.rows[row as usize] as usize]) <= best.threshold;
            self.goes_left[row as usize] = u8::from(goes);
            rows[left] = row;
            self.right_rows[i - left] = row;
            left += usize::from(goes);
        }
        let right = rows.len() - left;
        rows[left..].copy_from_slice(&self.right_rows[..right]);
        ground.count(&rows[..left], &mut self.totals[1]);
        ground.count(&rows[left..], &mut self.totals[2]);
        node.start + left
    }

    /// Partitions the sorted rows of every feature, for the children that will use them.
    fn partition_orders(&mut self, features: (usize, usize), left: &mut Pending, right: &mut Pending) {
        if !left.sorted && !right.sorted {
            return;
        }
        let begin = self.segments.len();
        self.left_segments.clear();
        for index in features.0..features.1 {
            let segment = self.segments[index];
            let (low, all) = (segment.low as usize, (segment.low + segment.high) as usize);
            let keys = &mut self.keys[segment.start..segment.start + all];
            let (goes_left, right_keys) = (&self.goes_left[..], &mut self.right_keys[..]);
            let low_left = part(keys, 0..low, 0, goes_left, right_keys);
            let all_left = part(keys, low..all, low_left, goes_left, right_keys);
            for (key, &right) in keys[all_left..].iter_mut().zip(right_keys.iter()) {
                *key = right;
            }
            let lefts = [low_left, all_left - low_left];
            let rights = [low - low_left, all - low - (all_left - low_left)];
            let kept = segment.start + all_left;
            let child = |start, [low, high]: [usize; 2]| Segment {
                start,
                low: low as u32,
                high: high as u32,
                ..segment
            };
            if left.sorted && self.varies(segment.start, lefts, left.end - left.start) {
                self.left_segments.push(child(segment.start, lefts));
            }
            if right.sorted && self.varies(kept, rights, right.end - right.start) {
                self.segments.push(child(kept, rights));
            }
        }
        right.top = self.segments.len();
        self.segments.extend_from_slice(&self.left_segments);
        left.top = self.segments.len();
        if right.sorted {
            right.features = (begin, right.top);
        }
        if left.sorted {
            left.features = (right.top, left.top);
        }
    }

    /// Whether a feature has two values among the `size` rows of a node; if not, no descendant looks at it.
    fn varies(&self, start: usize, [low, high]: [usize; 2], size: usize) -> bool {
        let all_on_one_side = low == size || high == size;
        low + high > 0 && !(all_on_one_side && self.keys[start].rank() == self.keys[start + size - 1].rank())
    }
}

/// Moves those of a range of keys that go left to `kept` and beyond, and copies the others to `right_keys`,
/// after those of the keys before the range; where the kept ones end.
#[inline(always)]
fn part<K: Key>(
    keys: &mut [K],
    range: std::ops::Range<usize>,
    mut kept: usize,
    goes_left: &[u8],
    right_keys: &mut [K],
) -> usize {
    for i in range {
        let key = keys[i];
        keys[kept] = key;
        right_keys[i - kept] = key;
        kept += usize::from(goes_left[key.row()]);
    }
    kept
}

crate::dispatch! {
    fn visit_unit<K: Key>(
        ground: &Ground<'_, K>, node: &Node<'_>, rows: &[u32], features: &mut [Segment], keys: Option<&[K]>,
        lookup: &mut Lookup<K>, rng: &mut Stream,
    ) -> Best = visit::<K, Unit>
}

crate::dispatch! {
    fn visit_counted<K: Key>(
        ground: &Ground<'_, K>, node: &Node<'_>, rows: &[u32], features: &mut [Segment], keys: Option<&[K]>,
        lookup: &mut Lookup<K>, rng: &mut Stream,
    ) -> Best = visit::<K, Counted>
}

/// Visits features in random order until as many were seen as asked for, one of them not constant, or until
/// no better split is possible.
///
/// `keys` holds the node's sorted rows; without it they are made as features are drawn.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn visit<K: Key, W: Weighting>(
    ground: &Ground<'_, K>,
    node: &Node<'_>,
    rows: &[u32],
    features: &mut [Segment],
    keys: Option<&[K]>,
    lookup: &mut Lookup<K>,
    rng: &mut Stream,
) -> Best {
    let parameters = ground.parameters;
    let most = parameters.visits(ground.patch.columns.len());
    let mut best = Best::NONE;
    let (mut visited, mut any_varies) = (0, false);
    let random = parameters.splitter == Splitter::Random;
    if !random {
        lookup.buffers.prepare::<W>(node, parameters.criterion);
        if keys.is_none() {
            rows.iter().for_each(|&row| lookup.member[row as usize] = 1);
        }
    }
    while visited < features.len() && !(visited >= most && any_varies) && !best.is_perfect() {
        let count = if random {
            1
        } else {
            most.saturating_sub(visited).clamp(1, BATCH).min(features.len() - visited)
        };
        lookup.keys.clear();
        let mut batch = [Segment::default(); BATCH];
        for item in &mut batch[..count] {
            features.swap(visited, visited + rng.below(features.len() - visited));
            *item = features[visited];
            visited += 1;
            if keys.is_none() && !random {
                *item = rows_in_order(ground, rows, *item, lookup);
            }
        }
        lookup.keys.resize(lookup.keys.len() + LANES, K::default());
        if random {
            any_varies |=
                try_random_threshold::<K, W>(ground, node, rows, batch[0].column, lookup, rng, &mut best);
            continue;
        }
        let keys = keys.unwrap_or(&lookup.keys);
        let feature = |index: usize| {
            let item = batch[index];
            let (low, high) = item.padded(keys);
            let column = item.column as usize;
            let mode = ground.presorted.mode(ground.patch.columns[column] as usize);
            Feature { column, low, high, mode, values: ground.values(item.column), rows: &ground.patch.rows }
        };
        // Only a limited visit must know that a feature varies before it is over.
        any_varies |= most < features.len() && (0..count).any(|index| !feature(index).is_constant(node.size));
        search::<K, W>(node, count, feature, parameters.criterion, &mut lookup.buffers, &mut best);
    }
    if !random && keys.is_none() {
        rows.iter().for_each(|&row| lookup.member[row as usize] = 0);
    }
    best
}

/// Appends the rows of a node in the order of a feature to `lookup.keys`, and says where.
#[inline(always)]
fn rows_in_order<K: Key>(
    ground: &Ground<'_, K>,
    rows: &[u32],
    segment: Segment,
    lookup: &mut Lookup<K>,
) -> Segment {
    let patch = ground.patch;
    let Lookup { keys, sorting, member, .. } = lookup;
    let start = keys.len();
    // The segment itself may point into the partitioned orders of an ancestor.
    let (low, high) = patch.segments[segment.column as usize].of(&patch.keys);
    // A sort of n rows costs about as much as a filter of FILTERED n.
    const FILTERED: usize = 6;
    if low.len() + high.len() <= FILTERED * rows.len() {
        keys.resize(start + low.len() + high.len() + 1, K::default());
        let mut end = start;
        let mut keep = |items: &[K]| {
            let begin = end;
            for &key in items {
                keys[end] = key;
                end += usize::from(member[key.row()]);
            }
            (end - begin) as u32
        };
        let (low, high) = (keep(low), keep(high));
        keys.truncate(end);
        return Segment { start, low, high, ..segment };
    }
    let values = ground.values(segment.column);
    let mode = ordered_bits(ground.presorted.mode(patch.columns[segment.column as usize] as usize));
    sorting.clear();
    for &row in rows {
        let bits = ordered_bits(values[patch.rows[row as usize] as usize]);
        if bits != mode {
            sorting.push(u64::from(bits) << 32 | u64::from(row));
        }
    }
    sorting.sort_unstable();
    let lows = sorting.partition_point(|&item| item >> 32 < u64::from(mode));
    let (mut rank, mut last) = (0, u64::from(mode));
    for &item in sorting[..lows].iter().chain(sorting[lows..].iter().rev()) {
        rank += u32::from(item >> 32 != last);
        last = item >> 32;
        keys.push(K::new(rank, item as u32));
    }
    Segment { start, low: lows as u32, high: (sorting.len() - lows) as u32, ..segment }
}

/// Offers one threshold, uniform between the least and the greatest value; whether the feature varies.
#[inline(always)]
fn try_random_threshold<K: Key, W: Weighting>(
    ground: &Ground<'_, K>,
    node: &Node<'_>,
    rows: &[u32],
    column: u32,
    lookup: &mut Lookup<K>,
    rng: &mut Stream,
    best: &mut Best,
) -> bool {
    let patch = ground.patch;
    let all = ground.values(column);
    let Lookup { values, sides: [left, right], .. } = lookup;
    values.clear();
    values.extend(rows.iter().map(|&row| all[patch.rows[row as usize] as usize]));
    let (mut low, mut high) = (values[0], values[0]);
    for &value in values.iter() {
        low = if value < low { value } else { low };
        high = if value > high { value } else { high };
    }
    if is_near(low, high) {
        return false;
    }
    let (from, to) = (f64::from(low), f64::from(high));
    let mut threshold = (to - from) * rng.unit() + from;
    if threshold >= to {
        threshold = from;
    }
    // The greatest single-precision number that is not above the threshold compares alike.
    let rounded = threshold as f32;
    let limit = if f64::from(rounded) > threshold { rounded.next_down() } else { rounded };
    left.clear();
    left.resize(node.totals.len(), 0);
    let mut n_left = 0;
    for (&row, &value) in rows.iter().zip(values.iter()) {
        let goes = u32::from(value <= limit);
        n_left += goes as usize;
        left[node.codes[row as usize] as usize] +=
            if W::UNIT { goes } else { goes * node.weights[row as usize] };
    }
    if n_left >= node.min_leaf && rows.len() - n_left >= node.min_leaf {
        right.clear();
        right.extend(node.totals.iter().zip(left.iter()).map(|(total, left)| total - left));
        let left_weight: u32 = left.iter().sum();
        let right_weight = node.weight - left_weight;
        let impurity =
            |counts: &[u32], weight| f64::from(weight) * ground.parameters.criterion.impurity(counts, weight);
        let proxy = -impurity(right, right_weight) - impurity(left, left_weight);
        best.offer(proxy, column as usize, threshold);
    }
    true
}
