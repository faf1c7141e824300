//! Clients that speak raw HTTP, and so can send what Socket.IO's own client never sends.

use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    capability::Capability,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    stage::Server,
};
use crate::harness::{Error, Parser};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("raw clients: auth of all kinds", auth).needs(Capability::AuthChecked),
        Scenario::new("raw clients: query and headers", query_and_headers).needs(Capability::Handshakes),
        Scenario::new("raw clients: a burst while the client does not poll", burst).needs(Capability::Handshakes),
    ]
}

/// A client that polls, and does nothing by itself.
struct RawClient {
    port: u16,
    path: String,
    namespace: String,
}

impl RawClient {
    /// Opens a session. `query` begins with `&`, each header ends with a line break.
    async fn open(server: &Server, namespace: &str, query: &str, headers: &[u8]) -> Result<Self, Error> {
        let mut client = Self {
            port: server.port(),
            path: "/socket.io/?EIO=4&transport=polling".to_owned(),
            namespace: namespace.to_owned(),
        };
        let opened = client.http(&format!("GET {}{query}", client.path), headers, b"").await?;
        let (_, rest) = opened.split_once(r#""sid":""#).ok_or_else(|| refused(&opened))?;
        let (sid, _) = rest.split_once('"').ok_or_else(|| refused(&opened))?;
        client.path = format!("{}&sid={sid}", client.path);
        Ok(client)
    }

    /// Connects to the namespace with raw text for `auth`, and returns the id of the socket: `None`
    /// when it is refused.
    async fn connect(&self, auth: &str) -> Result<Option<String>, Error> {
        self.post(&format!("40{},{auth}", self.namespace)).await?;
        let mut answer = self.poll().await?;
        // A ping may come first. The next one comes half a minute later.
        if answer == ["2"] {
            self.post("3").await?;
            answer = self.poll().await?;
        }
        if answer == ["2"] {
            return Err(refused("the server does not answer CONNECT"));
        }
        let connected = answer.iter().find_map(|packet| packet.strip_prefix(&format!("40{},", self.namespace)));
        let answer: Option<Value> = connected.and_then(|answer| serde_json::from_str(answer).ok());
        Ok(answer.and_then(|answer| Some(answer["sid"].as_str()?.to_owned())))
    }

    async fn disconnect(&self) -> Result<(), Error> {
        self.post(&format!("41{},", self.namespace)).await
    }

    async fn post(&self, packet: &str) -> Result<(), Error> {
        self.http(&format!("POST {}", self.path), b"", packet.as_bytes()).await.map(drop)
    }

    /// The packets of one poll; none when the session is closed.
    async fn poll(&self) -> Result<Vec<String>, Error> {
        let answer = self.http(&format!("GET {}", self.path), b"", b"").await?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let is_ok = answer.starts_with("HTTP/1.1 200");
        Ok(if is_ok { body.split('\u{1e}').map(str::to_owned).collect() } else { Vec::new() })
    }

    /// One request on a connection of its own; the answer with its head.
    async fn http(&self, line: &str, headers: &[u8], body: &[u8]) -> Result<String, Error> {
        let head = format!("{line} HTTP/1.1\r\nHost: example\r\n");
        let rest = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let request = [head.as_bytes(), headers, rest.as_bytes(), body].concat();
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(&request).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = exchange.await.map_err(|error| refused(&error.to_string()))?;
        Ok(without_chunks(&answer).unwrap_or(answer))
    }
}

/// The answer with its body in one piece, if a server has sent it in chunks.
fn without_chunks(answer: &str) -> Option<String> {
    let (head, mut rest) = answer.split_once("\r\n\r\n")?;
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return None;
    }
    let mut body = String::new();
    while let Some((size, chunk)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).ok()?;
        body += chunk.get(..size)?;
        rest = chunk.get(size + 2..)?;
    }
    Some(format!("{head}\r\n\r\n{body}"))
}

fn refused(text: &str) -> Error {
    Error::refused(text)
}

/// The servers that these clients can use, by name: they do not know MessagePack.
fn servers(fixture: &Fixture) -> impl Iterator<Item = (usize, &'static str, &Server)> {
    let named = ["one", "two", "three"].into_iter().zip(fixture.servers()).enumerate();
    named
        .map(|(index, (name, server))| (index, name, server))
        .filter(|(_, _, server)| server.parser() == Parser::Common)
}

/// How each server describes the handshake of the only socket.
async fn handshakes(fixture: &Fixture, tell: impl Fn(&Value) -> Value) -> Result<Value, Error> {
    let mut told = Vec::new();
    for server in fixture.servers() {
        let sockets = fixture.call(server, "fetchSockets", json!({})).await?;
        told.push(sockets.as_array().into_iter().flatten().map(|socket| tell(&socket["handshake"])).collect::<Value>());
    }
    Ok(told.into())
}

