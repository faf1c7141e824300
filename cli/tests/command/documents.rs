//! `schema`, `sql`, `completions`, `man`: without a database.

use std::{fs, path::Path};

use crate::program::run;

#[tokio::test]
async fn schemas_are_those_of_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    run("", &["schema", "--output", &folder.path().display().to_string()]).await.with(0);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/schema");
    for name in ["common.json", "asyncapi.json", "reader-broadcast.json"] {
        let expected = fs::read_to_string(committed.join(name)).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), expected, "{name}");
        assert_eq!(run("", &["schema", name]).await.with(0).stdout, expected, "{name}");
    }
    assert!(run("", &["schema"]).await.with(0).stdout.lines().any(|line| line == "writer.json"));
    let ended = run("", &["schema", "nothing.json"]).await.with(1);
    assert!(ended.stderr.contains("writer.json"), "{}", ended.stderr);
}

#[tokio::test]
async fn sql_can_be_run_as_it_is_written() {
    let Some(database) = socketio_pg_tests::database() else { return };
    for what in ["table", "log", "outbox"] {
        let sql = run("", &["sql", what, "--table", "chat", "--log=chat_log", "--outbox=chat_outbox"]).await.with(0);
        database.execute(&sql.stdout).unwrap();
    }
    let sql = run("", &["sql", "functions", "--table", "chat", "--schema", "emitting"]).await.with(0);
    database.execute(&sql.stdout).unwrap();
    let tables =
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'chat%'";
    assert_eq!(database.execute(tables).unwrap().as_deref(), Some("chat chat_log chat_outbox"));
    database.execute("SELECT emitting.emit('order', '{}')").unwrap();
    let sql = run("", &["sql", "remove-functions", "--schema", "emitting"]).await.with(0);
    database.execute(&sql.stdout).unwrap();
    assert!(database.execute("SELECT emitting.emit('order', '{}')").is_err());
    // One statement: a client may commit each by itself.
    let sql = run("", &["sql", "functions"]).await.with(0).stdout;
    let tag = sql.lines().find_map(|line| line.strip_prefix("DO ")).unwrap();
    assert!(sql.trim_end().ends_with(&format!("END {tag};")) && sql.matches(tag).count() == 2, "{sql}");
    let help = run("", &["sql", "--help"]).await.with(0).stdout;
    assert!(help.contains("psql -v ON_ERROR_STOP=1"), "{help}");
    let ended = run("", &["sql", "table", "--table", "a.b.c.d"]).await.with(2);
    assert!(ended.stderr.contains("error:"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_manual_has_every_command() {
    let man = run("", &["man"]).await.with(0).stdout;
    let help = run("", &["--help"]).await.with(0).stdout;
    for command in ["nodes", "sockets", "watch", "emit", "doctor", "server-side-emit"] {
        assert!(help.contains(command), "{command}");
        assert!(man.replace("\\-", "-").contains(&format!("socketio-pg {command}")), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(run("", &["completions", shell]).await.with(0).stdout.contains("server-side-emit"), "{shell}");
    }
}

#[tokio::test]
async fn a_reader_may_stop_early() {
    let program = env!("CARGO_BIN_EXE_socketio-pg");
    let script = format!("{program} schema writer.json | head -c 1 >/dev/null; {program} man 2>&1 | head -c 1");
    let ended = tokio::process::Command::new("sh").args(["-c", &script]).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
