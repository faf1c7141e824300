//! `check` on a right node and on wrong ones.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod mutants;
mod wire_only;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use serde_json::{Value, json};
use socketio_pg_tests::{Kind, database, python_node};
use socketio_pg_throwaway::Database;

use self::mutants::{MUTANTS, Mutant};

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

fn wrong_node(python: &str, name: &str) -> String {
    format!("{python} {} {name}", folder().join("mutant.py").display())
}

#[test]
fn each_wrong_node_is_told_its_mistake() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let rest = Mutex::new(MUTANTS.to_vec());
    std::thread::scope(|scope| {
        let work = || {
            while let Some(mutant) = { rest.lock().unwrap().pop() } {
                let Mutant { name, cluster, scenario, rule, problem } = mutant;
                let node = wrong_node(&python, name);
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
    let new = ["requests of", "two requests", "strangers", "listening session", "prefix, table"];
    for word in ["emit to", "large and binary", "fetchSockets by", "no client", "Unicode", "serverSideEmit: a"] {
        wanted.extend(["--scenario", word]);
    }
    wanted.extend(new.into_iter().flat_map(|word| ["--scenario", word]));
    let (report, output) = check(&database, &node, &wanted);
    assert_eq!(report["mistakes"], json!([]), "{report:#}");
    assert_eq!(report["level"], "complete", "{report:#}");
    assert!(output.status.success());
    assert_eq!(tables(&database), "0", "the kit drops its tables");
}

const ONE: [&str; 6] = ["--cluster", "RCR", "--scenario", "emit to all", "--patience", "20"];

/// What the report tells of the op `close`.
fn told_of_close(report: &Value) -> String {
    let mistakes = report["mistakes"].as_array().unwrap();
    let of_close = mistakes.iter().find(|mistake| mistake["place"] == "docs/kit.md#mandatory");
    of_close.unwrap_or_else(|| panic!("{report:#}"))["problem"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_that_does_not_end_is_told_and_ends_with_the_check() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    for (name, problem) in [
        ("never_exits", "no end of the process"),
        ("exits_with_7", "exit status: 7"),
        ("ignores_close", "no answer to \"close\""),
    ] {
        let (report, output) = check(&database, &wrong_node(&python, name), &ONE);
        let told = told_of_close(&report);
        assert!(told.contains(problem), "{name}: {told}");
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert_eq!(tables(&database), "0", "{name}");
    }
}

/// A program that starts the node, as npm does, is killed with it.
#[cfg(unix)]
#[test]
fn the_node_may_be_a_child_of_the_command() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let pids = tempfile::NamedTempFile::new().unwrap();
    let node = script(&format!(
        "import os, subprocess, sys\n\
         node = subprocess.Popen([sys.executable, {node:?}, *sys.argv[1:]])\n\
         open({pids:?}, 'a').write(f'{{node.pid}}\\n')\n\
         sys.exit(node.wait())\n",
        node = folder().join("node.py").display().to_string(),
        pids = pids.path().display().to_string(),
    ));
    let node = format!("{python} {}", node.path().display());
    let wanted = ["--cluster", "RCR", "--scenario", "serverCount: servers die", "--patience", "15"];
    let (report, _) = check(&database, &node, &wanted);
    assert_eq!(report["mistakes"], json!([]), "{report:#}");
    for pid in std::fs::read_to_string(pids.path()).unwrap().lines() {
        let runs = Command::new("kill").args(["-0", pid]).stderr(std::process::Stdio::null()).status().unwrap();
        assert!(!runs.success(), "{pid} still runs");
    }
}

#[test]
fn a_part_of_the_scenarios_has_a_level_and_is_right() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let node = format!("{python} {}", folder().join("node.py").display());
    let (report, output) = check(&database, &node, &["--cluster", "CRC", "--scenario", "emit to all"]);
    assert_eq!((&report["level"], &report["mistakes"]), (&json!("speaks"), &json!([])), "{report:#}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_node_that_only_hears_reaches_that_level() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let wanted = ["--cluster", "RCR", "--scenario", "emit to all", "--level", "hears"];
    let (report, output) = check(&database, &wrong_node(&python, "only_hears"), &wanted);
    assert_eq!((&report["level"], &report["mistakes"]), (&json!("hears"), &json!([])), "{report:#}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn outcomes_come_after_what_they_follow_from() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let (report, _) = check(&database, &wrong_node(&python, "heartbeat_type_is_text"), &ONE);
    let outcomes = report["mistakes"].as_array().unwrap().iter().map(|mistake| mistake["outcome"] == true);
    let outcomes = outcomes.collect::<Vec<_>>();
    assert!(outcomes.is_sorted() && !outcomes[0], "{report:#}");
}

#[test]
fn a_node_that_is_not_ready_shows_what_it_printed() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    for (ends, rest) in [(true, ""), (false, "import time\ntime.sleep(3600)\n")] {
        let node = script(&format!("print('{{\"ready\":\"yes\"}}', flush=True)\n{rest}"));
        let node = format!("{python} {}", node.path().display());
        let (report, _) = check(&database, &node, &ONE);
        let problem = report["mistakes"][0]["problem"].as_str().unwrap();
        assert!(problem.contains(r#"{"ready":"yes"}"#), "{ends}: {problem}");
    }
}

#[test]
fn an_op_that_fails_is_named() {
    let (Some(python), Some(database)) = (python(), database()) else { return };
    let (report, _) = check(
        &database,
        &wrong_node(&python, "cannot_reply"),
        &["--cluster", "RCR", "--scenario", "acknowledgements: small", "--patience", "10"],
    );
    let problem = report["mistakes"][0]["problem"].as_str().unwrap();
    assert!(problem.contains(r#"the op "reply" failed: "#), "{problem}");
}

#[test]
fn a_role_that_cannot_create_tables_is_told_what_it_needs() {
    let Some(database) = database() else { return };
    database
        .execute("CREATE ROLE without_tables LOGIN PASSWORD 'secret'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        .unwrap();
    let url = database.url().replacen("postgres@", "without_tables:secret@", 1);
    let output = socketio_pg(&["check", "-d", &url, "--no-node", "--command", "no-such-node", "--cluster", "RCR"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("permission denied for schema public") && text.contains("GRANT CREATE"), "{text}");
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
        check(&database, &node, &["--cluster", "RCR", "--scenario", "emit to all", "--patience", "15"]);
    let problem = report["mistakes"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("no line that says it is ready within 15 s"), "{problem}");
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
        (&["--cluster", "RRR"], r#"the cluster "RRR" does not have your node"#),
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
