//! Criterion benches of the kernels, one minipatch of 294 x 199 on one thread: `cargo bench --bench kernels`.
//!
//! The data are a made-up mixture of ten clusters in 700 x 765, half of whose values are tied at the smallest, as
//! expression data are.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

use clusterwhy::align::align;
use clusterwhy::native::centroid::{Metric, NearestCentroid};
use clusterwhy::native::forest::{Forest, ForestParameters};
use clusterwhy::native::kmeans::KMeans;
use clusterwhy::native::linkage::{Agglomerative, Linkage};
use clusterwhy::native::neighbors::{KNeighbors, Weights};
use clusterwhy::native::patch::{Data, Gathered};
use clusterwhy::native::presorted::Presorted;
use clusterwhy::native::spectral::Spectral;
use clusterwhy::native::tree::TreeParameters;
use clusterwhy::native::{Classifier, Clusterer, Matrix, Query, Task, Values};
use clusterwhy::parallel::Workers;
use clusterwhy::rng::{Purpose, Stream};
use clusterwhy::sampling::Minipatches;

const N: usize = 700;
const M: usize = 765;
const K: usize = 10;

fn data() -> Vec<f32> {
    let mut rng = Stream::new(0, Purpose::Standalone, 0);
    let centres: Vec<f64> = (0..K * M).map(|_| rng.unit() * 2.0 - 1.0).collect();
    (0..N)
        .flat_map(|i| {
            let noise: Vec<f64> = (0..M).map(|_| (0..4).map(|_| rng.unit()).sum::<f64>() - 2.0).collect();
            let centre = &centres[i % K * M..][..M];
            centre.iter().zip(noise).map(|(c, e)| (c + e).max(0.0) as f32).collect::<Vec<f32>>()
        })
        .collect()
}

fn kernels(criterion: &mut Criterion) {
    let values = data();
    let whole = Matrix { values: Values::F32(&values), rows: N, columns: M };
    let design = Minipatches::new(N, M, 294, 199, 0).expect("sizes fit");
    let (rows, columns) = (design.rows(0), design.columns(0));
    let held_out: Vec<u32> = (0..N as u32).filter(|i| rows.binary_search(i).is_err()).collect();
    let classes: Vec<u32> = rows.iter().map(|&i| i % K as u32).collect();

    criterion.bench_function("sample", |b| {
        b.iter(|| black_box((design.rows(black_box(1)), design.columns(black_box(1)))));
    });
    let mut memory = Gathered::default();
    criterion.bench_function("gather", |b| {
        b.iter(|| {
            black_box(memory.gather(Data::Dense(whole), &rows, &columns));
        });
    });
    let clusterers: [(&str, Box<dyn Clusterer>); 6] = [
        ("ward", Box::new(Agglomerative { n_clusters: K, linkage: Linkage::Ward })),
        ("complete", Box::new(Agglomerative { n_clusters: K, linkage: Linkage::Complete })),
        ("average", Box::new(Agglomerative { n_clusters: K, linkage: Linkage::Average })),
        ("single", Box::new(Agglomerative { n_clusters: K, linkage: Linkage::Single })),
        ("k-means, one start", Box::new(KMeans::new(K))),
        ("spectral", Box::new(Spectral::new(K))),
    ];
    let mut memory = Gathered::default();
    let patch = memory.gather(Data::Dense(whole), &rows, &columns);
    for (name, clusterer) in &clusterers {
        let mut session = clusterer.session();
        let mut labels = vec![0; rows.len()];
        criterion.bench_function(name, |b| {
            b.iter(|| session.cluster(patch, &mut Stream::new(0, Purpose::Clusterer, 0), &mut labels));
        });
    }
    let presorted = Presorted::new(whole, Workers::new(1)).expect("finite data");
    criterion
        .bench_function("presort all data", |b| b.iter(|| black_box(Presorted::new(whole, Workers::new(1)))));
    let forest = ForestParameters::random_forest(14);
    let tree = ForestParameters::single(TreeParameters::default());
    let classifiers: [(&str, Box<dyn Classifier + '_>); 6] = [
        ("tree", Box::new(Forest { presorted: Some(&presorted), parameters: tree.clone() })),
        ("tree, sorting its own data", Box::new(Forest { presorted: None, parameters: tree })),
        ("random forest of 100", Box::new(Forest { presorted: Some(&presorted), parameters: forest })),
        (
            "extra trees, 100",
            Box::new(Forest { presorted: Some(&presorted), parameters: ForestParameters::extra_trees(14) }),
        ),
        ("nearest neighbours", Box::new(KNeighbors { n_neighbors: 5, weights: Weights::Uniform })),
        ("nearest centroid", Box::new(NearestCentroid { metric: Metric::Euclidean, soft: false })),
    ];
    let task = Task { data: whole, rows: &rows, columns: &columns, classes: &classes, n_classes: K };
    let query = Query { data: whole, rows: &held_out, columns: &columns };
    for (name, classifier) in &classifiers {
        let mut session = classifier.session();
        let mut proba = vec![0.0; held_out.len() * K];
        criterion.bench_function(name, |b| {
            b.iter(|| {
                proba.fill(0.0);
                session.fit(&task, &mut Stream::new(0, Purpose::Classifier, 0)).unwrap();
                session.predict(&query, &mut proba)
            });
        });
    }
    let labels: Vec<i64> = rows.iter().map(|&i| i64::from((i * 7) % 11)).collect();
    let reference: Vec<i32> = classes.iter().map(|&c| c as i32).collect();
    criterion.bench_function("align", |b| b.iter(|| black_box(align(&labels, &reference))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = kernels
}
criterion_main!(benches);
