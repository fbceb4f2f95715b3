//! What cutting a stream's messages into frames costs: `cargo bench --bench wire`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sidetone::media::{Channels, Wire};
use sidetone_core::frame::SampleRate;

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire");
    let sound: Vec<u8> = (0..32_000u32).map(|i| (i * 7) as u8).collect();
    for (name, channels, bytes) in [
        ("20 ms", Channels::Mono, 320),
        ("30 ms", Channels::Mono, 480),
        ("1000 ms", Channels::Mono, 16_000),
        ("20 ms stereo", Channels::Stereo, 640),
    ] {
        let mut wire = Wire::new(SampleRate::HZ_8000, channels);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &sound[..bytes], |b, message| {
            b.iter(|| wire.push(black_box(message), |frame| _ = black_box(frame)));
        });
    }
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
