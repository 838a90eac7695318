//! The search for one node's best split on one feature.
//!
//! With t_c the weight of class c in a node of total weight n, and l_c what lies on one side (weight m) of a
//! candidate threshold, Gini's impurity asks for the largest
//!
//! ```text
//! gain = A / m + (T - 2 B + A) / (n - m),    A = sum l_c^2,  B = sum t_c l_c,  T = sum t_c^2.
//! ```
//!
//! When a row of class c and weight w changes sides, A grows by w (2 l_c + w) and B by w t_c: two integers,
//! exact whatever the order, that are kept side by side in one word together with the state (2 l_c, t_c) of
//! the class, so that a row costs one load, two additions and two stores. The rows at the feature's mode are
//! never visited: the orders below and above it are scanned from their outer ends, each as "one side".
//!
//! Gains are then screened in single precision, 16 candidates at a time. The few that come within rounding of
//! the best so far are decided by scikit-learn's own formula in double precision, so that the chosen split is
//! the one that it chooses, to the last bit.
//!
//! The entropy is handled alike, with sums of c log2 c from a table in place of A, one row at a time.
//!
//! What was measured, in microseconds per 294 x 199 minipatch trained and predicted on one busy core: for cells
//! of which 72% of the values of the median feature are its mode (376,000 rows times features over the nodes
//! of a tree, 122,000 of them off the mode), and for Gaussian blobs without ties.
//!
//! | variant | cells | blobs |
//! |---|---|---|
//! | one feature at a time, every improving candidate decided as it is met | 740 | 1,230 |
//! | four features in step, whatever their length | 940 | 1,310 |
//! | the same, and the greatest gain found by lanes before any is decided | 890 | 1,165 |
//! | four in step from 40 rows on, shorter ones alone; partition over plain slices | 740 | 1,020 |
//! | as the last, with rows sorted on demand below 12 rows rather than 3 | 840 | 1,015 |
//!
//! Long features wait for the state of a class to come back from memory, and gain by being interleaved; short
//! ones only pay for the scheduling.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Add, AddAssign};

use crate::elementary::ln;

/// How many candidates are screened together.
pub(crate) const LANES: usize = 16;

/// How far the screened gain may lie below the best and still be decided exactly, relative to the best: eight
/// times the rounding error of the six single-precision operations that make it.
const SCREEN: f32 = 4e-6;

/// Two values nearer than this are one value (scikit-learn's `FEATURE_THRESHOLD`).
const NEAR: f32 = 1e-7;

/// What nodes minimise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// `1 - sum p_c^2`.
    Gini,
    /// `- sum p_c log2 p_c`, also called log-loss.
    Entropy,
}

impl Criterion {
    /// The impurity of class weights that add up to `weight`, as scikit-learn rounds it.
    pub(crate) fn impurity(self, counts: &[u32], weight: u32) -> f64 {
        let weight = f64::from(weight);
        match self {
            Criterion::Gini => {
                let squares: f64 = counts.iter().map(|&c| f64::from(c) * f64::from(c)).sum();
                1.0 - squares / (weight * weight)
            }
            Criterion::Entropy => {
                let mut sum = 0.0;
                for &c in counts.iter().filter(|&&c| c > 0) {
                    let p = f64::from(c) / weight;
                    sum -= p * (ln(p) / std::f64::consts::LN_2);
                }
                sum
            }
        }
    }
}

/// A row and the rank of its value among the node's rows, in one word. Ranks tell equal from different
/// values of neighbours in an order and mean nothing else.
pub(crate) trait Key: Copy + Default + 'static {
    /// The pair (A, B) or (2 l_c, t_c) in one word.
    type Pair: Pair;
    /// Packs a rank and a row of the minipatch.
    fn new(rank: u32, row: u32) -> Self;
    /// The row of the minipatch.
    fn row(self) -> usize;
    /// The rank.
    fn rank(self) -> u32;
}

/// Two counters in one word that are added and scaled together.
pub(crate) trait Pair:
    Copy + Default + std::fmt::Debug + Add<Output = Self> + AddAssign + 'static
{
    /// `first` in the low half and `second` in the high half.
    fn new(first: u64, second: u64) -> Self;
    /// Both counters times `factor`.
    fn scaled(self, factor: u32) -> Self;
    /// A, and `T - 2 B + A`, as single precision.
    fn sides(self, squares: u64) -> (f32, f32);
    /// A, and `T - 2 B + A`, exactly.
    fn exact_sides(self, squares: u64) -> (f64, f64);
}

