//! The Python node: a process that runs `demo/python-server.py`, on the Python package of this
//! repository.

use std::{
    io,
    path::{Path, PathBuf},
};

use socketio_pg_tests::{PYTHON, python_environment};

use crate::{
    child::{Child, StartError},
    page::Kind,
};

/// The option of the demo that leaves it out.
const OPTION: &str = "--no-python";

/// Starts a node and waits until it serves. Installs its packages on first use.
pub(crate) async fn start(name: &str, database_url: &str) -> Result<Child, StartError> {
    let interpreter = tokio::task::spawn_blocking({
        let name = name.to_owned();
        move || interpreter(&name)
    });
    let interpreter = interpreter.await.map_err(|panic| not_installed(name, io::Error::other(panic)))??;
    Child::start(&interpreter, "python-server.py", (name, Kind::Python, OPTION), database_url).await
}

/// Python with the packages that the Python package is tested with, in an environment beside the
/// program. The tests have the same one.
fn interpreter(name: &str) -> Result<PathBuf, StartError> {
    if !(PYTHON.is_there)() {
        return Err(StartError::NoProgram { program: PYTHON.name, remedy: PYTHON.remedy });
    }
    let failed = |cause| not_installed(name, cause);
    let program = std::env::current_exe().map_err(failed)?;
    let target = program.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let folder = target.join("tmp").join("package-python");
    if !folder.is_dir() {
        eprintln!("  (installing the packages of the {name}: once, half a minute)");
    }
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/requirements.txt");
    python_environment(&folder, &requirements).map_err(failed)
}

fn not_installed(name: &str, cause: io::Error) -> StartError {
    StartError::Packages { name: name.to_owned(), cause, option: OPTION }
}
