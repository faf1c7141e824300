//! `check` on a right node and on wrong ones.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use serde_json::{Value, json};
use socketio_pg_kit::archive::RECORDINGS;
use socketio_pg_tests::{Kind, database, python_node};
use socketio_pg_throwaway::Database;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("python")
}

/// Python with the packages of the node; `None` when something is missing, which is reported.
fn python() -> Option<String> {
    let Some(Kind::Python { interpreter }) = python_node(env!("CARGO_TARGET_TMPDIR")) else { return None };
    Some(interpreter.display().to_string())
}

fn socketio_pg(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_socketio-pg")).args(arguments).output().unwrap()
}

fn check(database: &Database, node: &str, arguments: &[&str]) -> (Value, Output) {
    let url = database.url();
    let all = [&["check", "--json", "--no-node", "-d", &url, "--command", node], arguments].concat();
    let output = socketio_pg(&all);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (report, output)
}

/// A node that does one thing wrong, and what tells it.
#[derive(Clone, Copy)]
struct Mutant {
    /// The argument of `mutant.py`.
    name: &'static str,
    /// A cluster and a scenario in which the mistake shows.
    cluster: &'static str,
    scenario: &'static str,
    /// The rule that it breaks: its heading in the specification.
    rule: &'static str,
    /// A part of what the report says of it.
    problem: &'static str,
}

const MUTANTS: [Mutant; 14] = [
    Mutant {
        name: "answers_itself",
        cluster: "CRC",
        scenario: "fetchSockets by every selector",
        rule: "channels",
        problem: "the node responds to its own 7",
    },
    Mutant {
        name: "delivers_twice",
        cluster: "CRC",
        scenario: "emit to all",
        rule: "3-broadcast",
        problem: "\"emit to all\" has another outcome",
    },
    Mutant {
        name: "ignores_except",
        cluster: "RCR",
        scenario: "emit to rooms",
        rule: "which-sockets-opts",
        problem: "\"emit to rooms and except rooms\"",
    },
    Mutant {
        name: "heartbeat_type_is_text",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "messages",
        problem: "`type` is \"2\"",
    },
    Mutant {
        name: "does_not_greet",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "1-initial_heartbeat",
        problem: "sent no 2 in response to",
    },
    Mutant {
        name: "does_not_close",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "13-adapter_close",
        problem: "sent no 13",
    },
    Mutant {
        name: "response_without_request",
        cluster: "RCR",
        scenario: "fetchSockets by",
        rule: "8-fetch_sockets_response",
        problem: "`requestId` is missing",
    },
    Mutant {
        name: "response_in_another_namespace",
        cluster: "RCR",
        scenario: "fetchSockets by",
        rule: "messages",
        problem: "`nsp` is \"/elsewhere\"",
    },
    Mutant {
        name: "counts_one_too_many",
        cluster: "RCR",
        scenario: "acknowledgements: no client",
        rule: "11-broadcast_client_count",
        problem: "no answer",
    },
    Mutant {
        name: "writes_null",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "messages",
        problem: "`data` is null",
    },
    Mutant {
        name: "header_names_another_row",
        cluster: "CRC",
        scenario: "large and binary events",
        rule: "attachments",
        problem: "there is no row",
    },
    Mutant {
        name: "binary_inline",
        cluster: "CRC",
        scenario: "large and binary events",
        rule: "attachments",
        problem: "\"large and binary events\"",
    },
    Mutant {
        name: "long_inline",
        cluster: "CRC",
        scenario: "large and binary events",
        rule: "attachments",
        problem: "payload string too long",
    },
    Mutant {
        name: "hashes_channels",
        cluster: "RCR",
        scenario: "emit to all",
        rule: "channels",
        problem: "no message of yours came on",
    },
];

#[test]
fn each_wrong_node_is_told_its_mistake() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let rest = Mutex::new(MUTANTS.to_vec());
    std::thread::scope(|scope| {
        let work = || {
            while let Some(mutant) = { rest.lock().unwrap().pop() } {
                let Mutant { name, cluster, scenario, rule, problem } = mutant;
                let node = format!("{python} {} {name}", folder().join("mutant.py").display());
                let wanted = ["--cluster", cluster, "--scenario", scenario, "--patience", "10"];
                let (report, output) = check(&database, &node, &wanted);
                let place = format!("docs/protocol.md#{rule}");
                let is_told = |mistake: &Value| {
                    mistake["place"] == place.as_str() && mistake["problem"].as_str().unwrap().contains(problem)
                };
                assert!(report["mistakes"].as_array().unwrap().iter().any(is_told), "{name}: {report:#}");
                assert_eq!(output.status.code(), Some(1), "{name}");
            }
        };
        for _ in 0..3 {
            scope.spawn(work);
        }
    });
}

