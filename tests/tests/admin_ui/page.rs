//! The official page in a real browser.
//!
//! The test that runs in the browser is `demo/browser/admin-ui.test.mjs`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use socketio_pg_tests::{NODE, Tool, install, require};

use crate::{
    Result,
    cluster::{Cluster, rust},
    login::HASH,
};

const CHROMIUM: Tool = Tool {
    name: "Chromium",
    is_there: || Command::new("node").arg(folder().join("find.mjs")).output().is_ok_and(|found| found.status.success()),
    remedy: "install it (Debian: apt-get install chromium), or set CHROMIUM to the path of a Chromium or Chrome",
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("demo").join("browser")
}

/// `ADMIN_UI_PICTURE=docs/admin-ui.png` also makes a picture of the page.
#[tokio::test]
async fn the_page_shows_what_is_true_and_its_buttons_do_what_they_say() -> Result {
    if !require(&NODE) || !require(&CHROMIUM) {
        return Ok(());
    }
    install(&folder()).unwrap();
    let options = json!({ "auth": { "type": "basic", "username": "admin", "password": HASH } });
    let Some(mut cluster) = Cluster::start(options, |options| options).await? else { return Ok(()) };
    let server = |server: &crate::cluster::Server| json!({ "name": server.name, "port": server.node.port() });
    let servers: Vec<_> = cluster.servers.iter().map(server).collect();
    cluster.add("plain", &rust("tokio-postgres"), None).await?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let picture = std::env::var_os("ADMIN_UI_PICTURE").map(|file| repository.join(file));
    let what = json!({
        "servers": servers,
        "plain": server(cluster.server("plain")),
        "username": "admin",
        "password": "right",
        "picture": picture,
    });
    let mut test = tokio::process::Command::new("node");
    let test = test.arg("admin-ui.test.mjs").arg(what.to_string()).current_dir(folder()).kill_on_drop(true);
    let test = test.output().await.unwrap();
    assert!(
        test.status.success(),
        "{}{}",
        String::from_utf8_lossy(&test.stdout),
        String::from_utf8_lossy(&test.stderr)
    );
    Ok(())
}
