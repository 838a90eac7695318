//! Shapley values of the fuzzy c-means membership of an observation in its own cluster.
//!
//! A coalition `S` of features takes its values from the observation `x`, the other features from a baseline `b`.
//! With `d_k(S)` the squared distance of this mixture from centre `k` and `c` the observation's cluster,
//!
//! ```text
//! v(S)  = 1 / sum_k (d_c(S) / d_k(S))^power,    power = 1 / (fuzziness - 1)
//! phi_j = sum over S without j of |S|! (M - |S| - 1)! / M! (v(S + j) - v(S))
//! ```
//!
//! To let feature `j` join adds `(x_j - mu_kj)^2 - (b_j - mu_kj)^2` to `d_k`, whatever the coalition: `O(K)` a
//! flip, from `O(K M)` that are computed once per observation.

use crate::error::{Error, Result};
use crate::parallel::{Workers, for_each_chunk};
use crate::rng::{Purpose, Stream};
use crate::simd;

/// Clusters that are treated as one vector; there are infinitely far ones to fill it up.
const LANES: usize = 8;

/// Features whose coalitions can be told apart and held in memory.
pub const MAX_EXACT: usize = 24;

/// What is to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Memberships<'a> {
    /// Observations, `N x M`.
    pub x: &'a [f64],
    /// Centres, `K x M`.
    pub centers: &'a [f64],
    /// What absent features are taken to be, `M`.
    pub baseline: &'a [f64],
    /// The cluster of each observation; negative ones are not explained.
    pub own: &'a [i32],
    /// `1 / (fuzziness - 1)`.
    pub power: f64,
}

impl Memberships<'_> {
    /// Checks that the sizes agree.
    pub fn validate(&self) -> Result<()> {
        let (n, m) = (self.own.len(), self.baseline.len());
        if self.x.len() != n * m {
            return Err(Error::shape("the data", format!("{} values", self.x.len()), format!("{n} x {m}")));
        }
        if m == 0 || self.centers.is_empty() || !self.centers.len().is_multiple_of(m) {
            return Err(Error::shape("the centres", format!("{} values", self.centers.len()), "K x M"));
        }
        let k = self.centers.len() / m;
        match self.own.iter().find(|&&c| c >= 0 && c as usize >= k) {
            Some(c) => Err(Error::value("a cluster", c, format!("at most {}", k - 1))),
            None => Ok(()),
        }
    }

    /// Exact values by all `2^M` coalitions, `N x M`; NaN for observations in no cluster.
    ///
    /// Costs `O(2^M (K + M))` an observation, and `8 * 2^M` bytes a thread.
    pub fn exact(&self, workers: Workers<'_>) -> Result<Vec<f64>> {
        self.validate()?;
        let m = self.baseline.len();
        if m > MAX_EXACT {
            return Err(Error::value("the number of features", m, format!("at most {MAX_EXACT}")));
        }
        let level = simd::level();
        let mut out = vec![f64::NAN; self.x.len()];
        for_each_chunk(
            workers,
            &mut out,
            m,
            || (Game::default(), Vec::new(), Vec::new()),
            |(game, states, values), i, phi| {
                if self.own[i] >= 0 {
                    game.set_up(self, i);
                    all_values(level, game, states, values);
                    weigh(values, phi);
                }
            },
        );
        Ok(out)
    }

    /// Values by random orders in which the features join, each also walked backwards: for each of `N x M`, the
    /// mean over the `orders` and its squared standard error (NaN for a single order).
    ///
    /// Observation `i` draws from a stream of its own. Costs `O(orders * M * K)` an observation.
    pub fn permutation(&self, orders: usize, seed: u64, workers: Workers<'_>) -> Result<Vec<[f64; 2]>> {
        self.validate()?;
        if orders == 0 {
            return Err(Error::value("the number of orders", orders, "at least 1"));
        }
        let m = self.baseline.len();
        let level = simd::level();
        let mut out = vec![[f64::NAN; 2]; self.x.len()];
        for_each_chunk(
            workers,
            &mut out,
            m,
            || (Game::default(), Vec::new(), vec![0.0; m]),
            |(game, order, phi), i, found| {
                if self.own[i] < 0 {
                    return;
                }
                game.set_up(self, i);
                let mut rng = Stream::new(seed, Purpose::Permutation, i as u64);
                order.clear();
                order.extend(0..m as u32);
                found.fill([0.0; 2]);
                for count in 1..=orders {
                    rng.shuffle(order);
                    phi.fill(0.0);
                    walk(level, game, order, phi);
                    order.reverse();
                    walk(level, game, order, phi);
                    // Mean and sum of squares about it, as they grow (Welford).
                    for (cell, &both) in found.iter_mut().zip(phi.iter()) {
                        let gap = 0.5 * both - cell[0];
                        cell[0] += gap / count as f64;
                        cell[1] += gap * (0.5 * both - cell[0]);
                    }
                }
                found.iter_mut().for_each(|cell| cell[1] /= (orders * (orders - 1)) as f64);
            },
        );
        Ok(out)
    }
}