/// Narrow keys hold minipatches of up to this many rows: the square fits a signed 32-bit integer.
pub(crate) const NARROW_ROWS: usize = 46_340;

impl Key for u32 {
    type Pair = u64;
    #[inline(always)]
    fn new(rank: u32, row: u32) -> Self {
        rank << 16 | row
    }
    #[inline(always)]
    fn row(self) -> usize {
        (self & 0xffff) as usize
    }
    #[inline(always)]
    fn rank(self) -> u32 {
        self >> 16
    }
}

impl Pair for u64 {
    #[inline(always)]
    fn new(first: u64, second: u64) -> Self {
        second << 32 | first
    }
    #[inline(always)]
    fn scaled(self, factor: u32) -> Self {
        self.wrapping_mul(u64::from(factor))
    }
    #[inline(always)]
    fn sides(self, squares: u64) -> (f32, f32) {
        let (a, b) = (self as i32, (self >> 32) as i32);
        (a as f32, (squares as i32).wrapping_add(a).wrapping_sub(b.wrapping_mul(2)) as f32)
    }
    #[inline(always)]
    fn exact_sides(self, squares: u64) -> (f64, f64) {
        let (a, b) = (self & 0xffff_ffff, self >> 32);
        (a as f64, (squares + a - 2 * b) as f64)
    }
}

impl Key for u64 {
    type Pair = u128;
    #[inline(always)]
    fn new(rank: u32, row: u32) -> Self {
        u64::from(rank) << 32 | u64::from(row)
    }
    #[inline(always)]
    fn row(self) -> usize {
        (self & 0xffff_ffff) as usize
    }
    #[inline(always)]
    fn rank(self) -> u32 {
        (self >> 32) as u32
    }
}

impl Pair for u128 {
    #[inline(always)]
    fn new(first: u64, second: u64) -> Self {
        u128::from(second) << 64 | u128::from(first)
    }
    #[inline(always)]
    fn scaled(self, factor: u32) -> Self {
        self.wrapping_mul(u128::from(factor))
    }
    #[inline(always)]
    fn sides(self, squares: u64) -> (f32, f32) {
        let (a, b) = (self as u64, (self >> 64) as u64);
        (a as f32, squares.wrapping_add(a).wrapping_sub(b.wrapping_mul(2)) as f32)
    }
    #[inline(always)]
    fn exact_sides(self, squares: u64) -> (f64, f64) {
        let (a, b) = (self as u64, (self >> 64) as u64);
        (a as f64, (squares + a - 2 * b) as f64)
    }
}

/// Whether rows count once or by weights.
pub(crate) trait Weighting: 'static {
    /// Whether every weight is one.
    const UNIT: bool;
}

/// Every row counts once.
pub(crate) struct Unit;
impl Weighting for Unit {
    const UNIT: bool = true;
}

/// Rows count as often as a bootstrap drew them.
pub(crate) struct Counted;
impl Weighting for Counted {
    const UNIT: bool = false;
}

/// A node whose best split is sought.
pub(crate) struct Node<'a> {
    /// Class code of every row of the minipatch.
    pub codes: &'a [u32],
    /// Weight of every row of the minipatch; empty when all are one.
    pub weights: &'a [u32],
    /// Weight of each class in the node.
    pub totals: &'a [u32],
    /// Sum of `totals`.
    pub weight: u32,
    /// Sum of the squares of `totals`.
    pub squares: u64,
    /// Number of rows in the node.
    pub size: usize,
    /// Fewest rows that a child may have.
    pub min_leaf: usize,
}

/// One feature's rows in a node.
#[derive(Clone, Copy)]
pub(crate) struct Feature<'a, K> {
    /// Its column in the minipatch.
    pub column: usize,
    /// The rows below the mode, ascending, and [`LANES`] more keys of no meaning.
    pub low: &'a [K],
    /// The rows above the mode, descending, and [`LANES`] more keys of no meaning.
    pub high: &'a [K],
    /// The mode.
    pub mode: f32,
    /// All the data's values of the feature.
    pub values: &'a [f32],
    /// The data's row of each row of the minipatch.
    pub rows: &'a [u32],
}