/// The same scenarios and clusters as the wrong nodes, and some more.
#[test]
fn the_right_node_makes_no_mistake() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let node = format!("{python} {}", folder().join("node.py").display());
    let mut wanted = vec!["--cluster", "RCR", "--cluster", "CRC", "--patience", "40"];
    for word in ["emit to", "large and binary", "fetchSockets by", "no client", "Unicode", "serverSideEmit: a"] {
        wanted.extend(["--scenario", word]);
    }
    let (report, output) = check(&database, &node, &wanted);
    assert_eq!(report["mistakes"], json!([]), "{report:#}");
    assert_eq!(report["level"], "complete", "{report:#}");
    assert!(output.status.success());
    assert_eq!(tables(&database), "0", "the kit drops its tables");
}

/// How many tables of the kit there are.
fn tables(database: &Database) -> String {
    database.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'socketio%'").unwrap().unwrap()
}

/// A program in Python that is to be checked.
fn script(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".py").unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// A node logs what it likes, in any encoding, and may need variables.
#[test]
fn other_lines_and_variables_do_no_harm() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let text = format!(
        "import os, runpy, sys\n\
         assert os.environ['NODE_MODE'] == 'a b'\n\
         for output in (sys.stdout, sys.stderr):\n    \
             output.buffer.write(b'd\\xe9marr\\xe9\\n')\n    output.flush()\n\
         sys.path.insert(0, {folder:?})\n\
         runpy.run_path({folder:?} + '/node.py', run_name='__main__')\n",
        folder = folder().display().to_string()
    );
    let node = script(&text);
    let node = format!("NODE_MODE='a b' {python} {}", node.path().display());
    let (report, _) = check(&database, &node, &["--cluster", "CRC", "--scenario", "emit to all", "--patience", "40"]);
    assert_eq!(report["mistakes"], json!([]), "{report:#}");
    assert_eq!(report["played"][0]["result"], "right", "{report:#}");
    assert_eq!(report["partial"], true);
}

#[test]
fn a_node_that_closes_its_output_ends_with_the_check() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let node = script("import os, time\nos.close(1)\nos.close(2)\ntime.sleep(3600)\n");
    let node = format!("{python} {}", node.path().display());
    let (report, output) =
        check(&database, &node, &["--cluster", "RCR", "--scenario", "emit to all", "--patience", "1"]);
    let problem = report["mistakes"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("no line that says it is ready within 1 s"), "{problem}");
    assert_eq!(output.status.code(), Some(1));
}

