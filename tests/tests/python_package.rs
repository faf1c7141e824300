//! The Python package in `python/`: its own tests, its types, its style, and its wheel in a clean
//! environment.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use socketio_pg_tests::{Kind, database, python_server};

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("python")
}

/// The interpreter of the environment with the package's tools; `None` when it cannot be made, which
/// is then reported.
fn interpreter() -> Option<PathBuf> {
    match python_server(env!("CARGO_TARGET_TMPDIR"))? {
        Kind::PythonServer { interpreter } => Some(interpreter),
        other => panic!("not a server in Python: {other:?}"),
    }
}

/// A folder of this suite, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A module of that environment, which leaves nothing in the repository.
fn module(interpreter: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(interpreter);
    command.arg("-m").args(arguments).current_dir(package()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs it, and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

#[test]
fn its_own_tests_pass() {
    let Some(python) = interpreter() else { return };
    let Some(database) = database() else { return };
    let mut pytest = module(&python, &["pytest", "-q", "-p", "no:cacheprovider"]);
    pytest.env("DATABASE_URL", database.url());
    pytest.env("HYPOTHESIS_STORAGE_DIRECTORY", folder("hypothesis"));
    let text = run(&mut pytest);
    println!("{text}");
    let summary = text.lines().rfind(|line| line.contains(" passed")).unwrap_or_default();
    assert!(!summary.is_empty() && !summary.contains("skipped"), "nothing is skipped with a database: {text}");
}

#[test]
fn its_types_are_complete() {
    let Some(python) = interpreter() else { return };
    let cache = folder("mypy");
    let text = run(module(&python, &["mypy", "--cache-dir"]).arg(cache));
    assert!(text.contains("no issues found"), "{text}");
}

#[test]
fn its_style_is_checked() {
    let Some(python) = interpreter() else { return };
    run(&mut module(&python, &["ruff", "check", "--no-cache", "."]));
    run(&mut module(&python, &["ruff", "format", "--no-cache", "--check", "."]));
}

#[test]
fn its_wheel_works_in_a_clean_environment() {
    let Some(python) = interpreter() else { return };
    let Some(database) = database() else { return };
    let folder = folder("wheel");
    let pip = ["pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "."];
    run(module(&python, &pip).arg("--wheel-dir").arg(&folder));
    let wheels: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [wheel] = &wheels[..] else { panic!("one wheel: {wheels:?}") };

    let environment = folder.join("environment");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let clean = environment.join("bin").join("python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint"];
    let wanted = format!("{}[binary]", wheel.display());
    run(Command::new(&clean).args(pip).arg(package().join("requirements.txt")).arg(wanted));
    let text = run(Command::new(&clean).current_dir(&folder).arg("-I").arg("-c").arg(USES_IT).arg(database.url()));
    assert_eq!(text.trim(), "heard", "{text}");
}

/// Uses what is installed, and nothing of the repository.
const USES_IT: &str = r#"
import asyncio, importlib.resources, sys

import psycopg
import socketio
from socketio_postgres import Emitter, PostgresManager

assert importlib.resources.files("socketio_postgres").joinpath("py.typed").is_file()

async def main():
    manager = PostgresManager(sys.argv[1])
    socketio.AsyncServer(client_manager=manager, async_mode="asgi")
    async with manager:
        heard = asyncio.Event()
        manager.of("/").on("news")(heard.set)
        with psycopg.connect(sys.argv[1]) as connection:
            Emitter(connection).server_side_emit("news")
        await asyncio.wait_for(heard.wait(), 30)
        print("heard")

asyncio.run(main())
"#;