impl<'a, K: Key> Feature<'a, K> {
    /// The rows on one side of the mode, and those on the other.
    #[inline(always)]
    fn side(&self, above: bool) -> (&'a [K], &'a [K]) {
        let (low, high) = self.sides();
        if above { (high, low) } else { (low, high) }
    }

    /// The rows below and above the mode.
    #[inline(always)]
    fn sides(&self) -> (&'a [K], &'a [K]) {
        (&self.low[..self.low.len() - LANES], &self.high[..self.high.len() - LANES])
    }

    #[inline(always)]
    fn value(&self, key: K) -> f32 {
        self.values[self.rows[key.row()] as usize]
    }

    /// The values on either side of the candidate that puts `keys[..=i]` of `low` (or of `high`) on one side.
    #[inline(always)]
    fn around(&self, above: bool, i: usize, size: usize) -> (f32, f32) {
        let (near, far) = self.side(above);
        let outer = self.value(near[i]);
        let inner = if i + 1 < near.len() {
            self.value(near[i + 1])
        } else if near.len() + far.len() < size {
            self.mode
        } else {
            self.value(far[far.len() - 1])
        };
        if above { (inner, outer) } else { (outer, inner) }
    }

    /// Whether all values of a node of `size` rows are one value, as scikit-learn sees it.
    #[inline(always)]
    pub(crate) fn is_constant(&self, size: usize) -> bool {
        let (low, high) = self.sides();
        if low.is_empty() && high.is_empty() {
            return true;
        }
        let at_mode = low.len() + high.len() < size;
        let lowest = match low.first() {
            Some(&key) => self.value(key),
            None if at_mode => self.mode,
            None => self.value(high[high.len() - 1]),
        };
        let highest = match high.first() {
            Some(&key) => self.value(key),
            None if at_mode => self.mode,
            None => self.value(low[low.len() - 1]),
        };
        is_near(lowest, highest)
    }
}

/// Whether two values, the lower first, are too near to be split.
#[inline(always)]
pub(crate) fn is_near(low: f32, high: f32) -> bool {
    high <= low + NEAR
}

/// The best split so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Best {
    /// scikit-learn's `proxy_impurity_improvement`: minus the children's weighted impurities.
    pub proxy: f64,
    /// Screened gains below this cannot win.
    bound: f32,
    /// The column in the minipatch.
    pub column: usize,
    /// Rows with a value up to this go left.
    pub threshold: f64,
}

impl Best {
    /// Nothing found yet.
    pub(crate) const NONE: Best =
        Best { proxy: f64::NEG_INFINITY, bound: f32::NEG_INFINITY, column: usize::MAX, threshold: 0.0 };

    /// Whether a split was found.
    pub(crate) fn found(&self) -> bool {
        self.column != usize::MAX
    }

    /// Whether both children are pure, so that no split is strictly better.
    #[inline(always)]
    pub(crate) fn is_perfect(&self) -> bool {
        self.proxy >= 0.0
    }

    /// Takes a split that was decided without screening.
    pub(crate) fn offer(&mut self, proxy: f64, column: usize, threshold: f64) {
        if proxy > self.proxy {
            *self = Best { proxy, column, threshold, ..*self };
        }
    }
}

/// How many features are accumulated together.
pub(crate) const BATCH: usize = 8;

/// How many of them at the same time: one row after the other of the same class waits for the class's state
/// to come back from memory, so other features' rows are taken in between.
const STREAMS: usize = 4;

/// From this many rows on it pays to take features together.
const LONG: usize = 40;

/// One side of one feature, and where the sums after each of its rows go.
#[derive(Debug, Clone, Copy)]
struct Run<'a, K> {
    keys: &'a [K],
    out: usize,
}