/// Every user of the machine can read the options of a process, and reports go into logs.
#[cfg(target_os = "linux")]
#[test]
fn no_process_and_no_report_shows_the_password() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let seen = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "import glob, sys, time\n\
         partners = []\n\
         while not partners:\n    \
             for path in glob.glob('/proc/[0-9]*/cmdline'):\n        \
                 try:\n            line = open(path, 'rb').read()\n        \
                 except OSError:\n            continue\n        \
                 if b'check-partner' in line and b'--role' in line:\n            partners.append(line)\n    \
             time.sleep(0.05)\n\
         open({seen:?}, 'wb').write(b'\\n'.join(partners))\n\
         sys.exit('unknown option: ' + ' '.join(sys.argv[1:]))\n",
        seen = seen.path().display().to_string()
    );
    let node = script(&text);
    let node = format!("{python} {}", node.path().display());
    let url = database.url().replacen("postgres@", "postgres:hunter2@", 1);
    assert!(url.contains("hunter2"), "{url}");
    let arguments =
        ["check", "--json", "--no-node", "--command", &node, "--cluster", "RCR", "--scenario", "emit to all"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_socketio-pg"));
    let output = command.args(arguments).env("DATABASE_URL", url).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("unknown option: --database-url=$DATABASE_URL"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
    let partners = std::fs::read_to_string(seen.path()).unwrap();
    assert!(partners.contains("check-partner") && !partners.contains("hunter2"), "{partners}");
}

#[test]
fn what_cannot_be_played_is_no_mistake_of_the_node() {
    let Some(database) = database() else { return };
    let url = database.url();
    let of = ["check", "-d", &url, "--no-node", "--command", "no-such-node", "--scenario", "emit to all"];
    for (arguments, expected) in [
        (["--cluster", "NCN"].as_slice(), r#"the cluster "NCN" has a Node.js server: install Node.js"#),
        (&["--cluster", "CRC", "--level", "hears"], "nothing to play: no scenario of the level hears"),
        (&["--cluster", "ABC"], "a cluster is three letters"),
    ] {
        let output = socketio_pg(&[&of[..], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(expected), "{text}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{text}");
    }
}

/// The signal comes from the node, which is started when the tables are there.
#[cfg(unix)]
#[test]
fn a_check_that_is_interrupted_drops_its_tables() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let url = database.url();
    for signal in ["SIGINT", "SIGTERM"] {
        let text = format!("import os, signal, time\nos.kill(os.getppid(), signal.{signal})\ntime.sleep(3600)\n");
        let node = script(&text);
        let node = format!("{python} {}", node.path().display());
        let of = ["check", "--no-node", "-d", &url, "--command", &node, "--cluster", "RCR"];
        let output = socketio_pg(&[&of[..], &["--scenario", "emit to all", "--patience", "600"]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("stopped before the end"), "{told}");
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert_eq!(tables(&database), "0");
    }
}

/// Runs as the specification shows it.
#[test]
fn the_node_of_the_specification_speaks() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> =
        page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    let lines = blocks[0].lines().filter(|line| !line.trim().is_empty());
    assert_eq!(lines.count(), 40, "as its heading says");
    let program = blocks.join("\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.py");
    std::fs::write(&file, program).unwrap();
    let node = format!("{python} {}", file.display());
    let wanted = ["--cluster", "RCR", "--cluster", "CRC", "--level", "speaks", "--patience", "40"];
    let (report, _) =
        check(&database, &node, &[&wanted[..], &["--scenario", "emit to", "--scenario", "by socket id"]].concat());
    assert_eq!(report["mistakes"], json!([]), "{report:#}");
    assert_eq!(report["level"], "speaks", "{report:#}");
}

fn wire_only(lines: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    socketio_pg(&["check", "--json", "--wire-only", file.path().to_str().unwrap()])
}

#[test]
fn recordings_of_node_js_are_right() {
    for recording in RECORDINGS.iter().filter(|it| it.name != "refused.jsonl") {
        // A recording of a Node.js cluster has a message of an application between its processes.
        let is_message = |line: &&str| !line.contains("any user IPC message");
        let lines: Vec<&str> = recording.text.lines().filter(is_message).collect();
        let output = wire_only(&lines.join("\n"));
        assert!(output.status.success(), "{}: {output:?}", recording.name);
    }
}

#[test]
fn every_refused_message_is_told() {
    let refused = RECORDINGS.iter().find(|it| it.name == "refused.jsonl").unwrap().text;
    for line in refused.lines() {
        let refused: Value = serde_json::from_str(line).unwrap();
        let payload = refused["message"].to_string();
        let output = wire_only(&json!({ "channel": "socket.io#/", "payload": payload }).to_string());
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(!output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn a_brief_answer_is_right_only_where_one_was_asked_for() {
    let opts = json!({ "rooms": [], "except": [], "flags": {} });
    for (request, answer, problem) in [
        (json!({ "only": "count" }), json!({ "count": 3 }), None),
        (json!({ "only": "ids" }), json!({ "ids": ["a"] }), None),
        (json!({ "only": "count" }), json!({}), None),
        (json!({ "only": "rooms" }), json!({}), Some("`only` is neither")),
        (json!({}), json!({ "count": 3 }), Some("`sockets` alone")),
        (json!({}), json!({ "ids": ["a"] }), Some("`sockets` alone")),
        (json!({ "only": "ids" }), json!({ "count": 3 }), Some("`count` does not answer a 7")),
        (json!({ "only": "count" }), json!({ "count": 3, "ids": ["a"] }), Some("`ids` does not answer")),
        (json!({ "only": "count" }), json!({ "count": 0.5 }), Some("`count` is not")),
        (json!({ "only": "count" }), json!({ "count": 1_u64 << 53 }), Some("`count` is not")),
        (json!({ "only": "ids" }), json!({ "ids": ["a".repeat(257)] }), Some("`ids` is not")),
    ] {
        let line = |kind: u64, uid: &str, mut data: Value, with: &Value| {
            data["requestId"] = json!("r");
            data.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
            let message = json!({ "type": kind, "data": data, "uid": uid, "nsp": "/" });
            json!({ "channel": "socket.io#/", "payload": message.to_string() }).to_string()
        };
        let asked = line(7, "00000000000000aa", json!({ "opts": opts }), &request);
        let answered = line(8, "00000000000000bb", json!({ "sockets": [] }), &answer);
        let output = wire_only(&format!("{asked}\n{answered}"));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(i32::from(problem.is_some())), "{request} {answer}: {text}");
        assert!(problem.is_none_or(|problem| text.contains(problem)), "{request} {answer}: {text}");
    }
}

#[test]
fn what_is_not_a_transcript_is_said() {
    let output = wire_only("{\"channel\":1}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("line 1 is not a notification") && text.contains("attachment_hex"), "{text}");
}
