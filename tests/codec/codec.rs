//! The cost of a message, in instructions: reading and writing each type, and converting packets to
//! payloads and back. A package of the workspace, because its limits hold for the dependencies and
//! the profile of the workspace, which the other benchmarks do not share.
//!
//! Instructions are counted by valgrind, so the figures do not depend on a clock: two runs of one
//! build give the same. Each has a limit, 5 % above what was counted when it was last set. A change
//! that costs more fails; raise the limit when the change is worth it, and lower it when a change
//! saves. Another compiler counts differently: the limits are for the one that CI has.
//!
//! ```text
//! cargo install --locked gungraun-runner@0.20.0
//! cargo bench -p socketio-pg-codec
//! ```

#![allow(missing_docs, reason = "the macros of the benchmark make public functions")]
#![allow(clippy::unwrap_used, reason = "a panic ends the benchmark")]

use std::{collections::VecDeque, hint::black_box, process::abort};

use bytes::Bytes;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use socketio_pg_core::fuzz::{ack_from_payload, packet_from_payload, payload_from_ack, payload_from_packet};
use socketio_pg_protocol::{Message, Notification, Payload, budget::Budget, notification::Encoded};
use socketioxide_core::{
    Str, Value as ServerValue,
    packet::{Packet, PacketData},
};
use socketioxide_parser_common::CommonParser;
use socketioxide_parser_msgpack::MsgPackParser;

/// What Node.js servers sent, one notification in each line.
const RECORDED: &str = include_str!("../../protocol/src/schema/examples.jsonl");

/// At most 5 % more than was counted.
fn counted(instructions: u64) -> LibraryBenchmarkConfig {
    let limit = instructions + instructions / 20;
    let callgrind = Callgrind::default().hard_limits([(EventKind::Ir, limit)]).clone();
    LibraryBenchmarkConfig::default().tool(callgrind).clone()
}

/// The first recorded notification of a type.
fn recorded(kind: u64) -> String {
    let payloads = RECORDED.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["payload"].as_str().unwrap().to_owned()
    });
    let mut of_kind =
        payloads.filter(|payload| Message::from_json(payload).is_ok_and(|message| message.body.kind() == kind));
    of_kind.next().unwrap_or_else(|| abort())
}

// ---- messages ----

// From a payload as PostgreSQL delivers it, to a message that borrows its data.
#[library_benchmark]
#[bench::initial_heartbeat(args = (1), setup = recorded, config = counted(2_961))]
#[bench::heartbeat(args = (2), setup = recorded, config = counted(2_961))]
#[bench::broadcast(args = (3), setup = recorded, config = counted(7_462))]
#[bench::sockets_join(args = (4), setup = recorded, config = counted(8_055))]
#[bench::sockets_leave(args = (5), setup = recorded, config = counted(6_785))]
#[bench::disconnect_sockets(args = (6), setup = recorded, config = counted(6_662))]
#[bench::fetch_sockets(args = (7), setup = recorded, config = counted(7_865))]
#[bench::fetch_sockets_response(args = (8), setup = recorded, config = counted(17_980))]
#[bench::server_side_emit(args = (9), setup = recorded, config = counted(4_793))]
#[bench::server_side_emit_response(args = (10), setup = recorded, config = counted(4_851))]
#[bench::broadcast_client_count(args = (11), setup = recorded, config = counted(4_775))]
#[bench::broadcast_ack(args = (12), setup = recorded, config = counted(4_848))]
#[bench::adapter_close(args = (13), setup = recorded, config = counted(2_976))]
fn decode(payload: String) -> String {
    let _ = black_box(Notification::decode_borrowed(black_box(&payload)));
    payload
}

