//! The page: its files, built into the program, and the list of servers that it reads.

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    routing::get,
};
use serde::Serialize;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

macro_rules! file {
    ($path:literal, $kind:expr, $file:literal) => {
        ($path, $kind, include_str!(concat!("../page/", $file)))
    };
}

/// Path, content type, content.
const FILES: [(&str, &str, &str); 8] = [
    file!("/", HTML, "index.html"),
    file!("/style.css", CSS, "style.css"),
    file!("/app.js", JAVASCRIPT, "app.js"),
    file!("/pane.js", JAVASCRIPT, "pane.js"),
    file!("/board.js", JAVASCRIPT, "board.js"),
    file!("/log.js", JAVASCRIPT, "log.js"),
    file!("/wires.js", JAVASCRIPT, "wires.js"),
    file!("/socket.io.min.js", JAVASCRIPT, "vendor/socket.io.min.js"),
];

/// A server of the cluster, as the page's `/servers.json` lists it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServerInfo {
    /// Its name in this demo: sockets carry it as the name of their node.
    pub(crate) name: String,
    /// The language.
    pub(crate) kind: Kind,
    /// The software, for display.
    pub(crate) software: String,
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
}

/// The language of a server.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Rust, with socketioxide.
    Rust,
    /// Node.js, with socket.io.
    Node,
    /// Python, with python-socketio.
    Python,
}

/// Serves the page for these servers, with a link to the Admin UI or without.
pub(crate) fn router(servers: &[ServerInfo], has_admin_page: bool) -> Router {
    let list = serde_json::json!({ "servers": servers, "adminUi": has_admin_page }).to_string();
    let list = Router::new().route("/servers.json", get(async || ([(CONTENT_TYPE, JSON)], list)));
    FILES.into_iter().fold(list, |router, (path, kind, content)| {
        router.route(path, get(async move || ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], content)))
    })
}
