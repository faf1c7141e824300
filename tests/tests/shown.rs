//! README's server, the servers of the examples and the test node are set up in the same way, so
//! that the tests cover what users copy.

use std::path::Path;

/// The files that build a server, from the folder of the workspace.
const SERVERS: [&str; 5] = [
    "README.md",
    "examples/src/bin/graceful.rs",
    "adapter-tokio-postgres/examples/server.rs",
    "adapter-diesel/examples/server.rs",
    "kit/src/partner/server.rs",
];

/// Other lines that each must have, word for word.
const STEPS: [&str; 4] = [
    "cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));",
    "on_connect.with(record_handshake)",
    "set_nodelay(true)",
    "into_make_service_with_connect_info::<SocketAddr>()",
];

/// The code of a server, without comments.
fn code(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = match text.split_once("```rust,no_run") {
        Some((_, block)) => block.split("```").next().unwrap_or_default().to_owned(),
        None => text,
    };
    text.lines().map(|line| line.split(" // ").next().unwrap_or_default().trim()).collect::<Vec<_>>().join("\n")
}

/// The settings on the builder of a server, in order: without the adapter's type, and without the
/// parser, which a command line chooses.
fn settings(code: &str) -> Vec<String> {
    let (_, chain) = code.split_once("SocketIo::builder()").expect("a server is built");
    let chain: String = chain.chars().take_while(|char| *char != ';').filter(|char| !char.is_whitespace()).collect();
    let calls = chain.trim_end_matches(')').split(").").map(|call| call.trim_start_matches('.').to_owned() + ")");
    calls.take_while(|call| !call.starts_with("with_adapter")).collect()
}

#[test]
fn the_servers_that_we_show_and_the_one_that_we_test_have_the_same_settings() {
    let [shown, others @ ..] = SERVERS.map(|path| (path, settings(&code(path))));
    assert_eq!(shown.1, ["max_buffer_size(10_000)", "max_payload(1_000_000)"]);
    for (path, settings) in others {
        assert_eq!(settings, shown.1, "{path}");
    }
}

#[test]
fn the_servers_that_we_show_and_the_one_that_we_test_tell_handshakes_and_do_not_delay() {
    for path in SERVERS {
        let code = code(path);
        for step in STEPS {
            assert!(code.contains(step), "{path} lacks {step}");
        }
    }
}