/// Working memory of a search.
#[derive(Debug, Default)]
pub(crate) struct Buffers<P> {
    /// (A, B) after each row.
    sums: Vec<P>,
    /// Weight of the rows so far, after each row.
    moved: Vec<u32>,
    /// (2 l_c, t_c) before the first row, per class.
    fresh: Vec<P>,
    /// (2 l_c, t_c) per class, for each stream.
    state: [Vec<P>; STREAMS],
    /// 1 / m after each row, when every weight is one.
    near: Vec<f32>,
    /// 1 / (n - m) after each row, when every weight is one.
    far: Vec<f32>,
    /// c log2 c.
    table: Vec<f64>,
    /// Class weights on either side, for the entropy.
    sides: [Vec<u32>; 2],
}

impl<P: Pair> Buffers<P> {
    /// Prepares for the features of one node.
    #[inline(always)]
    pub(crate) fn prepare<W: Weighting>(&mut self, node: &Node<'_>, criterion: Criterion) {
        if criterion == Criterion::Entropy {
            for c in self.table.len()..=node.weight as usize {
                self.table.push(if c == 0 { 0.0 } else { c as f64 * libm::log2(c as f64) });
            }
            return;
        }
        let padded = BATCH * node.size + LANES;
        if self.sums.len() < padded {
            self.sums.resize(padded, P::default());
            self.moved.resize(padded, 0);
        }
        self.fresh.clear();
        self.fresh.extend(node.totals.iter().map(|&t| P::new(0, u64::from(t))));
        self.state.iter_mut().for_each(|state| state.clone_from(&self.fresh));
        if W::UNIT {
            let padded = node.size + LANES;
            self.near.clear();
            self.near.extend((0..padded).map(|i| 1.0 / (i + 1) as f32));
            self.far.clear();
            self.far.extend((0..padded).map(|i| 1.0 / (node.size as f32 - (i + 1) as f32)));
        }
    }
}

/// Looks for better splits than `best` among the thresholds of up to [`BATCH`] features, one after the other,
/// until two pure children are found.
///
/// Among equally good thresholds of a feature the lowest wins, and it must be strictly better than what came
/// before: scikit-learn's rule for features visited one after the other.
#[inline(always)]
pub(crate) fn search<'a, K: Key, W: Weighting>(
    node: &Node<'_>,
    count: usize,
    feature: impl Fn(usize) -> Feature<'a, K>,
    criterion: Criterion,
    buffers: &mut Buffers<K::Pair>,
    best: &mut Best,
) {
    let mut out = 0;
    if criterion == Criterion::Gini {
        accumulate::<K, W>(node, count, &feature, buffers);
    }
    for index in 0..count {
        let feature = feature(index);
        for above in [false, true] {
            match criterion {
                Criterion::Gini => gini_side::<K, W>(node, &feature, above, out, buffers, best),
                Criterion::Entropy => entropy_side::<K, W>(node, &feature, above, buffers, best),
            }
            out += feature.side(above).0.len();
        }
        if best.is_perfect() {
            return;
        }
    }
}

