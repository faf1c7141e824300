//! The Node.js node: a process that runs `demo/node-server.mjs`.

use std::path::{Path, PathBuf};

use socketio_pg_tests::{NODE, install};

use crate::{
    child::{Child, StartError},
    page::Kind,
};

/// The option of the demo that leaves it out.
const OPTION: &str = "--no-node";

/// Starts a node and waits until it serves. Installs its packages on first use.
pub(crate) async fn start(name: &str, database_url: &str) -> Result<Child, StartError> {
    if !(NODE.is_there)() {
        return Err(StartError::NoProgram { program: NODE.name, remedy: NODE.remedy });
    }
    let packages = packages();
    if !packages.join("node_modules").is_dir() {
        eprintln!("  (installing the packages of the {name}: once, a few seconds)");
    }
    install(&packages).map_err(|cause| StartError::Packages { name: name.to_owned(), cause, option: OPTION })?;
    Child::start(Path::new("node"), "node-server.mjs", (name, Kind::Node, OPTION), database_url).await
}

/// Where the npm packages are: those of the test nodes.
pub(crate) fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/node")
}