/// Connects a client, has it described, and waits until it has left.
async fn looked_at(
    fixture: &Fixture,
    (index, server): (usize, &Server),
    (query, headers, auth): (&str, &[u8], &str),
    tell: impl Fn(&Value) -> Value,
) -> Result<Value, Error> {
    let client = RawClient::open(server, &fixture.nsp, query, headers).await?;
    let Some(socket) = client.connect(auth).await? else {
        return handshakes(fixture, tell).await;
    };
    let told = handshakes(fixture, tell).await?;
    client.disconnect().await?;
    fixture.wait_for_disconnected_socket(index, &socket).await?;
    Ok(told)
}

/// Node.js refuses everything that is not an object, so `auth` is an object wherever it is read.
async fn auth(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let by_all = |auth: Value| json!([[auth], [auth], [auth]]);
    let cases = [
        ("", by_all(json!({}))),
        ("{}", by_all(json!({}))),
        (r#"{"token":"t","list":[1,null]}"#, by_all(json!({ "token": "t", "list": [1, null] }))),
        // A lone surrogate, which the test library cannot represent.
        (r#"{"token":"t","odd":"\ud800"}"#, by_all(json!({ "token": "t", "odd": true }))),
        ("null", json!([[], [], []])),
        ("true", json!([[], [], []])),
        ("[1]", json!([[], [], []])),
        (r#""text""#, json!([[], [], []])),
        ("{", json!([[], [], []])),
    ];
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (index, name, server) in servers(&fixture) {
        for (auth, shown) in &cases {
            let told = looked_at(&fixture, (index, server), ("", b"", auth), |handshake| {
                let mut auth = handshake["auth"].clone();
                if auth.get("odd").is_some_and(|odd| *odd != "") {
                    auth["odd"] = json!(true);
                }
                auth
            });
            seen.insert(format!("{name}: {auth}"), told.await?);
            expected.insert(format!("{name}: {auth}"), shown.clone());
        }
    }
    observed(seen.into(), expected.into())
}

async fn query_and_headers(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let headers = b"X-Latin: caf\xe9\r\nX-Many: 1\r\nX-Many: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\
        Authorization: first\r\nAuthorization: second\r\n";
    let shown = json!({
        "address": "127.0.0.1",
        "query": { "EIO": "4", "transport": "polling", "e": "2", "q": "a b" },
        "x-latin": "café",
        "x-many": "1, 2",
        "cookie": "a=1; b=2",
        "authorization": "first",
    });
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (index, name, server) in servers(&fixture) {
        let told = looked_at(&fixture, (index, server), ("&e=1&e=2&q=a+b", headers, ""), |handshake| {
            let mut told = Map::new();
            for key in ["address", "query"] {
                told.insert(key.to_owned(), handshake[key].clone());
            }
            for key in ["x-latin", "x-many", "cookie", "authorization"] {
                told.insert(key.to_owned(), handshake["headers"][key].clone());
            }
            told.into()
        });
        seen.insert(name.to_owned(), told.await?);
        expected.insert(name.to_owned(), json!([[shown], [shown], [shown]]));
    }
    observed(seen.into(), expected.into())
}

/// Packets that come between two polls wait for the client.
async fn burst(fixture: Fixture) -> Outcome {
    const EVENTS: usize = 500;
    fixture.wait_for_servers(3).await?;
    let mut clients = Vec::new();
    for (index, name, server) in servers(&fixture) {
        let client = RawClient::open(server, &fixture.nsp, "", b"").await?;
        let socket = client.connect("").await?.ok_or_else(|| refused("a client without auth"))?;
        clients.push((index, name, client, socket));
    }
    // Many at a time: a session does not last long without an answer to a ping.
    let numbers: Vec<usize> = (0..EVENTS).collect();
    for numbers in numbers.chunks(50) {
        let emits = numbers.iter().map(|number| fixture.act("emit", json!({ "event": "burst", "args": [number] })));
        futures_util::future::try_join_all(emits).await?;
    }
    // Small events do not overtake each other, so it comes last. A full buffer has no room for it
    // either.
    fixture.act("emit", json!({ "event": "last", "args": [] })).await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (index, name, client, socket) in clients {
        let [mut events, mut last, mut pings] = [0, 0, 0];
        // One ping may come at once; the second comes after 25 s without other traffic.
        while last == 0 && pings < 2 {
            let packets = client.poll().await?;
            if packets.is_empty() {
                return Err(refused("the session ended"));
            }
            if packets.iter().any(|packet| packet == "2") {
                pings += 1;
                client.post("3").await?;
            }
            events += packets.iter().filter(|packet| packet.contains(r#"["burst","#)).count();
            last += packets.iter().filter(|packet| packet.contains(r#"["last"]"#)).count();
        }
        client.disconnect().await?;
        fixture.wait_for_disconnected_socket(index, &socket).await?;
        seen.insert(name.to_owned(), json!(events));
        expected.insert(name.to_owned(), json!(EVENTS));
    }
    observed(seen.into(), expected.into())
}
