//! Who may be an admin.

use serde_json::{Value, json};

use crate::{
    Result,
    cluster::{Cluster, admin},
};

/// The password is `right`.
pub(crate) const HASH: &str = "$2a$08$VSVrEQJFUiJRNDkvMLnFvehPJijkLSCdIlMW2AWBxD3y3X4aqJ4bu";

fn credentials(username: &str, password: &str) -> Value {
    json!({ "username": username, "password": password })
}

#[tokio::test]
async fn an_admin_needs_the_password_or_a_session() -> Result {
    let options = json!({ "auth": { "type": "basic", "username": "admin", "password": HASH } });
    let Some(cluster) = Cluster::start(options, |options| options).await? else { return Ok(()) };
    let mut sessions = Vec::new();
    for server in &cluster.servers {
        for refused in [
            json!({}),
            credentials("admin", "wrong"),
            credentials("root", "right"),
            json!({ "sessionId": "guess" }),
            json!({ "sessionId": 7, "username": {}, "password": [] }),
        ] {
            // A Node.js server does not answer a password that is not a string.
            if !server.name.starts_with("rust") && refused["password"].is_array() {
                continue;
            }
            let error = cluster.client(server, &admin().auth(refused.clone())).await.map(drop).unwrap_err();
            assert!(error.to_string().contains("invalid credentials"), "{}, {refused}: {error}", server.name);
        }
        let how = admin().auth(credentials("admin", "right"));
        let (admin, _) = cluster.admin(server, &how).await?;
        let session = admin.wait_for_packet("session").await?;
        sessions.push((server.name, session[0].as_str().unwrap().to_owned()));
    }
    for (origin, session) in &sessions {
        for server in &cluster.servers {
            let connected = cluster.client(server, &admin().auth(json!({ "sessionId": session }))).await;
            let are_rust = origin.starts_with("rust") && server.name.starts_with("rust");
            let expected = are_rust || *origin == server.name;
            assert_eq!(connected.is_ok(), expected, "a session of {origin} on {}", server.name);
        }
    }
    Ok(())
}
