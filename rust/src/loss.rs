//! Pointwise losses of an averaged vote `p` for an observation of class `z` (names as in Johansson et al. 2017).
//!
//! | name | formula |
//! |---|---|
//! | hinge | `1 - p(z)` |
//! | margin | `max_{k != z} p(k) - p(z)` |
//! | brier | `sum_k (p(k) - 1[k = z])^2` |
//! | log | `-log max(p(z), eps)` with eps = 2^-52 |
//! | zero_one | 1 where the class with most votes (ties: the smallest) is not `z`, else 0 |

use crate::simd::Level;

/// A loss that has a value for each observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// One minus the vote for the class.
    Hinge,
    /// The best other class's vote minus the vote for the class.
    Margin,
    /// Squared error of the vote vector.
    Brier,
    /// Negative log-likelihood, clipped.
    Log,
    /// Whether the majority is wrong.
    ZeroOne,
}

impl Loss {
    /// Every loss, in the order of the table.
    pub const ALL: [Loss; 5] = [Loss::Hinge, Loss::Margin, Loss::Brier, Loss::Log, Loss::ZeroOne];

    /// The name that users write.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Hinge => "hinge",
            Loss::Margin => "margin",
            Loss::Brier => "brier",
            Loss::Log => "log",
            Loss::ZeroOne => "zero_one",
        }
    }

    /// The loss of that name.
    pub fn from_name(name: &str) -> Option<Loss> {
        Loss::ALL.into_iter().find(|loss| loss.name() == name)
    }

    /// Evaluates the loss at many averages of votes for one observation.
    ///
    /// `sums` holds K rows of `counts.len()` sums of votes; entry `j` averages as `sums[k][j] / counts[j]`.
    /// Where `counts[j]` is 0 there is no vote, and the loss is NaN. `work` is as long as `counts`.
    pub fn evaluate(self, z: usize, sums: &[f64], counts: &[f64], work: &mut [f64], out: &mut [f64]) {
        self.evaluate_at(Level::Baseline, z, sums, counts, work, out);
    }

    /// [`Loss::evaluate`] for an instruction set.
    pub fn evaluate_at(
        self,
        level: Level,
        z: usize,
        sums: &[f64],
        counts: &[f64],
        work: &mut [f64],
        out: &mut [f64],
    ) {
        evaluate(level, self, z, sums, counts, work, out);
    }

    #[inline(always)]
    fn evaluate_body(self, z: usize, sums: &[f64], counts: &[f64], work: &mut [f64], out: &mut [f64]) {
        let width = counts.len();
        let (out, work) = (&mut out[..width], &mut work[..width]);
        let of_z = &sums[z * width..(z + 1) * width];
        match self {
            Loss::Hinge => {
                for j in 0..width {
                    out[j] = 1.0 - of_z[j] / counts[j];
                }
            }
            Loss::Log => {
                for j in 0..width {
                    let p = of_z[j] / counts[j];
                    // `max` would turn the NaN of a missing vote into a number.
                    out[j] = if p < f64::EPSILON { -libm::log(f64::EPSILON) } else { -libm::log(p) };
                }
            }
            Loss::Brier => {
                out.fill(0.0);
                for (k, row) in sums.chunks_exact(width).enumerate() {
                    let target = f64::from(u8::from(k == z));
                    for j in 0..width {
                        let off = row[j] / counts[j] - target;
                        out[j] += off * off;
                    }
                }
            }
            Loss::Margin | Loss::ZeroOne => {
                // The best other class; a class before z that ties with z wins the majority, one after loses.
                work.fill(0.0);
                out.fill(0.0);
                for (k, row) in sums.chunks_exact(width).enumerate() {
                    if k == z {
                        continue;
                    }
                    for j in 0..width {
                        work[j] = if row[j] > work[j] { row[j] } else { work[j] };
                    }
                    if self == Loss::ZeroOne {
                        for j in 0..width {
                            let beaten = if k < z { row[j] >= of_z[j] } else { row[j] > of_z[j] };
                            out[j] = if beaten { 1.0 } else { out[j] };
                        }
                    }
                }
                for j in 0..width {
                    if self == Loss::Margin {
                        out[j] = (work[j] - of_z[j]) / counts[j];
                    } else if counts[j] == 0.0 {
                        out[j] = f64::NAN;
                    }
                }
            }
        }
    }

    /// The derivative of the loss in each class's vote at `p`; `None` for a loss that is flat or jumps.
    pub fn gradient(self, z: usize, p: &[f64], out: &mut [f64]) -> Option<()> {
        out.fill(0.0);
        match self {
            Loss::Hinge => out[z] = -1.0,
            Loss::Margin => {
                let best =
                    (0..p.len()).filter(|&k| k != z).max_by(|&a, &b| p[a].total_cmp(&p[b]).then(b.cmp(&a)));
                if let Some(best) = best {
                    out[best] = 1.0;
                }
                out[z] = -1.0;
            }
            Loss::Brier => {
                for (k, slope) in out.iter_mut().enumerate() {
                    *slope = 2.0 * (p[k] - f64::from(u8::from(k == z)));
                }
            }
            Loss::Log => out[z] = if p[z] < f64::EPSILON { 0.0 } else { -1.0 / p[z] },
            Loss::ZeroOne => return None,
        }
        Some(())
    }
}

