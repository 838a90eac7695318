//! Sets of indices as rows of bits: which features a minipatch holds, which observations it votes on.

/// `rows` sets over `0..columns`, one bit an element, each row padded to whole 64-bit words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitMatrix {
    words: Vec<u64>,
    columns: usize,
    stride: usize,
}

impl BitMatrix {
    /// All sets empty.
    pub fn new(rows: usize, columns: usize) -> Self {
        let stride = columns.div_ceil(64);
        BitMatrix { words: vec![0; rows * stride], columns, stride }
    }

    /// Takes words laid out as [`BitMatrix::words`] gives them. Bits at or above `columns` are cleared.
    ///
    /// # Panics
    /// When `words` is not a whole number of rows.
    pub fn from_words(mut words: Vec<u64>, columns: usize) -> Self {
        let stride = columns.div_ceil(64);
        assert!(stride == 0 || words.len().is_multiple_of(stride), "whole rows of {stride} words");
        if !columns.is_multiple_of(64) {
            let keep = (1u64 << (columns % 64)) - 1;
            words.iter_mut().skip(stride - 1).step_by(stride).for_each(|word| *word &= keep);
        }
        BitMatrix { words, columns, stride }
    }

    /// Number of sets.
    pub fn rows(&self) -> usize {
        self.words.len().checked_div(self.stride).unwrap_or(0)
    }

    /// Number of elements that a set may hold.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Words a row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All words, row by row; element `j` is bit `j % 64` of word `j / 64` of its row.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// All words, without the matrix.
    pub fn into_words(self) -> Vec<u64> {
        self.words
    }

    /// The words of one set.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.stride..(row + 1) * self.stride]
    }

    /// Adds an element to a set.
    #[inline(always)]
    pub fn insert(&mut self, row: usize, column: usize) {
        debug_assert!(column < self.columns);
        self.words[row * self.stride + column / 64] |= 1 << (column % 64);
    }

    /// Whether a set holds an element.
    #[inline(always)]
    pub fn contains(&self, row: usize, column: usize) -> bool {
        self.words[row * self.stride + column / 64] >> (column % 64) & 1 == 1
    }

    /// Rows and columns exchanged, in blocks of 64 x 64 bits.
    pub fn transpose(&self) -> BitMatrix {
        let (rows, columns) = (self.rows(), self.columns);
        let mut out = BitMatrix::new(columns, rows);
        let mut block = [[0u64]; 64];
        for r0 in (0..rows).step_by(64) {
            for w in 0..self.stride {
                for (offset, [word]) in block.iter_mut().enumerate() {
                    let r = r0 + offset;
                    *word = if r < rows { self.words[r * self.stride + w] } else { 0 };
                }
                transpose_squares(&mut block);
                for (offset, &[word]) in block.iter().enumerate() {
                    let c = w * 64 + offset;
                    if c < columns {
                        out.words[c * out.stride + r0 / 64] = word;
                    }
                }
            }
        }
        out
    }
}

/// Calls `task` with each element of a set, given as a row of words, in order.
#[inline(always)]
pub fn for_each_one(words: &[u64], mut task: impl FnMut(usize)) {
    for (w, &word) in words.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            task(w * 64 + rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}

dispatch! {
    /// Lists the elements of sets of `words` words each, one set after the other; those of set `s` end at `ends[s]`.
    /// `elements` has room for all of them and a word's worth more.
    pub fn list_ones(sets: &[u64], words: usize, elements: &mut [u32], ends: &mut [usize]) = list_ones_body
}

/// Eight elements are written whether or not there are so many, so that how often the inner loop runs can be foreseen.
#[inline(always)]
fn list_ones_body(sets: &[u64], words: usize, elements: &mut [u32], ends: &mut [usize]) {
    const AT_ONCE: usize = 8;
    let mut end = 0;
    for (set, set_end) in sets.chunks_exact(words).zip(ends) {
        for (w, &word) in set.iter().enumerate() {
            let (mut rest, mut at) = (word, end);
            end += word.count_ones() as usize;
            while at < end {
                for element in &mut elements[at..][..AT_ONCE] {
                    *element = (w * 64) as u32 + rest.trailing_zeros();
                    rest &= rest.wrapping_sub(1);
                }
                at += AT_ONCE;
            }
        }
        *set_end = end;
    }
}

/// Cuts `R` rows of `64 W` bits into squares of `R` by `R` bits and transposes each in place, by swapping ever
/// smaller off-diagonal parts.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // `w` runs along every row at once.
pub fn transpose_squares<const R: usize, const W: usize>(rows: &mut [[u64; W]; R]) {
    for w in 0..W {
        let mut half = R / 2;
        while half != 0 {
            // Of every `2 * half` bits the lower half.
            let mask = u64::MAX / ((1u64 << half) + 1);
            for r in 0..R {
                if r & half == 0 {
                    let swap = ((rows[r][w] >> half) ^ rows[r + half][w]) & mask;
                    rows[r][w] ^= swap << half;
                    rows[r + half][w] ^= swap;
                }
            }
            half /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    #[test]
    fn transpose_moves_every_bit() {
        let mut rng = Stream::new(0, Purpose::Rows, 0);
        for (rows, columns) in [(1, 1), (3, 70), (64, 64), (65, 130), (200, 5)] {
            let mut bits = BitMatrix::new(rows, columns);
            for r in 0..rows {
                for c in 0..columns {
                    if rng.below(3) == 0 {
                        bits.insert(r, c);
                    }
                }
            }
            let turned = bits.transpose();
            assert_eq!((turned.rows(), turned.columns()), (columns, rows));
            for r in 0..rows {
                for c in 0..columns {
                    assert_eq!(bits.contains(r, c), turned.contains(c, r));
                }
            }
        }
    }

    #[test]
    fn stray_bits_are_cleared() {
        let bits = BitMatrix::from_words(vec![u64::MAX; 2], 3);
        assert_eq!(bits.words(), [7, 7]);
    }
}
