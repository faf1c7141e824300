//! Ids of other nodes: long ones are not kept, and an attachment must have its header's sender.

use socketio_pg_core::{
    Event, InvalidMessage,
    backend::{Backend as _, Content, Outgoing},
    protocol::{
        Body, Message, NodeId, Payload,
        message::{Selector, ServerSideEmit, SocketsJoin},
    },
    testing::memory::MemoryDatabase,
};

use crate::nodes::{Node, collect};

/// Publishes a message as an attachment, under a header with this uid.
async fn attach(database: &MemoryDatabase, header: &str, message: Message) {
    let content = Content::Attachment {
        body: message.into_msgpack().unwrap(),
        before_id: format!(r#"{{"uid":"{header}","type":9,"attachmentId":""#),
        after_id: r#""}"#.to_owned(),
    };
    let outgoing = Outgoing { channel: "socket.io#/".to_owned(), content, is_logged: false };
    database.backend().publish("socket_io_attachments", None, &[outgoing]).await.unwrap();
}

fn event(uid: &str) -> Message {
    let packet = Payload::from_json(r#"["e",7]"#).unwrap();
    Message::new(NodeId::from(uid), "/", Body::ServerSideEmit(ServerSideEmit { request_id: None, packet }))
}

#[tokio::test(start_paused = true)]
async fn attachments_with_endless_uids_leave_nothing_behind() {
    let database = MemoryDatabase::default();
    let mut node = Node::start(&database).await;
    let mut received = collect(&node);
    for number in 0..20 {
        let uid = format!("{number}{}", "x".repeat(4 * 1024 * 1024));
        attach(&database, "peer", event(&uid)).await;
    }
    let rejected = node.wait_for(|event| matches!(event, Event::Rejected { .. })).await;
    let Event::Rejected { kind, reason, .. } = rejected else { unreachable!("it is one") };
    assert!(matches!(kind, InvalidMessage::Undecodable(_)), "{kind:?}");
    assert!(reason.len() < 200, "{reason}");
    attach(&database, "peer", event("peer")).await;
    assert_eq!(received.recv().await, Some(7), "the one that comes last is the only one");
    assert!(received.try_recv().is_err());
    let nodes = node.cluster.of("/").nodes();
    assert_eq!(nodes.iter().map(NodeId::as_str).collect::<Vec<_>>(), ["peer"]);
    assert_eq!(node.cluster.counts().rejected_by_kind["undecodable"], 20);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_of_another_than_its_header_says_is_refused() {
    let database = MemoryDatabase::default();
    let mut node = Node::start(&database).await;
    let mut received = collect(&node);
    attach(&database, "peer", event("another")).await;
    let rejected = node.wait_for(|event| matches!(event, Event::Rejected { .. })).await;
    assert!(matches!(rejected, Event::Rejected { kind, .. } if kind.as_str() == "attachment-of-another"));
    // Not even under the uid of the emitter, whose messages must be its own.
    attach(&database, "emitter", event("another")).await;
    attach(&database, "peer", event("peer")).await;
    assert_eq!(received.recv().await, Some(7));
    assert!(received.try_recv().is_err());
    assert_eq!(node.server_count(), 2, "there is no other node");
}

#[tokio::test(start_paused = true)]
async fn long_uids_in_notifications_leave_nothing_behind() {
    let database = MemoryDatabase::default();
    let mut node = Node::start(&database).await;
    let long = "x".repeat(257);
    let join = SocketsJoin { opts: Selector::all(), rooms: vec!["den".into()] };
    let join = Message::new(NodeId::from(&*long), "/", Body::SocketsJoin::<Payload>(join));
    database.notify("socket.io#/", &join.to_json().unwrap());
    database.notify("socket.io#/", &format!(r#"{{"uid":"{long}","type":3,"attachmentId":"1"}}"#));
    node.wait_for(|event| matches!(event, Event::Rejected { .. })).await;
    assert_eq!(node.server_count(), 1);
    assert_eq!(node.cluster.counts().rejected_by_kind["undecodable"], 2);
}