dispatch! {
    fn evaluate(loss: Loss, z: usize, sums: &[f64], counts: &[f64], work: &mut [f64], out: &mut [f64])
        = Loss::evaluate_body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(loss: Loss, z: usize, p: &[f64]) -> f64 {
        let (mut work, mut out) = ([0.0], [0.0]);
        // Sums of four votes, to see that the count divides.
        let sums: Vec<f64> = p.iter().map(|p| p * 4.0).collect();
        loss.evaluate(z, &sums, &[4.0], &mut work, &mut out);
        out[0]
    }

    #[test]
    fn values_by_hand() {
        let p = [0.25, 0.5, 0.25];
        assert_eq!(at(Loss::Hinge, 0, &p), 0.75);
        assert_eq!(at(Loss::Margin, 0, &p), 0.25);
        assert_eq!(at(Loss::Margin, 1, &p), -0.25);
        assert_eq!(at(Loss::Brier, 1, &p), 0.0625 + 0.25 + 0.0625);
        assert_eq!(at(Loss::Log, 1, &p), 2f64.ln());
        assert_eq!(at(Loss::Log, 1, &[1.0, 0.0]), 52.0 * 2f64.ln());
        assert_eq!(at(Loss::ZeroOne, 1, &p), 0.0);
        assert_eq!(at(Loss::ZeroOne, 0, &p), 1.0);
        assert_eq!(at(Loss::ZeroOne, 0, &[0.5, 0.5]), 0.0, "ties go to the smallest class");
        assert_eq!(at(Loss::ZeroOne, 1, &[0.5, 0.5]), 1.0);
        assert_eq!(at(Loss::Margin, 0, &[1.0]), -1.0, "one class has no other");
    }

    #[test]
    fn no_vote_is_no_number() {
        for loss in Loss::ALL {
            let (mut work, mut out) = ([0.0], [0.0]);
            loss.evaluate(0, &[0.0, 0.0], &[0.0], &mut work, &mut out);
            assert!(out[0].is_nan(), "{loss:?}");
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let p = [0.2, 0.5, 0.3];
        for loss in Loss::ALL {
            let mut slope = [0.0; 3];
            if loss.gradient(0, &p, &mut slope).is_none() {
                continue;
            }
            for k in 0..3 {
                let (mut up, mut down) = (p, p);
                up[k] += 1e-6;
                down[k] -= 1e-6;
                let numeric = (at(loss, 0, &up) - at(loss, 0, &down)) / 2e-6;
                assert!((numeric - slope[k]).abs() < 1e-5, "{loss:?} {k}: {numeric} against {}", slope[k]);
            }
        }
    }
}
