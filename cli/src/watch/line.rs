//! One line of `socketio-pg watch`: a message as text or as JSON.

use std::{fmt::Write, time::Duration};

use serde::Serialize;
use socketio_pg_core::protocol::{Body, Message, Payload};

use super::filter::{changed_rooms, selector};
use crate::{
    output::{BOLD, CYAN, DIM, RED, RESET, YELLOW, cut, pad, printable},
    payload,
    session::Heard,
    survey::Survey,
};

/// The columns before the content of the message.
const TIME_WIDTH: usize = 12;
const SENDER_WIDTH: usize = 16;
const TYPE_WIDTH: usize = 25;

/// The line as text: time (UTC), sender, type, content.
pub(super) fn text(heard: &Heard, survey: &Survey, now: Duration, width: Option<usize>) -> String {
    let (sender, kind, content) = match &heard.message {
        Ok(message) => (sender(message, survey), message.body.name(), content(heard, message)),
        Err(problem) => ("-".to_owned(), "CANNOT BE READ", format!("{} {problem}", heard.namespace)),
    };
    let remaining_width = width.map(|width| width.saturating_sub(TIME_WIDTH + SENDER_WIDTH + TYPE_WIDTH + 3));
    let colour = match &heard.message {
        Err(_) => RED,
        Ok(message) => match message.body {
            Body::Broadcast(_) | Body::ServerSideEmit(_) => CYAN,
            Body::SocketsJoin(_) | Body::SocketsLeave(_) | Body::DisconnectSockets(_) => YELLOW,
            Body::AdapterClose => BOLD,
            _ => "",
        },
    };
    let sender = pad(&cut(&printable(&sender), Some(SENDER_WIDTH)), SENDER_WIDTH);
    let content = cut(&printable(&content), remaining_width);
    format!("{DIM}{}{RESET} {sender} {colour}{kind:TYPE_WIDTH$}{RESET} {content}", time_of_day(now))
}

fn sender(message: &Message, survey: &Survey) -> String {
    let Some(uid) = &message.uid else { return "-".to_owned() };
    survey.name(uid).map_or_else(|| uid.to_string(), str::to_owned)
}

fn content(heard: &Heard, message: &Message) -> String {
    let mut text = heard.namespace.clone();
    let mut add = |part: &str| {
        // writing to a string cannot fail
        let _ = write!(text, " {part}");
    };
    if let Some(selector) = selector(&message.body) {
        if !selector.rooms.is_empty() {
            add(&format!("to {}", selector.rooms.iter().map(payload::room).collect::<Vec<_>>().join(", ")));
        }
        if !selector.except.is_empty() {
            add(&format!("except {}", selector.except.iter().map(payload::room).collect::<Vec<_>>().join(", ")));
        }
    }
    let event = |payload: &Payload| match payload::event(payload) {
        Some((name, arguments)) => format!("{name} {}", payload::shown_all(&arguments)),
        None => payload::shown(payload),
    };
    match &message.body {
        Body::Broadcast(data) => add(&event(&data.packet.data)),
        Body::ServerSideEmit(data) => add(&event(&data.packet)),
        Body::SocketsJoin(_) | Body::SocketsLeave(_) => {
            let rooms: Vec<_> = changed_rooms(&message.body).iter().map(payload::room).collect();
            add(&format!("rooms {}", rooms.join(", ")));
        }
        Body::DisconnectSockets(data) if data.close => add("with their connections"),
        Body::FetchSocketsResponse(data) => add(&format!("{} sockets", data.sockets.len())),
        Body::BroadcastClientCount(data) => add(&format!("{} clients", data.client_count)),
        Body::BroadcastAck(data) => add(&data.packet.as_ref().map(payload::shown).unwrap_or_default()),
        Body::ServerSideEmitResponse(data) => add(&data.packet.as_ref().map(payload::shown).unwrap_or_default()),
        _ => {}
    }
    if let Some(request) = message.body.request_id() {
        add(&format!("(request {request})"));
    }
    if heard.is_attachment {
        add(&format!("(attachment, {} bytes)", heard.bytes));
    }
    text.trim_end().to_owned()
}

/// Hours to milliseconds, UTC.
fn time_of_day(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs() % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, since_1970.subsec_millis())
}

/// The line as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    /// In milliseconds since 1970.
    time: u64,
    namespace: &'a str,
    #[serde(rename = "type")]
    kind: Option<u64>,
    name: Option<&'static str>,
    uid: Option<&'a str>,
    server: Option<&'a str>,
    bytes: usize,
    attachment: bool,
    /// The whole message, binary as Node.js writes it: `{"type":"Buffer","data":[…]}`.
    message: Option<&'a Message>,
    problem: Option<&'a str>,
}

pub(super) fn json<'a>(heard: &'a Heard, survey: &'a Survey, now: Duration) -> Line<'a> {
    let message = heard.message.as_ref().ok();
    let uid = message.and_then(|message| message.uid.as_ref());
    Line {
        time: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        namespace: &heard.namespace,
        kind: message.map(|message| message.body.kind()),
        name: message.map(|message| message.body.name()),
        uid: uid.map(|uid| uid.as_str()),
        server: uid.and_then(|uid| survey.name(uid)),
        bytes: heard.bytes,
        attachment: heard.is_attachment,
        message,
        problem: heard.message.as_ref().err().map(String::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &str) -> String {
        let message = Message::from_json(payload).map_err(|error| error.to_string());
        let heard = Heard { namespace: "/".into(), bytes: payload.len(), is_attachment: false, message };
        text(&heard, &Survey::default(), Duration::from_millis(86_400_000 + 3_723_004), None)
    }

    #[test]
    fn a_line_says_when_who_and_what() {
        let line = shown(
            r#"{"type":3,"data":{"packet":{"type":2,"data":["order",{"id":17},"x"]},"opts":{"rooms":["a","b"],"except":["c"],"flags":{}}},"uid":"8f42b1c09d5e7a36","nsp":"/"}"#,
        );
        assert!(line.contains("01:02:03.004"), "{line}");
        assert!(line.contains("8f42b1c09d5e7a36"), "{line}");
        assert!(line.ends_with(r#"/ to a, b except c order {"id":17} "x""#), "{line}");
    }

    #[test]
    fn a_client_cannot_write_to_the_terminal() {
        let line = shown(
            r#"{"type":3,"data":{"packet":{"type":2,"data":["\u001b[2J","\u009b2J\u202e"]},"opts":{"rooms":["\u001b]0;x\u0007"],"except":[]}},"uid":"\u001b[31m","nsp":"/"}"#,
        );
        let without_colours = line.replace(DIM, "").replace(RESET, "").replace(CYAN, "");
        assert!(!without_colours.chars().any(|char| char.is_control() || char == '\u{202e}'), "{without_colours:?}");
    }

    #[test]
    fn what_cannot_be_read_is_a_line_too() {
        assert!(shown("nonsense").contains("CANNOT BE READ"));
    }
}
