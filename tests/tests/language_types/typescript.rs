//! The npm package in `types/typescript`.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;
use socketio_pg_protocol::Message;
use socketio_pg_tests::{NODE, install, require};

use crate::{folder, recordings, run, samples, types};

/// The folder of the package with its dependencies; `None` if npm is missing, which is reported.
fn package() -> Option<PathBuf> {
    let package = types().join("typescript");
    if !require(&NODE) {
        return None;
    }
    install(&package).unwrap();
    Some(package)
}

#[test]
fn its_generated_files_are_current() {
    let Some(package) = package() else { return };
    run(Command::new("node").arg("scripts/generate.mjs").arg("--check").current_dir(package));
}

#[test]
fn it_reads_and_writes_the_values_of_the_crate() {
    let Some(package) = package() else { return };
    let file = folder("typescript").join("cases.jsonl");
    samples::write(&file);
    let output = run(Command::new("npm").arg("test").env("CASES", file).current_dir(package));
    println!("{output}");
    assert!(output.contains("# skipped 0") && output.contains("# fail 0"), "{output}");
    let count =
        output.lines().find_map(|line| line.split_once("{\"read\"").map(|(_, rest)| format!("{{\"read\"{rest}")));
    let count: Value = serde_json::from_str(&count.unwrap()).unwrap();
    let least = |key: &str, least: u64| assert!(count[key].as_u64() > Some(least), "{count}");
    least("read", 1500);
    least("written", 600);
    least("refused", 500);
}

#[test]
fn types_fit_every_recorded_message_and_no_wrong_one() {
    let Some(package) = package() else { return };
    // The package's own, and those that anybody generates.
    let sources = [("writer", "src/writer.ts"), ("reader", "../../protocol/schema/reader-types.json")];
    for (variant, source) in sources {
        let folder = folder(&format!("typescript-{variant}"));
        let messages = recordings::messages().map(|(_, message)| message);
        // The compiler gives up on literals that are nested too deep.
        let messages = messages.filter(|message| !message.to_string().contains(&"[".repeat(60)));
        let accepted = messages.filter(|message| variant == "reader" || message.get("nsp").is_some());
        let accepted: Vec<String> = accepted.map(|message| message.to_string()).collect();
        let text = fs::read_to_string(types().join("../protocol/tests/fixtures/refused.jsonl")).unwrap();
        let refused = text.lines().filter(|line| {
            let case: Value = serde_json::from_str(line).unwrap();
            let is_known = (1..=13).any(|kind| case["message"]["type"] == kind);
            variant == "writer" || !is_known || Message::from_json(&case["message"].to_string()).is_err()
        });
        let files = ["accepted.jsonl", "refused.jsonl"].map(|name| folder.join(name));
        fs::write(&files[0], accepted.join("\n")).unwrap();
        fs::write(&files[1], refused.collect::<Vec<_>>().join("\n")).unwrap();
        let mut node = Command::new("node");
        let output = run(node.arg("scripts/literals.mjs").arg(source).args(files).arg(folder).current_dir(&package));
        let report: Value = serde_json::from_str(output.trim()).unwrap_or_else(|error| panic!("{error}: {output}"));
        assert!(report["accepted"].as_u64() > Some(400) && report["refused"].as_u64() > Some(15), "{report}");
    }
}
