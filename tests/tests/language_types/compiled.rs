//! The types for Go, C# and Java: current everywhere; compiled and tried where there is a compiler.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use socketio_pg_protocol::Message;
use socketio_pg_tests::{JAVA, PYTHON, require};

use crate::{folder, run, samples, types};

#[test]
fn generated_files_are_current() {
    if require(&PYTHON) {
        run(Command::new("python3").args(["-B", "generate.py", "--check"]).current_dir(types()));
    }
}

#[test]
fn java_reads_what_the_crate_reads_and_writes_the_same() {
    if !require(&JAVA) {
        return;
    }
    let classes = folder("java");
    let sources = ["java/socketio/pg/messages", "java/test"].map(|folder| files(&types().join(folder), "java"));
    let javac = ["-Xlint:all", "-Werror", "--release", "17", "-d"];
    let shown = folder("java-shown").join("Shown.java");
    let around = "import java.util.*;\nimport socketio.pg.messages.Message;\ninterface Shown {\n\
                  interface Decoder { Object decode(String payload); }\n\
                  void deliver(List<Object> rooms, Object data);\nvoid publish(Map<String, Object> message);\n\
                  default void shown(Decoder decoder, String payload, String uid) {\n@\n}\n}\n";
    fs::write(&shown, around.replace('@', &shown_in("java"))).unwrap();
    run(Command::new("javac").args(javac).arg(&classes).arg(shown).args(sources.concat()));
    let cases = cases("java-cases");
    assert_report(&run(Command::new("java").arg("-cp").arg(classes).arg("Cases").arg(cases)));
}

#[test]
fn go_reads_what_the_crate_reads_and_writes_the_same() {
    if !is_there("go", "version", "golang-go") {
        return;
    }
    let go = types().join("go");
    assert_eq!(run(Command::new("gofmt").arg("-l").arg(&go)), "", "files that gofmt would change");
    let shown = folder("go-shown");
    let around = "package shown\nimport \"socketio-pg/messages\"\n\
                  func shown(payload []byte, uid string, deliver func([]any, any), publish func([]byte, error) error) error {\n@\nreturn nil\n}\n";
    fs::write(shown.join("shown.go"), around.replace('@', &shown_in("go"))).unwrap();
    let module = format!(
        "module shown\ngo 1.19\nrequire socketio-pg/messages v0.0.0\nreplace socketio-pg/messages => {}\n",
        go.display()
    );
    fs::write(shown.join("go.mod"), module).unwrap();
    run(Command::new("go").args(["build", "./..."]).current_dir(shown));
    run(Command::new("go").args(["vet", "./..."]).current_dir(&go));
    let mut test = Command::new("go");
    assert_report(&run(test.args(["test", "-v", "-count=1", "./..."]).env("CASES", cases("go")).current_dir(&go)));
}

#[test]
fn csharp_reads_what_the_crate_reads_and_writes_the_same() {
    if !is_there("mcs", "--version", "mono-mcs mono-runtime") {
        return;
    }
    let program = folder("csharp").join("cases.exe");
    let sources = ["csharp", "csharp/test"].map(|folder| files(&types().join(folder), "cs"));
    let shown = folder("csharp-shown").join("Shown.cs");
    let around = "using System.Collections.Generic;\nusing SocketIO.Postgres;\npublic interface IDecoder { object Decode(string payload); }\n\
                  public abstract class Shown {\nprotected abstract void Deliver(List<object> rooms, object data);\n\
                  protected abstract void Publish(Dictionary<string, object> message);\n\
                  public void Run(IDecoder decoder, string payload, string uid) {\n@\n}\n}\n";
    fs::write(&shown, around.replace('@', &shown_in("csharp"))).unwrap();
    let mut mcs = Command::new("mcs");
    run(mcs.arg("-warnaserror").arg(format!("-out:{}", program.display())).arg(shown).args(sources.concat()));
    assert_report(&run(Command::new("mono").arg(program).arg(cases("csharp-cases"))));
}

/// What the page of all languages shows of one.
fn shown_in(language: &str) -> String {
    let page = fs::read_to_string(types().join("README.md")).unwrap();
    let (_, block) = page.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("\n```").unwrap().0.to_owned()
}

/// Large compilers are not worth their time in CI: what is committed was compiled when it last changed, and
/// [`generated_files_are_current`] sees any change.
fn is_there(program: &str, argument: &str, packages: &str) -> bool {
    let found = Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
    if !found {
        let remedy = format!("Debian: apt-get install {packages}");
        // Not by the harness, which hides what passing tests print.
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "SKIPPED a test of types in another language: no {program}: install it ({remedy})").unwrap();
    }
    found
}

/// A message on each line: whether it is read, and whether it is written again as it was.
fn cases(name: &str) -> PathBuf {
    let lines = samples::all().filter_map(|sample| {
        let text = sample.json.or(sample.payload)?;
        // Of a header no message is read.
        let is_read = Message::from_json(&text).is_ok();
        let value: Value = serde_json::from_str(&text).ok()?;
        let is_written =
            is_read && sample.same && value.get("nsp").is_some() && (1..=13).any(|kind| value["type"] == kind);
        Some(json!({ "json": text, "read": is_read, "written": is_written }).to_string())
    });
    let file = folder(name).join("cases.jsonl");
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    file
}

fn assert_report(output: &str) {
    let report = output.lines().find_map(|line| line.find("{\"read\"").map(|at| &line[at..]));
    let report: Value = serde_json::from_str(report.unwrap_or_else(|| panic!("no report: {output}"))).unwrap();
    let least = |key: &str, least: u64| assert!(report[key].as_u64() > Some(least), "{report}");
    least("read", 1500);
    least("written", 600);
    least("refused", 500);
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}
