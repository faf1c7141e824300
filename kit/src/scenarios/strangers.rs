//! Messages of processes that are none of the servers: a node ignores what it cannot use, and goes on.

use serde_json::{Value, json};

use super::{
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("messages from strangers", strangers)]
}

const NO_ROW: &str = "9007199254740991";

/// Messages that no client may see anything of.
fn useless(nsp: &str) -> Vec<String> {
    let opts = json!({ "rooms": [], "except": [], "flags": {} });
    let packet = |event: &str| json!({ "type": 2, "data": [event] });
    let from = |kind: u64, data: Value| json!({ "type": kind, "data": data, "uid": "emitter", "nsp": nsp });
    let mut useless = vec!["not JSON".to_owned(), "[]".to_owned(), "null".to_owned(), "3".to_owned()];
    let messages = [
        from(99, json!({ "packet": packet("type 99"), "opts": opts })),
        json!({ "type": 3, "data": { "packet": packet("another"), "opts": opts }, "uid": "emitter", "nsp": "/another" }),
        json!({ "uid": "emitter", "type": 3, "nsp": nsp, "attachmentId": NO_ROW }),
        json!({ "uid": "emitter", "type": 3, "nsp": nsp, "attachmentId": "no number" }),
        json!({ "type": 3, "uid": "emitter", "nsp": nsp }),
        from(3, json!({ "packet": packet("no opts") })),
        from(8, json!({ "sockets": [] })),
        from(8, json!({ "requestId": null, "sockets": [] })),
        from(10, json!({ "requestId": "nobody asked", "packet": 1 })),
        from(11, json!({ "requestId": "nobody asked", "clientCount": 1 })),
        from(12, json!({ "requestId": "nobody asked", "packet": 1 })),
    ];
    useless.extend(messages.iter().map(Value::to_string));
    // JSON has escapes of half a character, which no client is in a room of.
    let half = json!({ "rooms": ["<half>"], "except": [], "flags": {} });
    let half = from(3, json!({ "packet": packet("half a character"), "opts": half })).to_string();
    useless.push(half.replace("<half>", r"\ud800"));
    useless
}

/// Messages that every client gets, by the name of their event.
fn useful(nsp: &str) -> Vec<(&'static str, String)> {
    let opts = json!({ "rooms": [], "except": [], "flags": {} });
    let of = |event: &str, opts: &Value| {
        let data = json!({ "packet": { "type": 2, "data": [event] }, "opts": opts });
        // Workers of a Node.js cluster take only what has this key.
        json!({ "type": 3, "data": data, "uid": "emitter", "nsp": nsp, "source": "_sio_adapter" })
    };
    let mut unknown = of("unknown keys", &opts);
    unknown["data"]["later"] = json!([1]);
    unknown["later"] = json!({ "a": null });
    let half = of("half a character in a key", &opts).to_string().replacen('{', r#"{"later":"\ud800","#, 1);
    let whole = of("a number with a fraction of 0", &opts).to_string().replace(r#""type":3"#, r#""type":3.0"#);
    vec![
        ("unknown keys", unknown.to_string()),
        ("null for rooms", of("null for rooms", &json!({ "rooms": null, "except": null, "flags": {} })).to_string()),
        ("half a character in a key", half),
        ("a number with a fraction of 0", whole),
    ]
}

/// Packets that are not events, with a request: the answer is a 11 with 0.
fn no_events(nsp: &str) -> Vec<String> {
    let packets = [
        json!({ "type": 3, "data": ["an acknowledgement"] }),
        json!({ "type": 2 }),
        json!({ "data": ["no type"] }),
        json!({ "type": 2, "data": ["disconnect"] }),
        json!({ "type": 2, "data": [] }),
    ];
    let message = |(index, packet): (usize, Value)| {
        let opts = json!({ "rooms": [], "except": [], "flags": { "timeout": 1000 } });
        let data = json!({ "packet": packet, "requestId": format!("no event {index}"), "opts": opts });
        json!({ "type": 3, "data": data, "uid": "emitter", "nsp": nsp }).to_string()
    };
    packets.into_iter().enumerate().map(message).collect()
}

async fn strangers(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let nsp = fixture.nsp.clone();
    let channel = format!("{}#{nsp}", fixture.prefix());
    let mut useless = useless(&nsp);
    let mut useful = useful(&nsp);
    if fixture.stage().hears_more_than_node() {
        useless.extend(no_events(&nsp));
        let mut without = json!({ "type": 3, "uid": "emitter" });
        without["data"] = json!({ "packet": { "type": 2, "data": ["without nsp"] }, "opts": {} });
        useful.push(("without nsp", without.to_string()));
    }
    for payload in useless.iter().chain(useful.iter().map(|(_, payload)| payload)) {
        fixture.stage().notify(&channel, payload).await?;
    }
    fixture.act("emit", json!({ "event": "after all", "args": [] })).await?;
    let got = super::sorted(useful.iter().map(|(event, _)| json!([event])).chain([json!(["after all"])]));
    observed(fixture.received().await?, json!({ "a": got, "b": got, "c": got }))
}
