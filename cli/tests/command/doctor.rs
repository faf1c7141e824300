//! `doctor`, in every state that it knows. The modules are those of `src/doctor`; the states of a check
//! are told apart by its levels, and by its words where a level has several.

mod cluster;
mod server;
mod tables;

use serde_json::Value;
use socketio_pg_core::Options;
use socketio_pg_tests::database;
use socketio_pg_throwaway::{Builder, Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;

use crate::{program::run, servers::RustServer};

/// What it found of one kind.
struct Findings(Vec<Value>);

impl Findings {
    async fn of(url: &str, arguments: &[&str], code: i32) -> Self {
        let arguments: Vec<_> = ["doctor", "--json"].into_iter().chain(arguments.iter().copied()).collect();
        Self(run(url, &arguments).await.with(code).json())
    }

    /// Fails unless it has this finding, with these words in its text or its remedy.
    #[track_caller]
    fn have(&self, check: &str, level: &str, words: &[&str]) {
        let fits = |finding: &&Value| {
            let text =
                format!("{} {}", finding["says"].as_str().unwrap(), finding["remedy"].as_str().unwrap_or_default());
            finding["check"] == check && finding["level"] == level && words.iter().all(|word| text.contains(word))
        };
        assert!(self.0.iter().any(|finding| fits(&finding)), "no {level} of {check} with {words:?} in {:#?}", self.0);
    }

    /// Fails when something is wrong.
    #[track_caller]
    fn are_all_ok(&self) {
        assert!(self.0.iter().all(|finding| finding["level"] == "ok"), "{:#?}", self.0);
    }
}

async fn start(url: &str, options: Options) -> RustServer<TokioPostgresBackend> {
    RustServer::start(url, options).await
}

/// A role with a password, and the URL with it.
fn role(database: &Database, name: &str, attributes: &str) -> String {
    database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'secret' {attributes}")).unwrap();
    database.url().replace("postgres@", &format!("{name}:secret@"))
}

fn server_of_its_own(settings: impl FnOnce(Builder) -> Builder) -> Option<Server> {
    match settings(Server::builder()).start() {
        Ok(server) => Some(server),
        Err(error) => {
            // It is reported in the same way as for all tests.
            let _ = database();
            assert!(std::env::var_os("CI").is_none(), "{error}");
            None
        }
    }
}
