//! Stored fuzz inputs, without libFuzzer: seeds, corpus and past findings, checked with the
//! properties of `fuzz/`, and some thousand more inputs made from them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is a test's report, and a seed is to be seen")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use socketio_pg_fuzz::{TARGETS, mutation::Mutator, node, stored};
use socketio_pg_tests::{NODE, install, require};

/// How many inputs that are not stored each target gets.
const MADE: usize = 3_000;

/// How many inputs Node.js gets at once.
const BATCH: usize = 250;

#[test]
fn what_is_stored_keeps_every_property() {
    for target in TARGETS {
        let inputs = stored(target.name, target.seeds).unwrap();
        assert!(inputs.len() >= 5, "{} has only {} inputs", target.name, inputs.len());
        for (path, input) in &inputs {
            told(path, || (target.check)(input));
        }
        println!("{}: {} inputs", target.name, inputs.len());
    }
}

#[test]
fn what_is_made_from_it_keeps_every_property() {
    let seed = seed();
    for target in TARGETS {
        let inputs = inputs(target.name, target.seeds);
        let mut mutator = Mutator::new(&inputs, seed);
        for number in 0..MADE {
            let input = mutator.input();
            told(&format!("FUZZ_SEED={seed}, {} number {number}: {input:?}", target.name), || (target.check)(&input));
        }
    }
}

#[test]
fn json_is_what_node_makes_of_it() {
    with_node("node_json", "notification", "json", node::check_all_json);
}

#[test]
fn messagepack_is_what_node_makes_of_it() {
    with_node("node_msgpack", "attachment", "msgpack", node::check_all_msgpack);
}

/// Compares stored and generated inputs with Node.js. The corpus belongs to another target with the
/// same inputs.
fn with_node(target: &str, corpus: &str, seeds: &str, compare: fn(&[Vec<u8>]) -> node::Compared) {
    if !require(&NODE) {
        return;
    }
    install(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("node")).unwrap();

    let inputs = [inputs(target, seeds), inputs(corpus, seeds)].concat();
    let seed = seed();
    let mut mutator = Mutator::new(&inputs, seed);
    let made: Vec<Vec<u8>> = std::iter::repeat_with(|| mutator.input()).take(MADE).collect();
    let (mut values, mut messages) = (0, 0);
    for batch in inputs.chunks(BATCH).chain(made.chunks(BATCH)) {
        let compared = told(&format!("FUZZ_SEED={seed}, {target}"), || compare(batch));
        values += compared.values;
        messages += compared.messages;
    }
    println!("{target}: of {} inputs {values} were values and {messages} messages", inputs.len() + MADE);
    assert!(values > MADE / 20 && messages > MADE / 100, "only {values} values and {messages} messages were compared");
}

fn inputs(target: &str, seeds: &str) -> Vec<Vec<u8>> {
    stored(target, seeds).unwrap().into_iter().map(|(_, input)| input).collect()
}

/// The same inputs in every run, unless `FUZZ_SEED` asks for others.
fn seed() -> u64 {
    let seed = std::env::var("FUZZ_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("FUZZ_SEED={seed}");
    seed
}

/// Reports the input for which a property does not hold.
fn told<T>(input: &str, check: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        eprintln!("for {input}");
        resume_unwind(panic)
    })
}
