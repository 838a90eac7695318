//! How far the vectors of a Lanczos recurrence are from orthogonal, without a look at them.
//!
//! Rounding errors grow from step to step as the recurrence itself does. With coefficients `alpha` and couplings `beta`,
//! the inner products `w_jk` of vectors `j` and `k` follow
//!
//! ```text
//! beta_j w_{j+1,k} = beta_k w_{j,k+1} + (alpha_k - alpha_j) w_jk + beta_{k-1} w_{j,k-1} - beta_{j-1} w_{j-1,k}
//! ```
//!
//! but for the errors of one step (Simon 1984, *The Lanczos algorithm with partial reorthogonalization*). They stay small until a
//! Ritz vector has nearly settled, so that most steps need no look at the whole basis. An estimate decides when it is time
//! for one: O(s) operations in step `s`, where a look costs O(s n).

/// A vector that may share more than this with an earlier one is made orthogonal to all of them.
const LIMIT: f64 = 1e-10;

/// The estimates for the newest two vectors.
#[derive(Debug, Default)]
pub struct Orthogonality {
    /// What a single step leaves by rounding.
    noise: f64,
    newest: Vec<f64>,
    before: Vec<f64>,
    /// Whether the vector before was made orthogonal: errors come from two vectors, so that the next must be too.
    restored: bool,
}

impl Orthogonality {
    /// Starts with a single vector of `n` entries.
    pub fn start(&mut self, n: usize) {
        self.noise = f64::EPSILON * (n as f64).sqrt();
        self.newest.clear();
        self.before.clear();
        self.restored = false;
    }

    /// Takes over the next vector: `diagonal` has a coefficient for each vector before it, `off_diagonal` the couplings
    /// between these, and `beta` is its own to the newest of them. Returns whether it must be made orthogonal to all of them, and
    /// then counts on it.
    pub fn lost(&mut self, diagonal: &[f64], off_diagonal: &[f64], beta: f64) -> bool {
        let (Some((&alpha, earlier)), newest) = (diagonal.split_last(), &self.newest) else { return false };
        let last = earlier.len();
        let product = |k: usize| if k == last { 1.0 } else { newest[k] };
        let mut next: Vec<f64> = (0..last)
            .map(|k| {
                let mut grown = off_diagonal[k] * product(k + 1) + (earlier[k] - alpha) * product(k);
                if k > 0 {
                    grown += off_diagonal[k - 1] * product(k - 1);
                }
                if k + 1 < last {
                    grown -= off_diagonal[last - 1] * self.before[k];
                } else {
                    grown -= off_diagonal[last - 1];
                }
                (grown + self.noise.copysign(grown)) / beta
            })
            .collect();
        next.push(self.noise / beta);
        let lost = self.restored || !next.iter().all(|product| product.abs() <= LIMIT);
        if lost {
            next.fill(self.noise);
        }
        // Two in a row, then none until the estimates grow again.
        self.restored = lost && !self.restored;
        self.before = std::mem::replace(&mut self.newest, next);
        lost
    }

    /// Another vector, made orthogonal to all before it and coupled to none, takes the place of the one just taken over.
    pub fn restart(&mut self) {
        self.newest.fill(self.noise);
        self.restored = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recurrence on a diagonal matrix, orthogonal by the estimates alone.
    #[test]
    fn vectors_stay_orthogonal_at_a_fraction_of_the_looks() {
        let n = 300;
        let matrix: Vec<f64> = (0..n).map(|i| 1.0 - (i as f64 / n as f64).powf(0.3)).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut basis = vec![vec![1.0 / (n as f64).sqrt(); n]];
        let (mut diagonal, mut off_diagonal): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut estimate = Orthogonality::default();
        estimate.start(n);
        let mut looks = 0;
        for step in 0..100 {
            let mut vector: Vec<f64> = basis[step].iter().zip(&matrix).map(|(v, d)| v * d).collect();
            let take = |vector: &mut Vec<f64>, from: &[f64], part: f64| {
                vector.iter_mut().zip(from).for_each(|(v, f)| *v -= part * f);
            };
            if step > 0 {
                take(&mut vector, &basis[step - 1], off_diagonal[step - 1]);
            }
            let alpha = dot(&vector, &basis[step]);
            take(&mut vector, &basis[step], alpha);
            diagonal.push(alpha);
            if estimate.lost(&diagonal, &off_diagonal, dot(&vector, &vector).sqrt()) {
                looks += 1;
                for from in &basis {
                    let part = dot(&vector, from);
                    take(&mut vector, from, part);
                }
            }
            let beta = dot(&vector, &vector).sqrt();
            off_diagonal.push(beta);
            basis.push(vector.iter().map(|v| v / beta).collect());
        }
        for (j, a) in basis.iter().enumerate() {
            for b in &basis[..j] {
                assert!(dot(a, b).abs() < LIMIT, "vector {j}: {}", dot(a, b));
            }
        }
        assert!(looks > 0 && looks < 50, "{looks}");
    }
}