/// Fills `sums` (and `moved`) with the state after each row of each side of each feature.
#[inline(never)]
fn accumulate<'a, K: Key, W: Weighting>(
    node: &Node<'_>,
    count: usize,
    feature: &impl Fn(usize) -> Feature<'a, K>,
    buffers: &mut Buffers<K::Pair>,
) {
    let Buffers { sums, moved, fresh, state, .. } = buffers;
    let sums = Cell::from_mut(&mut sums[..]).as_slice_of_cells();
    let moved = Cell::from_mut(&mut moved[..]).as_slice_of_cells();
    let nothing: &[K] = &[];
    let mut runs = [Run { keys: nothing, out: 0 }; 2 * BATCH];
    let (mut long, mut out) = (0, 0);
    for index in 0..count {
        let feature = feature(index);
        let (low, high) = feature.sides();
        for keys in [low, high] {
            let to = out..out + keys.len();
            if keys.len() >= LONG {
                runs[long] = Run { keys, out };
                long += 1;
            } else if !keys.is_empty() {
                state[0].copy_from_slice(fresh);
                let steps = (keys, &sums[to.clone()], &moved[to.clone()]);
                let mut stream = Stream::<K, W>::new(node, steps, &mut state[0], K::Pair::default(), 0);
                (0..keys.len()).for_each(|i| stream.step(i));
            }
            out = to.end;
        }
    }
    let mut waiting = runs[..long].iter();
    let mut active: [Run<'_, K>; STREAMS] = [Run { keys: nothing, out: 0 }; STREAMS];
    let mut done = [0usize; STREAMS];
    let mut sum = [K::Pair::default(); STREAMS];
    let mut weight = [0u32; STREAMS];
    let mut live = 0;
    loop {
        // Streams that came to their end begin another run; when none waits, the last stream takes the place.
        let mut s = 0;
        while s < STREAMS {
            if s >= live || done[s] == active[s].keys.len() {
                if let Some(&run) = waiting.next() {
                    active[s] = run;
                    done[s] = 0;
                    sum[s] = K::Pair::default();
                    weight[s] = 0;
                    state[s].copy_from_slice(fresh);
                    live = live.max(s + 1);
                } else if s < live {
                    live -= 1;
                    active.swap(s, live);
                    done.swap(s, live);
                    sum.swap(s, live);
                    weight.swap(s, live);
                    state.swap(s, live);
                    continue;
                } else {
                    break;
                }
            }
            s += 1;
        }
        if live == 0 {
            return;
        }
        let steps = (0..live).map(|s| active[s].keys.len() - done[s]).min().unwrap_or(0);
        let mut keys = [nothing; STREAMS];
        let mut outs = [&sums[..0]; STREAMS];
        let mut weights = [&moved[..0]; STREAMS];
        for s in 0..live {
            let from = active[s].out + done[s];
            keys[s] = &active[s].keys[done[s]..done[s] + steps];
            outs[s] = &sums[from..from + steps];
            weights[s] = &moved[from..from + steps];
            done[s] += steps;
        }
        let steps_of = |s: usize| (keys[s], outs[s], weights[s]);
        if live == STREAMS {
            let [sum_0, sum_1, sum_2, sum_3] = &mut sum;
            let [weight_0, weight_1, weight_2, weight_3] = &mut weight;
            let [state_0, state_1, state_2, state_3] = &mut state[..] else { return };
            let mut streams = (
                Stream::<K, W>::new(node, steps_of(0), state_0, *sum_0, *weight_0),
                Stream::<K, W>::new(node, steps_of(1), state_1, *sum_1, *weight_1),
                Stream::<K, W>::new(node, steps_of(2), state_2, *sum_2, *weight_2),
                Stream::<K, W>::new(node, steps_of(3), state_3, *sum_3, *weight_3),
            );
            for i in 0..steps {
                streams.0.step(i);
                streams.1.step(i);
                streams.2.step(i);
                streams.3.step(i);
            }
            (*sum_0, *weight_0) = (streams.0.sum, streams.0.weight);
            (*sum_1, *weight_1) = (streams.1.sum, streams.1.weight);
            (*sum_2, *weight_2) = (streams.2.sum, streams.2.weight);
            (*sum_3, *weight_3) = (streams.3.sum, streams.3.weight);
        } else {
            for s in 0..live {
                let mut stream = Stream::<K, W>::new(node, steps_of(s), &mut state[s], sum[s], weight[s]);
                for i in 0..steps {
                    stream.step(i);
                }
                (sum[s], weight[s]) = (stream.sum, stream.weight);
            }
        }
    }
}

/// The part of a run that is taken in one go: its keys, and where its sums and its weights so far go.
type Steps<'a, K> = (&'a [K], &'a [Cell<<K as Key>::Pair>], &'a [Cell<u32>]);

/// A run at work.
struct Stream<'a, K: Key, W> {
    codes: &'a [u32],
    row_weights: &'a [u32],
    keys: &'a [K],
    sums: &'a [Cell<K::Pair>],
    moved: &'a [Cell<u32>],
    state: &'a mut [K::Pair],
    sum: K::Pair,
    weight: u32,
    weighting: PhantomData<W>,
}

impl<'a, K: Key, W: Weighting> Stream<'a, K, W> {
    #[inline(always)]
    fn new(
        node: &Node<'a>,
        (keys, sums, moved): Steps<'a, K>,
        state: &'a mut [K::Pair],
        sum: K::Pair,
        weight: u32,
    ) -> Self {
        let Node { codes, weights: row_weights, .. } = *node;
        Stream { codes, row_weights, keys, sums, moved, state, sum, weight, weighting: PhantomData }
    }

