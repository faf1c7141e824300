//! The packages of the Node.js test nodes: `npm ci`, once.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::Error;

/// A command that runs a script of `tests/node`, after its packages are installed.
pub(crate) async fn node_command(script: &str) -> Result<Command, Error> {
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let failed =
        |reason: &str| Error::Install { directory: directory.display().to_string(), reason: reason.to_owned() };

    let installing = directory.clone();
    let installed = tokio::task::spawn_blocking(move || {
        DIRECTORY.get_or_init(|| install(&installing).map(|()| installing.clone()).map_err(|error| error.to_string()))
    });
    match installed.await {
        Ok(Ok(directory)) => {
            let mut command = Command::new("node");
            command.arg(directory.join(script));
            Ok(command)
        }
        Ok(Err(reason)) => Err(failed(reason)),
        Err(panic) => Err(failed(&panic.to_string())),
    }
}

/// Installs the packages of a directory as its `package-lock.json` says, unless that was done since
/// the lock file was last written. Blocks. When several processes call it at the same time, one
/// installs and the others wait.
///
/// # Errors
/// When npm is missing, or `npm ci` fails: its own text.
pub fn install(directory: &Path) -> std::io::Result<()> {
    let lock_file = File::open(directory.join("package-lock.json"))?;
    // Test binaries run at the same time, and each calls this.
    lock_file.lock()?;
    let installed = directory.join("node_modules").join(".package-lock.json");
    let is_current = || Ok::<_, std::io::Error>(installed.metadata()?.modified()? >= lock_file.metadata()?.modified()?);
    if is_current().unwrap_or(false) {
        return Ok(());
    }

    let output = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"])
        .current_dir(directory)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