/// The game of one observation; distances and changes are padded to whole vectors of clusters.
#[derive(Debug, Default)]
struct Game {
    own: usize,
    power: f64,
    /// Squared distances of the baseline.
    start: Vec<f64>,
    /// What each feature adds to them when it joins, `M x width`.
    changes: Vec<f64>,
    /// Where a walk has arrived.
    here: Vec<f64>,
}

impl Game {
    fn set_up(&mut self, of: &Memberships<'_>, i: usize) {
        let m = of.baseline.len();
        let k = of.centers.len() / m;
        let width = k.next_multiple_of(LANES);
        (self.own, self.power) = (of.own[i] as usize, of.power);
        self.start.clear();
        self.start.resize(width, f64::INFINITY);
        self.start[..k].fill(0.0);
        self.changes.clear();
        self.changes.resize(m * width, 0.0);
        let x = &of.x[i * m..][..m];
        for (k, center) in of.centers.chunks_exact(m).enumerate() {
            for j in 0..m {
                let absent = (of.baseline[j] - center[j]) * (of.baseline[j] - center[j]);
                self.start[k] += absent;
                self.changes[j * width + k] = (x[j] - center[j]) * (x[j] - center[j]) - absent;
            }
        }
    }
}

/// The membership that belongs to squared distances. Sums of changes may round to less than 0, which is 0.
#[inline(always)]
fn membership(distances: &[f64], own: usize, power: f64) -> f64 {
    let nearest = distances[own];
    if nearest <= 0.0 {
        // The centre itself, which only centres at the same place share.
        return 1.0 / distances.iter().filter(|&&d| d <= 0.0).count() as f64;
    }
    let mut sums = [0.0; LANES];
    for part in distances.chunks_exact(LANES) {
        for l in 0..LANES {
            let ratio = nearest / part[l].max(0.0);
            sums[l] += if power == 1.0 { ratio } else { libm::pow(ratio, power) };
        }
    }
    1.0 / sums.iter().sum::<f64>()
}

dispatch! {
    /// Lets the features join in this order and adds what each contributes to `phi`.
    fn walk(game: &mut Game, order: &[u32], phi: &mut [f64]) = walk_body
}

#[inline(always)]
fn walk_body(game: &mut Game, order: &[u32], phi: &mut [f64]) {
    let Game { own, power, start, changes, here } = game;
    let width = start.len();
    here.clear();
    here.extend_from_slice(start);
    let mut before = membership(here, *own, *power);
    for &j in order {
        let change = &changes[j as usize * width..][..width];
        for (distance, change) in here.iter_mut().zip(change) {
            *distance += change;
        }
        let after = membership(here, *own, *power);
        phi[j as usize] += after - before;
        before = after;
    }
}

dispatch! {
    /// The values of all coalitions; feature `j` is bit `j` of the index.
    fn all_values(game: &Game, states: &mut Vec<f64>, values: &mut Vec<f64>) = all_values_body
}