// From a message, to the payload that is published.
#[library_benchmark]
#[bench::initial_heartbeat(args = (1), setup = message, config = counted(1_514))]
#[bench::heartbeat(args = (2), setup = message, config = counted(1_516))]
#[bench::broadcast(args = (3), setup = message, config = counted(3_505))]
#[bench::sockets_join(args = (4), setup = message, config = counted(3_655))]
#[bench::sockets_leave(args = (5), setup = message, config = counted(2_929))]
#[bench::disconnect_sockets(args = (6), setup = message, config = counted(2_901))]
#[bench::fetch_sockets(args = (7), setup = message, config = counted(4_007))]
#[bench::fetch_sockets_response(args = (8), setup = message, config = counted(5_519))]
#[bench::server_side_emit(args = (9), setup = message, config = counted(1_874))]
#[bench::server_side_emit_response(args = (10), setup = message, config = counted(2_408))]
#[bench::broadcast_client_count(args = (11), setup = message, config = counted(2_355))]
#[bench::broadcast_ack(args = (12), setup = message, config = counted(2_411))]
#[bench::adapter_close(args = (13), setup = message, config = counted(1_394))]
fn encode(message: Message) -> Encoded {
    black_box(message).encode(Budget::default()).unwrap_or_else(|_| abort())
}

// From the bytes of an attachment, to a message.
#[library_benchmark]
#[bench::initial_heartbeat(args = (1), setup = attachment, config = counted(4_380))]
#[bench::heartbeat(args = (2), setup = attachment, config = counted(4_378))]
#[bench::broadcast(args = (3), setup = attachment, config = counted(15_221))]
#[bench::sockets_join(args = (4), setup = attachment, config = counted(13_322))]
#[bench::sockets_leave(args = (5), setup = attachment, config = counted(11_643))]
#[bench::disconnect_sockets(args = (6), setup = attachment, config = counted(11_465))]
#[bench::fetch_sockets(args = (7), setup = attachment, config = counted(13_109))]
#[bench::fetch_sockets_response(args = (8), setup = attachment, config = counted(44_217))]
#[bench::server_side_emit(args = (9), setup = attachment, config = counted(8_825))]
#[bench::server_side_emit_response(args = (10), setup = attachment, config = counted(7_544))]
#[bench::broadcast_client_count(args = (11), setup = attachment, config = counted(7_198))]
#[bench::broadcast_ack(args = (12), setup = attachment, config = counted(7_489))]
#[bench::adapter_close(args = (13), setup = attachment, config = counted(4_379))]
fn decode_attachment(bytes: Vec<u8>) -> (Vec<u8>, Message) {
    let message = Message::from_msgpack(black_box(&bytes)).unwrap_or_else(|_| abort());
    (bytes, message)
}

// From a message, to the bytes of an attachment.
#[library_benchmark]
#[bench::initial_heartbeat(args = (1), setup = message, config = counted(2_362))]
#[bench::heartbeat(args = (2), setup = message, config = counted(2_362))]
#[bench::broadcast(args = (3), setup = message, config = counted(6_909))]
#[bench::sockets_join(args = (4), setup = message, config = counted(4_549))]
#[bench::sockets_leave(args = (5), setup = message, config = counted(3_934))]
#[bench::disconnect_sockets(args = (6), setup = message, config = counted(3_820))]
#[bench::fetch_sockets(args = (7), setup = message, config = counted(4_378))]
#[bench::fetch_sockets_response(args = (8), setup = message, config = counted(61_388))]
#[bench::server_side_emit(args = (9), setup = message, config = counted(6_750))]
#[bench::server_side_emit_response(args = (10), setup = message, config = counted(3_919))]
#[bench::broadcast_client_count(args = (11), setup = message, config = counted(3_000))]
#[bench::broadcast_ack(args = (12), setup = message, config = counted(3_852))]
#[bench::adapter_close(args = (13), setup = message, config = counted(2_365))]
fn encode_attachment(message: Message) -> Vec<u8> {
    black_box(message).into_msgpack().unwrap_or_else(|_| abort())
}

fn message(kind: u64) -> Message {
    Message::from_json(&recorded(kind)).unwrap()
}

fn attachment(kind: u64) -> Vec<u8> {
    message(kind).into_msgpack().unwrap()
}

// ---- packets ----

