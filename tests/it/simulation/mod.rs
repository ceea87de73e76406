//! A deterministic simulation: one seed is one story of appends, repetitions, lost answers, crashes, zombies and views set
//! back, over the real journal, folds, lane machines and sinks (embedded, in memory). Whatever happens, when it is over:
//! nothing is lost, nothing counts twice, and the views equal a replay from the start.

mod story;
mod view;
mod world;

use std::time::{Duration, Instant};

use world::{Guard, World};

const SEEDS: u64 = 1_000;
const OPERATIONS: usize = 300;

/// Runs one seed; the outcome is a digest of everything that is stored at the end, or what is wrong.
fn run(seed: u64, guard: Guard) -> Result<String, String> {
    let mut world = World::new(seed, guard);
    for _ in 0..OPERATIONS {
        world.step();
    }
    world.settle()?;
    world.check()
}

#[test]
fn a_thousand_seeds_lose_nothing_and_count_nothing_twice() {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get() as u64).min(8);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let seeds = (0..SEEDS).filter(|seed| seed % threads == thread);
                    let failed = |seed| run(seed, Guard::Watermark).err().map(|error| format!("seed {seed}: {error}"));
                    seeds.filter_map(failed).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} of {SEEDS} seeds failed, for example {}", failures.len(), failures[0]);
    let took = began.elapsed();
    println!("{SEEDS} seeds of {OPERATIONS} operations in {took:?}");
    assert!(took < Duration::from_secs(60), "the simulation took {took:?}, it has to stay under a minute");
}

#[test]
fn one_seed_is_one_story() {
    for seed in 0..20 {
        assert_eq!(run(seed, Guard::Watermark).unwrap(), run(seed, Guard::Watermark).unwrap(), "seed {seed}");
    }
}

#[test]
fn skipping_what_is_older_is_a_wrong_guard_and_is_found_out() {
    let caught = (0..50).filter(|seed| run(*seed, Guard::SkipOlder).is_err()).count();
    assert!(caught > 25, "only {caught} of 50 seeds noticed the wrong guard");
}
