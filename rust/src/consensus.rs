//! Consensus labels: for each observation, the majority over the minipatches that hold it.

use crate::align::NOISE;

/// Votes for `(observation, class)` over minipatches, and the consensus that they give.
#[derive(Debug, Clone)]
pub struct Consensus {
    counts: Vec<u32>,
    n_classes: usize,
}

impl Consensus {
    /// No votes yet. Memory: 4 N K bytes.
    pub fn new(n_samples: usize, n_classes: usize) -> Self {
        Consensus { counts: vec![0; n_samples * n_classes], n_classes }
    }

    /// Adds the aligned labels of one minipatch, entry `t` for observation `rows[t]`. Noise does not vote.
    pub fn add(&mut self, rows: &[u32], labels: &[i32]) {
        for (&i, &label) in rows.iter().zip(labels).filter(|&(_, &label)| label >= 0) {
            self.counts[i as usize * self.n_classes + label as usize] += 1;
        }
    }

    /// Votes counted before, N x K.
    pub fn from_counts(counts: Vec<u32>, n_classes: usize) -> Self {
        Consensus { counts, n_classes }
    }

    /// All votes, N x K.
    pub fn into_counts(self) -> Vec<u32> {
        self.counts
    }

    /// The votes of one observation, one count a class.
    pub fn votes(&self, i: usize) -> &[u32] {
        &self.counts[i * self.n_classes..(i + 1) * self.n_classes]
    }

    /// The label with most votes; ties go to the reference label if it is among the tied, else to the
    /// smallest; without votes, the reference label.
    pub fn label(&self, i: usize, reference: i32) -> i32 {
        let votes = self.votes(i);
        let most = votes.iter().copied().max().unwrap_or(0);
        if most == 0 || (reference != NOISE && votes[reference as usize] == most) {
            return reference;
        }
        votes.iter().position(|&count| count == most).map_or(reference, |k| k as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majority_ties_and_absence() {
        let mut consensus = Consensus::new(4, 3);
        consensus.add(&[0, 1], &[2, 1]);
        consensus.add(&[0, 1], &[2, 2]);
        consensus.add(&[0, 2], &[0, -1]);
        assert_eq!(consensus.label(0, 0), 2, "the majority");
        assert_eq!(consensus.label(1, 2), 2, "a tie that the reference is part of");
        assert_eq!(consensus.label(1, 0), 1, "a tie that the reference is not part of");
        assert_eq!(consensus.label(1, NOISE), 1, "noise is never among the tied");
        assert_eq!(consensus.label(2, 1), 1, "noise does not vote");
        assert_eq!(consensus.label(3, NOISE), NOISE, "never sampled");
    }
}
