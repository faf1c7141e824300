//! The official page in a real browser.
//!
//! The test that runs in the browser is `demo/browser/admin-ui.test.mjs`.

use std::path::Path;

use serde_json::json;
use socketio_pg_tests::{CHROMIUM, NODE, browser_scripts, install, require};

use crate::{
    Result,
    cluster::{Cluster, rust},
    login::HASH,
};

/// `ADMIN_UI_PICTURE=docs/admin-ui.png` also makes a picture of the page.
#[tokio::test]
async fn the_page_shows_what_is_true_and_its_buttons_do_what_they_say() -> Result {
    if !require(&NODE) || !require(&CHROMIUM) {
        return Ok(());
    }
    install(&browser_scripts()).unwrap();
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
    let test = test.arg("admin-ui.test.mjs").arg(what.to_string()).current_dir(browser_scripts()).kill_on_drop(true);
    let test = test.output().await.unwrap();
    assert!(
        test.status.success(),
        "{}{}",
        String::from_utf8_lossy(&test.stdout),
        String::from_utf8_lossy(&test.stderr)
    );
    Ok(())
}
