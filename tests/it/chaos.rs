//! Three sidecars on one PostgreSQL, killed and cut off at random: nobody is called twice, nothing is forgotten.

use std::time::Duration;

use sidetone::bench_chaos::{ChaosOptions, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_called_twice_and_nothing_is_forgotten_whatever_breaks() {
    let options = ChaosOptions { length: Duration::from_secs(20), seed: 7, ..ChaosOptions::default() };
    let report = run(options).await.unwrap();
    let shown = serde_json::to_string_pretty(&report).unwrap();
    assert_eq!((report.duplicate_dials, report.unaccounted, report.cap_violations), (0, 0, 0), "{shown}");
    // A run in which nothing happened proves nothing.
    assert!(report.originates >= 30, "{shown}");
    assert!(report.faults.get("killed").is_some_and(|kills| *kills >= 2), "{shown}");
    println!("{shown}");
}