// From packets for clients, of both parsers, to payloads for other nodes.
#[library_benchmark]
#[bench::text(args = (common_packet(false)), setup = std::convert::identity, config = counted(2_363))]
#[bench::binary(args = (common_packet(true)), setup = std::convert::identity, config = counted(7_110))]
#[bench::msgpack(args = (msgpack_packet(false)), setup = std::convert::identity, config = counted(9_007))]
#[bench::msgpack_binary(args = (msgpack_packet(true)), setup = std::convert::identity, config = counted(3_065))]
fn packet_to_payload(packet: Packet) -> (Packet, Payload) {
    let payload = payload_from_packet(black_box(&packet)).unwrap_or_else(|_| abort());
    (packet, payload)
}

// From a payload of another node, to a packet for clients of the common parser.
#[library_benchmark]
#[bench::text(args = (false), setup = payload, config = counted(1_122))]
#[bench::binary(args = (true), setup = payload, config = counted(5_392))]
fn payload_to_common(payload: Payload) -> (Payload, Packet) {
    let packet = packet_from_payload(black_box(&payload), CommonParser).unwrap_or_else(|_| abort());
    (payload, packet)
}

// From a payload of another node, to a packet for clients of the msgpack parser.
#[library_benchmark]
#[bench::text(args = (false), setup = payload, config = counted(11_851))]
#[bench::binary(args = (true), setup = payload, config = counted(3_475))]
fn payload_to_msgpack(payload: Payload) -> (Payload, Packet) {
    let packet = packet_from_payload(black_box(&payload), MsgPackParser).unwrap_or_else(|_| abort());
    (payload, packet)
}

// From the acknowledgement of a local client, to what the requesting node gets.
#[library_benchmark]
#[bench::text(args = (false), setup = acknowledgement, config = counted(2_425))]
#[bench::binary(args = (true), setup = acknowledgement, config = counted(8_080))]
fn ack_to_payload(value: ServerValue) -> (ServerValue, Option<Payload>) {
    let payload = payload_from_ack(black_box(&value)).unwrap_or_else(|_| abort());
    (value, payload)
}

// From an acknowledgement of another node, to what the application reads.
#[library_benchmark]
#[bench::text(args = (false), setup = payload, config = counted(2_151))]
#[bench::binary(args = (true), setup = payload, config = counted(6_440))]
fn payload_to_ack(payload: Payload) -> (Payload, ServerValue) {
    let value = ack_from_payload(Some(black_box(&payload)), CommonParser).unwrap_or_else(|_| abort());
    (payload, value)
}

const TEXT: &str =
    r#"["chat message",{"room":"general","from":"someone","text":"a line as people write them","at":1732459545}]"#;
const BINARY: &str = r#"["picture",{"name":"a.png","bytes":{"_placeholder":true,"num":0}}]"#;

/// The event as other nodes send it.
fn payload(binary: bool) -> Payload {
    payload_from_packet(&common_packet(binary)).unwrap()
}

fn common_packet(binary: bool) -> Packet {
    event(acknowledgement(binary))
}

fn msgpack_packet(binary: bool) -> Packet {
    packet_from_payload(&payload(binary), MsgPackParser).unwrap()
}

fn event(data: ServerValue) -> Packet {
    Packet { inner: PacketData::Event(data, None), ns: Str::from("/") }
}

/// The same data as an array of arguments.
fn acknowledgement(binary: bool) -> ServerValue {
    if binary {
        ServerValue::Str(Str::from(BINARY), Some(VecDeque::from([Bytes::from(vec![7; 1024])])))
    } else {
        ServerValue::Str(Str::from(TEXT), None)
    }
}

library_benchmark_group!(name = messages, benchmarks = [decode, encode, decode_attachment, encode_attachment]);
library_benchmark_group!(
    name = packets,
    benchmarks = [packet_to_payload, payload_to_common, payload_to_msgpack, ack_to_payload, payload_to_ack]
);

main!(library_benchmark_groups = [messages, packets]);