    /// Moves the row of the key at `i`.
    #[inline(always)]
    fn step(&mut self, i: usize) {
        let row = self.keys[i].row();
        let state = &mut self.state[self.codes[row] as usize];
        if W::UNIT {
            self.sum += *state + K::Pair::new(1, 0);
            *state += K::Pair::new(2, 0);
        } else {
            let w = self.row_weights[row];
            self.sum += state.scaled(w) + K::Pair::new(u64::from(w) * u64::from(w), 0);
            *state += K::Pair::new(2 * u64::from(w), 0);
            self.weight += w;
            self.moved[i].set(self.weight);
        }
        self.sums[i].set(self.sum);
    }
}

/// The range of positions whose two sides have at least `min_leaf` rows each.
#[inline(always)]
fn allowed(node: &Node<'_>, len: usize) -> (usize, usize) {
    (node.min_leaf - 1, len.min(node.size.saturating_sub(node.min_leaf)))
}

/// The thresholds of one feature on one side of its mode, whose sums begin at `out`.
#[inline(always)]
fn gini_side<K: Key, W: Weighting>(
    node: &Node<'_>,
    feature: &Feature<'_, K>,
    above: bool,
    out: usize,
    buffers: &Buffers<K::Pair>,
    best: &mut Best,
) {
    let keys = feature.side(above).0;
    let (first, stop) = allowed(node, keys.len());
    if first >= stop {
        return;
    }
    let padded = if above { feature.high } else { feature.low };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut base = first;
    while base < stop {
        let gains = screen::<K, W>(node, padded, base, stop, out, buffers);
        for lane in 0..LANES {
            lanes[lane] = if gains[lane] > lanes[lane] { gains[lane] } else { lanes[lane] };
        }
        base += LANES;
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = if lanes[lane + half] > lanes[lane] { lanes[lane + half] } else { lanes[lane] };
        }
        half /= 2;
    }
    let greatest = lanes[0];
    if greatest < best.bound || greatest == f32::NEG_INFINITY {
        return;
    }
    // Only gains that may be the greatest of this side are decided, unless that one proves to lie between
    // values too near to be split: then all that may beat the best.
    let mut mine = false;
    for bound in [best.bound.max(greatest * (1.0 - SCREEN)), best.bound] {
        let mut near = false;
        for base in (first..stop).step_by(LANES) {
            let gains = screen::<K, W>(node, padded, base, stop, out, buffers);
            for (lane, &gain) in gains.iter().enumerate() {
                if gain >= bound && gain > f32::NEG_INFINITY {
                    near |= !decide_gini::<K, W>(
                        node,
                        feature,
                        above,
                        base + lane,
                        out,
                        buffers,
                        best,
                        &mut mine,
                    );
                }
            }
        }
        if !near {
            return;
        }
    }
}

/// The gains of the candidates from position `base` on; minus infinity where there is no candidate.
#[inline(always)]
fn screen<K: Key, W: Weighting>(
    node: &Node<'_>,
    padded: &[K],
    base: usize,
    stop: usize,
    out: usize,
    buffers: &Buffers<K::Pair>,
) -> [f32; LANES] {
    let mut gains = [0f32; LANES];
    let sums: &[K::Pair; LANES] = buffers.sums[out + base..][..LANES].try_into().expect("padded");
    if W::UNIT {
        let near: &[f32; LANES] = buffers.near[base..][..LANES].try_into().expect("padded");
        let far: &[f32; LANES] = buffers.far[base..][..LANES].try_into().expect("padded");
        for lane in 0..LANES {
            let (a, rest) = sums[lane].sides(node.squares);
            gains[lane] = a * near[lane] + rest * far[lane];
        }
    } else {
        let moved: &[u32; LANES] = buffers.moved[out + base..][..LANES].try_into().expect("padded");
        let weight = node.weight as i32;
        for lane in 0..LANES {
            let (a, rest) = sums[lane].sides(node.squares);
            let m = moved[lane] as i32;
            gains[lane] = a / m as f32 + rest / weight.wrapping_sub(m) as f32;
        }
    }
    // Equal neighbours are not to be parted, and the last row of a side always has another value next to it.
    let keys: &[K; LANES + 1] = padded[base..][..LANES + 1].try_into().expect("padded");
    let (live, last) = ((stop - base) as u32, (padded.len() - LANES - 1 - base) as u32);
    for lane in 0..LANES {
        let parted = (keys[lane].rank() != keys[lane + 1].rank()) | (lane as u32 == last);
        gains[lane] = if parted & ((lane as u32) < live) { gains[lane] } else { f32::NEG_INFINITY };
    }
    gains
}