/// A coalition is its lowest feature added to the rest. The rest has a lowest feature of its own, and was the last
/// coalition so far that had that one: a state for each lowest feature is all that need be kept.
#[inline(always)]
fn all_values_body(game: &Game, states: &mut Vec<f64>, values: &mut Vec<f64>) {
    let width = game.start.len();
    let m = game.changes.len() / width;
    states.clear();
    states.resize(m * width, 0.0);
    // The empty coalition, whose lowest feature would be behind the last.
    states.extend_from_slice(&game.start);
    values.clear();
    values.push(membership(&game.start, game.own, game.power));
    for set in 1usize..1 << m {
        let lowest = set.trailing_zeros() as usize;
        let rest = ((set & (set - 1)).trailing_zeros() as usize).min(m);
        let change = &game.changes[lowest * width..][..width];
        for l in 0..width {
            states[lowest * width + l] = states[rest * width + l] + change[l];
        }
        values.push(membership(&states[lowest * width..][..width], game.own, game.power));
    }
}

/// The Shapley values of a game with these values of all coalitions.
fn weigh(values: &[f64], phi: &mut [f64]) {
    let m = phi.len();
    // |S|! (M - |S| - 1)! / M! for each size.
    let mut weights = vec![1.0 / m as f64; m];
    for size in 1..m {
        weights[size] = weights[size - 1] * size as f64 / (m - size) as f64;
    }
    for (j, phi) in phi.iter_mut().enumerate() {
        let low = (1usize << j) - 1;
        *phi = (0..values.len() / 2)
            .map(|rest| {
                let without = (rest & !low) << 1 | rest & low;
                weights[rest.count_ones() as usize] * (values[without | 1 << j] - values[without])
            })
            .sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;
    use proptest::prelude::*;

    /// The definition, for one coalition.
    fn naive_value(of: &Memberships<'_>, i: usize, set: usize) -> f64 {
        let m = of.baseline.len();
        let point: Vec<f64> =
            (0..m).map(|j| if set >> j & 1 == 1 { of.x[i * m + j] } else { of.baseline[j] }).collect();
        let distance =
            |center: &[f64]| -> f64 { point.iter().zip(center).map(|(a, b)| (a - b).powi(2)).sum() };
        let distances: Vec<f64> = of.centers.chunks_exact(m).map(distance).collect();
        1.0 / distances.iter().map(|d| (distances[of.own[i] as usize] / d).powf(of.power)).sum::<f64>()
    }

    fn orders(m: usize) -> Vec<Vec<u32>> {
        if m == 0 {
            return vec![vec![]];
        }
        let shorter = orders(m - 1);
        let with = |place: usize| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place, m as u32 - 1);
                order
            })
        };
        (0..m).flat_map(with).collect()
    }

    type Drawn = (usize, usize, Vec<f64>, Vec<f64>, Vec<f64>, Vec<i32>, f64);

    fn problems() -> impl Strategy<Value = Drawn> {
        (1usize..4, 1usize..6, 1usize..11).prop_flat_map(|(n, m, k)| {
            let values = |size| prop::collection::vec(-3.0..3.0f64, size);
            let own = prop::collection::vec(0..k as i32, n);
            (
                Just(m),
                Just(k),
                values(n * m),
                values(k * m),
                values(m),
                own,
                prop::sample::select(vec![1.0, 0.5, 2.0]),
            )
        })
    }

    proptest! {
        #[test]
        fn exact_is_the_mean_over_all_orders((m, _, x, centers, baseline, own, power) in problems()) {
            let of = Memberships { x: &x, centers: &centers, baseline: &baseline, own: &own, power };
            let exact = of.exact(Workers::new(1)).unwrap();
            let orders = orders(m);
            for i in 0..own.len() {
                let mut game = Game::default();
                game.set_up(&of, i);
                let (mut walked, mut naive) = (vec![0.0; m], vec![0.0; m]);
                for order in &orders {
                    walk(simd::level(), &mut game, order, &mut walked);
                    let mut set = 0;
                    for &j in order {
                        let before = naive_value(&of, i, set);
                        set |= 1 << j;
                        naive[j as usize] += naive_value(&of, i, set) - before;
                    }
                }
                for j in 0..m {
                    let count = orders.len() as f64;
                    prop_assert!((walked[j] / count - exact[i * m + j]).abs() < 1e-9);
                    prop_assert!((naive[j] / count - exact[i * m + j]).abs() < 1e-9);
                }
            }
        }

        #[test]
        fn threads_and_instruction_sets_change_no_bit((m, _, x, centers, baseline, own, power) in problems()) {
            let of = Memberships { x: &x, centers: &centers, baseline: &baseline, own: &own, power };
            let bits = |threads| -> Vec<[u64; 2]> {
                let found = of.permutation(3, 7, Workers::new(threads)).unwrap();
                found.iter().map(|cell| cell.map(f64::to_bits)).collect()
            };
            prop_assert_eq!(bits(1), bits(3));
            let order: Vec<u32> = (0..m as u32).collect();
            let mut game = Game::default();
            game.set_up(&of, 0);
            let walked = |level, game: &mut Game| {
                let mut phi = vec![0.0; m];
                walk(level, game, &order, &mut phi);
                phi
            };
            let baseline = walked(Level::Baseline, &mut game);
            prop_assert_eq!(baseline, walked(Level::supported(), &mut game));
        }
    }

    #[test]
    fn the_squared_error_is_that_of_the_mean_over_orders() {
        let (x, centers, baseline) = ([1.0, -2.0, 0.5], [1.0, 0.0, 0.0, -1.0, 2.0, 1.0], [0.1, 0.2, -0.3]);
        let of = Memberships { x: &x, centers: &centers, baseline: &baseline, own: &[0], power: 1.0 };
        let found = of.permutation(4, 5, Workers::new(1)).unwrap();
        let mut game = Game::default();
        game.set_up(&of, 0);
        let mut rng = Stream::new(5, Purpose::Permutation, 0);
        let mut order: Vec<u32> = (0..3).collect();
        let drawn: Vec<Vec<f64>> = (0..4)
            .map(|_| {
                rng.shuffle(&mut order);
                let mut phi = vec![0.0; 3];
                walk(Level::Baseline, &mut game, &order, &mut phi);
                order.reverse();
                walk(Level::Baseline, &mut game, &order, &mut phi);
                phi.iter().map(|both| both / 2.0).collect()
            })
            .collect();
        for j in 0..3 {
            let mean = drawn.iter().map(|phi| phi[j]).sum::<f64>() / 4.0;
            let variance = drawn.iter().map(|phi| (phi[j] - mean).powi(2)).sum::<f64>() / 3.0;
            assert!((found[j][0] - mean).abs() < 1e-15);
            assert!((found[j][1] - variance / 4.0).abs() < 1e-15);
        }
    }

    #[test]
    fn a_point_on_a_centre_belongs_to_it_and_shares_it_with_those_at_the_same_place() {
        let of = Memberships {
            x: &[1.0, 2.0],
            centers: &[1.0, 2.0, 1.0, 2.0, 5.0, 5.0],
            baseline: &[3.0, 3.0],
            own: &[1],
            power: 1.0,
        };
        let phi = of.exact(Workers::new(1)).unwrap();
        let empty = naive_value(&of, 0, 0);
        assert!((phi[0] + phi[1] - (0.5 - empty)).abs() < 1e-12);
    }

    #[test]
    fn sizes_that_do_not_agree_and_observations_in_no_cluster() {
        let good = Memberships {
            x: &[1.0, 2.0],
            centers: &[0.0, 1.0],
            baseline: &[0.0, 0.0],
            own: &[-1],
            power: 1.0,
        };
        assert!(good.exact(Workers::new(1)).unwrap().iter().all(|v| v.is_nan()));
        assert!(good.permutation(2, 0, Workers::new(1)).unwrap()[0][0].is_nan());
        assert!(good.permutation(0, 0, Workers::new(1)).is_err());
        assert!(Memberships { x: &[1.0], ..good }.exact(Workers::new(1)).is_err());
        assert!(Memberships { centers: &[1.0], ..good }.exact(Workers::new(1)).is_err());
        assert!(Memberships { own: &[1], ..good }.exact(Workers::new(1)).is_err());
        let wide = vec![0.0; MAX_EXACT + 1];
        let many = Memberships { x: &wide, centers: &wide, baseline: &wide, own: &[0], power: 1.0 };
        assert!(many.exact(Workers::new(1)).is_err());
    }
}
