//! Runs the examples that are the same for both backends, and compares what they print. The package
//! `socketio-pg-examples-diesel` runs this file on diesel.

mod program;

use serde_json::json;
use socketio_pg_tests::{Authority, ClientHost, Connect, Kind, NODE, Node, NodeOptions, Proxy, database, require};
use socketio_pg_throwaway::Server;

use program::{Outcome, Program, get_until};

/// The path of a program of this package.
macro_rules! program {
    ($name:literal) => {
        option_env!(concat!("CARGO_BIN_EXE_", $name))
            .or(option_env!(concat!("CARGO_BIN_EXE_", $name, "-diesel")))
            .expect("it is a program of this package")
    };
}

const ANY_PORT: &[&str] = &["127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread")]
async fn graceful_leaves_in_order_when_it_is_told_to_end() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let environment = [("DATABASE_URL", &*database.url())];
    let mut stays = Program::start(program!("graceful"), ANY_PORT, &environment)?;
    let stays_port = stays.port().await?;
    let mut leaves = Program::start(program!("graceful"), ANY_PORT, &environment)?;
    let leaves_port = leaves.port().await?;
    stays.wait_for("a server joined").await?;
    leaves.wait_for("a server joined").await?;
    let clients = ClientHost::shared().await?;
    let one = clients.connect(stays_port, &Connect::default()).await?;
    let other = clients.connect(leaves_port, &Connect::default().transports(&["polling"])).await?;

    other.emit("message", json!(["hello"])).await?;
    assert_eq!(one.wait_for_packet("message").await?, [json!("hello")]);

    leaves.signal("TERM").await?;
    other.wait_for_disconnect().await?;
    leaves.wait_for("left the cluster").await?;
    leaves.succeeded().await?;
    stays.wait_for("a server left in order").await?;
    assert_eq!(one.ended().await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_shows_who_is_logged_in_to_every_server() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let environment = [("DATABASE_URL", &*database.url())];
    let node = Node::start(&Kind::NodeServer, &NodeOptions::new(database.url())).await?;
    let clients = ClientHost::shared().await?;
    let mut servers = Vec::new();
    let mut connected = Vec::new();
    for user in ["ada", "grace"] {
        let mut server = Program::start(program!("auth"), ANY_PORT, &environment)?;
        let port = server.port().await?;
        let auth = json!({ "token": format!("token-of-{user}") });
        connected.push(clients.connect(port, &Connect::default().auth(auth)).await?);
        server.wait_for(&format!("{user} connected")).await?;
        servers.push((server, port));
    }

    for (_, port) in &servers {
        let is_expected = |body: &str| matches!(body, r#"["ada","grace"]"# | r#"["grace","ada"]"#);
        get_until(*port, "/users", is_expected).await?;
    }
    node.wait_for_server_count("/", 3).await?;
    let sockets = node.call("fetchSockets", json!({})).await?;
    let mut seen: Vec<_> = sockets.as_array().into_iter().flatten().map(|socket| socket["data"].clone()).collect();
    seen.sort_by_key(ToString::to_string);
    assert_eq!(seen, [json!({ "user": "ada" }), json!({ "user": "grace" })]);

    for refused in [json!({ "token": "guessed" }), json!({ "name": "ada" })] {
        let connecting = clients.connect(servers[0].1, &Connect::default().auth(refused)).await;
        let error = connecting.err().ok_or("it was not refused")?.to_string();
        assert!(error.contains("not logged in"), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_ui_lists_the_sockets_of_both_servers_to_an_admin() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    // The password is `right`.
    let hash = "$2a$08$VSVrEQJFUiJRNDkvMLnFvehPJijkLSCdIlMW2AWBxD3y3X4aqJ4bu";
    let environment = [("DATABASE_URL", &*database.url()), ("ADMIN_PASSWORD_HASH", hash)];
    let mut one = Program::start(program!("admin-ui"), ANY_PORT, &environment)?;
    let one_port = one.port().await?;
    let mut other = Program::start(program!("admin-ui"), ANY_PORT, &environment)?;
    let clients = ClientHost::shared().await?;
    let user = clients.connect(other.port().await?, &Connect::default()).await?;

    let credentials = json!({ "username": "admin", "password": "right" });
    let admin = clients.connect(one_port, &Connect::to("/admin").auth(credentials)).await?;
    let list = admin.wait_for_packet("all_sockets").await?;
    let listed = list[0].as_array().into_iter().flatten().find(|socket| socket["id"] == user.id());
    let rooms = listed.ok_or("the socket of the other server is not listed")?["rooms"].clone();
    assert!(rooms.as_array().is_some_and(|rooms| rooms.contains(&json!("lobby"))), "{rooms}");

    let session = admin.wait_for_packet("session").await?[0].clone();
    clients.connect(one_port, &Connect::to("/admin").auth(json!({ "sessionId": session }))).await?;
    let refused = clients.connect(one_port, &Connect::to("/admin").auth(json!({ "username": "admin" }))).await;
    assert!(refused.err().ok_or("it was not refused")?.to_string().contains("invalid credentials"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_says_whether_the_certificate_is_trusted() -> Outcome {
    // Says so where there is no PostgreSQL.
    if database().is_none() {
        return Ok(());
    }
    let (authority, another) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.sign("localhost", |_| {});
    let server = Server::builder().start()?;
    server.use_certificate(&certificate, &key)?;
    let database = server.create_database()?;
    let run = async |host: &str, parameters: String| {
        let url = format!("{}?{parameters}", database.url().replace("127.0.0.1", host));
        Program::start(program!("tls"), &[], &[("DATABASE_URL", &url)])?.ended().await
    };
    let verified = |authority: &Authority| format!("sslmode=verify-full&sslrootcert={}", authority.root().display());

    let (status, lines) = run("localhost", verified(&authority)).await?;
    assert!(status.success(), "{lines:?}");
    assert_eq!(lines, ["connected: the server's certificate was checked"]);

    for (host, authority, reason) in [
        ("localhost", &another, "an authority that is not trusted here"),
        ("127.0.0.1", &authority, "for another host"),
    ] {
        let (status, lines) = run(host, verified(authority)).await?;
        assert_eq!(status.code(), Some(1), "{lines:?}");
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.starts_with("not connected: ") && line.contains(reason), "{line}");
    }

    let (status, lines) = run("localhost", "sslmode=require".to_owned()).await?;
    assert_eq!((status.code(), lines.len()), (Some(1), 0), "{lines:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_events_reach_the_other_server_and_are_acknowledged() -> Outcome {
    let Some(database) = database() else { return Ok(()) };
    let environment = [("DATABASE_URL", &*database.url())];
    let mut one = Program::start(program!("server-side-events"), &["one"], &environment)?;
    one.wait_for("one is in the cluster").await?;
    let mut two = Program::start(program!("server-side-events"), &["two"], &environment)?;
    two.wait_for("two is in the cluster").await?;

    for (server, other) in [(&mut one, "two"), (&mut two, "one")] {
        server.wait_for(&format!("{other} has version {}", env!("CARGO_PKG_VERSION"))).await?;
        server.wait_for(&format!("the others are [{other:?}]")).await?;
    }
    for server in [one, two] {
        server.signal("INT").await?;
        server.succeeded().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_sockets_are_listed_moved_and_disconnected_on_every_server() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let environment = [("DATABASE_URL", &*database.url())];
    let node = Node::start(&Kind::NodeServer, &NodeOptions::new(database.url())).await?;
    let mut rust = Program::start(program!("graceful"), ANY_PORT, &environment)?;
    let clients = ClientHost::shared().await?;
    let on_node = clients.connect(node.port(), &Connect::default()).await?;
    let on_rust = clients.connect(rust.port().await?, &Connect::default()).await?;
    let mut console = Program::start(program!("remote-sockets"), &[], &environment)?;
    for _ in 0..2 {
        console.wait_for("a server joined").await?;
    }

    for client in [&on_node, &on_rust] {
        let id = client.id();
        let listed = |lines: &[String]| lines.iter().find(|line| line.starts_with(id)).cloned().unwrap_or_default();
        let lines = console.command("list").await?;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(listed(&lines).contains("is in the rooms"), "{lines:?}");
        console.command(&format!("join {id} news")).await?;
        let lines = console.command("list").await?;
        assert!(listed(&lines).contains("\"news\""), "{lines:?}");
        console.command(&format!("leave {id} news")).await?;
        let lines = console.command("list").await?;
        assert!(!listed(&lines).contains("\"news\""), "{lines:?}");
    }
    for client in [&on_node, &on_rust] {
        console.command(&format!("disconnect {}", client.id())).await?;
        client.wait_for_disconnect().await?;
    }
    console.type_line("lost").await?;
    console.wait_for("failed: commands: list, ").await?;
    console.succeeded().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn catch_up_reads_what_was_sent_while_the_connection_was_broken() -> Outcome {
    if database().is_none() {
        return Ok(());
    }
    let server = Server::builder().start()?;
    let database = server.create_database()?;
    let url = database.url();
    let proxy = Proxy::start(server.port().ok_or("it is private")?)?;
    let mut reader = Program::start(program!("catch-up"), &[], &[("DATABASE_URL", &proxy.before(&url))])?;
    reader.wait_for("listening").await?;
    let mut writer = Program::start(program!("catch-up"), &[], &[("DATABASE_URL", &url)])?;
    writer.wait_for("listening").await?;
    writer.type_line("sent before").await?;
    reader.wait_for("note: sent before").await?;

    // A server that has just started may not know its position in the log yet, and says so.
    for round in 0.. {
        let note = format!("sent meanwhile, {round}");
        proxy.refuse();
        reader.wait_for("disconnected: ").await?;
        writer.type_line(&note).await?;
        let logged = format!("SELECT count(*) FROM socket_io_log WHERE payload LIKE '%{note}%'");
        while database.execute(&logged)?.as_deref() != Some("1") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        proxy.pass();
        let line = reader.wait_for("listening again: ").await?;
        if line.contains("nothing is missing") {
            reader.wait_for(&format!("note: {note}")).await?;
            break;
        }
        assert!(line.contains("something may be missing") && round < 20, "{line}");
    }
    for program in [reader, writer] {
        program.succeeded().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_serves_the_metrics() -> Outcome {
    let Some(database) = database() else { return Ok(()) };
    let mut program = Program::start(program!("prometheus"), ANY_PORT, &[("DATABASE_URL", &database.url())])?;
    let port = program.port().await?;
    let is_listening = |body: &str| body.contains("\nsocketio_pg_listening 1\n");
    let metrics = get_until(port, "/metrics", is_listening).await?;
    for line in [
        "# TYPE socketio_pg_published_total counter",
        "# TYPE socketio_pg_publish_seconds histogram",
        "socketio_pg_publish_seconds_bucket{le=\"0.5\"} ",
        "# TYPE socketio_pg_batch_messages histogram",
        "socketio_pg_nodes{namespace=\"/\"} 1",
    ] {
        assert!(metrics.contains(line), "no {line} in:\n{metrics}");
    }
    program.signal("TERM").await?;
    program.succeeded().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_each_carry_their_namespaces() -> Outcome {
    let (Some(main), Some(games)) = (database(), database()) else { return Ok(()) };
    let environment = [("DATABASE_URL", &*main.url()), ("GAMES_DATABASE_URL", &*games.url())];
    let mut one = Program::start(program!("several-databases"), &[], &environment)?;
    one.wait_for("/ is in database 0").await?;
    one.wait_for("/game/chess is in database 1").await?;
    let other = Program::start(program!("several-databases"), &[], &environment)?;
    one.wait_for("another server has / (database 0)").await?;
    one.wait_for("another server has /game/chess (database 1)").await?;
    for program in [one, other] {
        program.signal("INT").await?;
        program.succeeded().await?;
    }
    Ok(())
}
