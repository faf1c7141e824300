//! README's server, built for each backend, and running.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use socketio_pg_tests::time_limit;
use tokio::time::sleep;

/// The backend crates, as README's lines name them.
pub(crate) const BACKENDS: [&str; 2] = ["tokio-postgres", "diesel"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// README's first block of this kind.
fn block(kind: &str) -> String {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("```{kind}\n")).unwrap_or_else(|| panic!("README has no {kind}"));
    rest.split("```").next().unwrap().to_owned()
}

/// The programs, built once: one for each backend.
pub(crate) fn programs() -> &'static [PathBuf; 2] {
    static PROGRAMS: OnceLock<[PathBuf; 2]> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folder = workspace().join("target/newcomer");
        for backend in BACKENDS {
            let project = folder.join(backend);
            fs::create_dir_all(project.join("src")).unwrap();
            let of_backend = |text: String| {
                text.replace("socketio-pg-tokio-postgres", &format!("socketio-pg-{backend}"))
                    .replace("socketio_pg_tokio_postgres", &format!("socketio_pg_{}", backend.replace('-', "_")))
            };
            let manifest = format!(
                "[package]\nname = \"newcomer-{backend}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{}",
                of_backend(block("toml"))
            );
            write(&project.join("Cargo.toml"), &manifest);
            let code = of_backend(block("rust,no_run"));
            write(&project.join("src/main.rs"), &code);
        }
        let crates = ["protocol", "core", "connection", "tokio-postgres", "diesel"].map(|name| {
            let folder = match name {
                "core" | "tokio-postgres" | "diesel" => format!("adapter-{name}"),
                _ => name.to_owned(),
            };
            format!("socketio-pg-{name} = {{ path = {:?} }}\n", workspace().join(folder))
        });
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = {BACKENDS:?}\n\n[profile.dev]\ndebug = false\n\n[patch.crates-io]\n{}",
            crates.concat()
        );
        write(&folder.join("Cargo.toml"), &manifest);
        // The versions that all other tests use.
        fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let target = folder.join("target");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--workspace", "--quiet"])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .unwrap();
        assert!(built.status.success(), "README's lines do not compile:\n{}", String::from_utf8_lossy(&built.stderr));
        BACKENDS.map(|backend| target.join("debug").join(format!("newcomer-{backend}")))
    })
}

/// Does not write a file that is the same already, so that cargo does not build again.
fn write(file: &Path, text: &str) {
    if fs::read_to_string(file).ok().as_deref() != Some(text) {
        fs::write(file, text).unwrap();
    }
}

/// A running server from README.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
}

impl Running {
    pub(crate) async fn start(program: &Path, environment: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .arg(format!("127.0.0.1:{port}"))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Self { child, port };
        let deadline = Instant::now() + time_limit();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            assert!(running.child.try_wait().unwrap().is_none(), "it has ended");
            sleep(Duration::from_millis(20)).await;
        }
        running
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended, and returns how long that took and its log.
    pub(crate) async fn ended(&mut self) -> (Duration, String) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(begun.elapsed() < time_limit(), "it does not end"),
            }
            sleep(Duration::from_millis(10)).await;
        };
        let took = begun.elapsed();
        let mut logged = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
        assert!(status.success(), "{status}: {logged}");
        (took, logged)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
