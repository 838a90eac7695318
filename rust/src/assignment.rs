//! Maximum-weight assignment on a rectangular table of whole numbers.
//!
//! Shortest augmenting paths with dual prices (Jonker and Volgenant 1987; Crouse 2016 for the rectangular
//! form), O(r^2 c) for r <= c. Whole numbers make the optimum exact.

/// Pairs rows with columns so that the total weight is largest and as many pairs as possible are made
/// (`min(rows, columns)`). Returns the column of each row, `None` for rows left over.
///
/// Which optimum is returned when several tie is fixed (it depends on `table` alone) but otherwise
/// unspecified.
pub fn maximum_weight(table: &[u32], rows: usize, columns: usize) -> Vec<Option<usize>> {
    debug_assert_eq!(table.len(), rows * columns);
    if rows <= columns {
        assign(rows, columns, |r, c| -i64::from(table[r * columns + c])).into_iter().map(Some).collect()
    } else {
        let mut of_row = vec![None; rows];
        for (c, r) in assign(columns, rows, |c, r| -i64::from(table[r * columns + c])).into_iter().enumerate()
        {
            of_row[r] = Some(c);
        }
        of_row
    }
}

/// The cheapest column for every row, `rows <= columns`.
fn assign(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> i64) -> Vec<usize> {
    const FREE: usize = usize::MAX;
    let mut row_price = vec![0i64; rows];
    let mut column_price = vec![0i64; columns];
    let mut row_of = vec![FREE; columns];
    let mut column_of = vec![FREE; rows];
    for start in 0..rows {
        let mut distance = vec![i64::MAX; columns];
        let mut previous = vec![FREE; columns];
        let mut done = vec![false; columns];
        let (mut row, mut reached) = (start, 0i64);
        let sink = loop {
            for c in (0..columns).filter(|&c| !done[c]) {
                let length = reached + cost(row, c) - row_price[row] - column_price[c];
                if length < distance[c] {
                    (distance[c], previous[c]) = (length, row);
                }
            }
            // A free column among the nearest ends the path at once.
            let nearest = (0..columns)
                .filter(|&c| !done[c])
                .min_by_key(|&c| (distance[c], row_of[c] != FREE, c))
                .expect("fewer rows than columns leave a free column");
            (reached, done[nearest]) = (distance[nearest], true);
            if row_of[nearest] == FREE {
                break nearest;
            }
            row = row_of[nearest];
        };
        row_price[start] += reached;
        for c in (0..columns).filter(|&c| done[c] && c != sink) {
            row_price[row_of[c]] += reached - distance[c];
            column_price[c] -= reached - distance[c];
        }
        let mut c = sink;
        loop {
            let r = previous[c];
            row_of[c] = r;
            std::mem::swap(&mut column_of[r], &mut c);
            if r == start {
                break;
            }
        }
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The best total over all assignments, by trying them all.
    fn brute(table: &[u32], rows: usize, columns: usize) -> u64 {
        fn go(table: &[u32], rows: usize, columns: usize, r: usize, used: u32, skips: usize) -> u64 {
            if r == rows {
                return 0;
            }
            let mut best = 0;
            if skips > 0 {
                best = go(table, rows, columns, r + 1, used, skips - 1);
            }
            for c in 0..columns {
                if used >> c & 1 == 0 {
                    let rest = go(table, rows, columns, r + 1, used | 1 << c, skips);
                    best = best.max(u64::from(table[r * columns + c]) + rest);
                }
            }
            best
        }
        go(table, rows, columns, 0, 0, rows.saturating_sub(columns))
    }

    proptest! {
        #[test]
        fn total_is_the_best_there_is(
            (rows, columns, table) in (1usize..6, 1usize..6).prop_flat_map(|(r, c)| {
                (Just(r), Just(c), proptest::collection::vec(0u32..9, r * c))
            })
        ) {
            let pairs = maximum_weight(&table, rows, columns);
            let mut used: Vec<usize> = pairs.iter().flatten().copied().collect();
            let total: u64 = pairs.iter().enumerate()
                .filter_map(|(r, c)| c.map(|c| u64::from(table[r * columns + c]))).sum();
            prop_assert_eq!(used.len(), rows.min(columns));
            used.sort_unstable();
            used.dedup();
            prop_assert_eq!(used.len(), rows.min(columns));
            prop_assert_eq!(total, brute(&table, rows, columns));
        }
    }
}