/// Decides one candidate in double precision; false if it lies between values too near to be split.
#[allow(clippy::too_many_arguments)]
#[inline(never)]
fn decide_gini<K: Key, W: Weighting>(
    node: &Node<'_>,
    feature: &Feature<'_, K>,
    above: bool,
    i: usize,
    out: usize,
    buffers: &Buffers<K::Pair>,
    best: &mut Best,
    mine: &mut bool,
) -> bool {
    let near_weight = f64::from(if W::UNIT { i as u32 + 1 } else { buffers.moved[out + i] });
    let far_weight = f64::from(node.weight) - near_weight;
    let (near, far) = buffers.sums[out + i].exact_sides(node.squares);
    let near_impurity = 1.0 - near / (near_weight * near_weight);
    let far_impurity = 1.0 - far / (far_weight * far_weight);
    let proxy = -near_weight * near_impurity - far_weight * far_impurity;
    let (better, split) = accept(node, feature, above, i, proxy, best, mine);
    if better && split {
        best.bound = (near / near_weight + far / far_weight) as f32 * (1.0 - SCREEN);
    }
    split
}

/// Takes a candidate if it is better than the best: strictly, unless the best is a higher threshold of the
/// same feature found in this same scan from above. Says whether it is better, and whether its values may be
/// parted.
#[inline(always)]
fn accept<K: Key>(
    node: &Node<'_>,
    feature: &Feature<'_, K>,
    above: bool,
    i: usize,
    proxy: f64,
    best: &mut Best,
    mine: &mut bool,
) -> (bool, bool) {
    if !(proxy > best.proxy || above && *mine && proxy == best.proxy) {
        return (false, true);
    }
    let (low, high) = feature.around(above, i, node.size);
    if is_near(low, high) {
        return (true, false);
    }
    *mine = true;
    best.proxy = proxy;
    best.column = feature.column;
    // Halves first, as scikit-learn does; exact in double precision, so always strictly between the two.
    best.threshold = f64::from(low) / 2.0 + f64::from(high) / 2.0;
    (true, true)
}

#[inline(always)]
fn entropy_side<K: Key, W: Weighting>(
    node: &Node<'_>,
    feature: &Feature<'_, K>,
    above: bool,
    buffers: &mut Buffers<K::Pair>,
    best: &mut Best,
) {
    let keys = feature.side(above).0;
    let (first, stop) = allowed(node, keys.len());
    let Buffers { table, sides: [near, far], .. } = buffers;
    near.clear();
    near.resize(node.totals.len(), 0);
    far.clear();
    far.extend_from_slice(node.totals);
    let (mut near_sum, mut weight, mut mine) = (0.0, 0, false);
    let mut far_sum: f64 = far.iter().map(|&c| table[c as usize]).sum();
    // Rounding of the running sums: a few units in the last place of the largest of them, per row.
    let slack = 1e-12 * (1.0 + table[node.weight as usize]);
    for (i, key) in keys.iter().enumerate().take(stop) {
        let w = if W::UNIT { 1 } else { node.weights[key.row()] };
        let c = node.codes[key.row()] as usize;
        near_sum += table[(near[c] + w) as usize] - table[near[c] as usize];
        far_sum += table[(far[c] - w) as usize] - table[far[c] as usize];
        near[c] += w;
        far[c] -= w;
        weight += w;
        if i < first || i + 1 < keys.len() && key.rank() == keys[i + 1].rank() {
            continue;
        }
        let rest = node.weight - weight;
        let proxy = near_sum - table[weight as usize] + far_sum - table[rest as usize];
        if proxy >= best.proxy - slack {
            let side = |counts: &[u32], n: u32| f64::from(n) * Criterion::Entropy.impurity(counts, n);
            let (right, left) = if above {
                (side(near, weight), side(far, rest))
            } else {
                (side(far, rest), side(near, weight))
            };
            accept(node, feature, above, i, -right - left, best, &mut mine);
        }
    }
}
