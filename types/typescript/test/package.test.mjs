// What the package promises. `wire.test.mjs` compares it with the Rust crate.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, decodeRow, encode, isReadable, isWritable, MAX_PAYLOAD_BYTES, MessageType, problems, ProtocolError } from "../dist/index.js";

const opts = { rooms: [], except: [], flags: {} };
const heartbeat = { type: 2, uid: "8f42b1c09d5e7a36", nsp: "/" };
const broadcast = (...data) => ({ type: 3, data: { packet: { type: 2, data }, opts }, uid: "8f42b1c09d5e7a36", nsp: "/" });

test("a message without a namespace may be read, and not written", () => {
  const { nsp, ...without } = heartbeat;
  assert.ok(isWritable(heartbeat) && isReadable(heartbeat));
  assert.ok(isReadable(without) && !isWritable(without));
  assert.deepEqual(problems(without, "writer"), ["message: must have required property 'nsp'"]);
  assert.throws(() => encode(without), new ProtocolError("not a message that may be written: message: must have required property 'nsp'"));
});

test("each problem has its place", () => {
  const join = { type: MessageType.SOCKETS_JOIN, data: { opts, rooms: "r1" }, uid: "a", nsp: "/" };
  assert.deepEqual(problems(join, "writer"), ["/data/rooms: must be array"]);
  assert.deepEqual(problems({ ...heartbeat, type: 14 }, "writer"), ["/type: must be equal to one of the allowed values"]);
  assert.deepEqual(problems(null, "reader"), ["message: must be object"]);
});

test("a message is inline until it is too long", () => {
  const padding = MAX_PAYLOAD_BYTES - encode(broadcast("")).payload.length;
  assert.equal(encode(broadcast("x".repeat(padding))).kind, "inline");
  const long = encode(broadcast("x".repeat(padding + 1)));
  assert.equal(long.kind, "attachment");
  assert.deepEqual(decodeRow(long.row).message, broadcast("x".repeat(padding + 1)));
  // In bytes, not in characters.
  assert.equal(encode(broadcast("é".repeat(padding / 2 + 1))).kind, "attachment");
  assert.equal(encode(heartbeat, { threshold: 10 }).kind, "attachment");
  assert.equal(encode(broadcast("x".repeat(padding + 1)), { threshold: 100_000 }).kind, "attachment");
});

test("binary is an attachment, wherever it is", () => {
  const socket = { id: "s", handshake: { headers: {}, time: "", address: "", xdomain: false, secure: false, issued: 0, url: "/", query: {}, auth: {} }, rooms: [] };
  for (const message of [
    broadcast("picture", { deep: [Buffer.from([1, 2, 3])] }),
    { type: 9, data: { packet: ["picture", new Uint16Array([7])] }, uid: "a", nsp: "/" },
    { type: 12, data: { requestId: "r", packet: new Uint8Array(2) }, uid: "a", nsp: "/" },
    { type: 8, data: { requestId: "r", sockets: [{ ...socket, data: { key: new Uint8Array([9]) } }] }, uid: "a", nsp: "/" },
  ]) {
    const { kind, row, header } = encode(message);
    assert.equal(kind, "attachment");
    assert.equal(decodeRow(row).message.type, message.type);
    const { header: read, id } = decode(header(9007199254740993n));
    assert.deepEqual([read.uid, read.type, read.nsp, id], [message.uid, message.type, message.nsp, 9007199254740993n]);
  }
  assert.deepEqual(decodeRow(encode(broadcast("a", Buffer.from([1]))).row).message.data.packet.data[1], new Uint8Array([1]));
});

test("a header has the number of a row", () => {
  const { header } = encode(heartbeat, { threshold: 0 });
  for (const id of ["", "0", -1, 1.5, "1;", 1e21, undefined]) assert.throws(() => header(id), ProtocolError, String(id));
  assert.equal(header("17"), '{"uid":"8f42b1c09d5e7a36","type":2,"nsp":"/","attachmentId":"17"}');
});

test("a date stays a date in a row", () => {
  const when = new Date(1_700_000_000_123);
  assert.deepEqual(decodeRow(encode(broadcast("at", when), { threshold: 0 }).row).message, broadcast("at", when));
  assert.ok(encode(broadcast("at", when)).payload.includes(when.toISOString()));
});

test("an undefined request id asks for nothing", () => {
  const message = { ...broadcast("e"), nonce: undefined };
  message.data = { ...message.data, requestId: undefined };
  const { message: read } = decodeRow(encode(message, { threshold: 0 }).row);
  assert.ok(!("requestId" in read.data) && !("nonce" in read));
});

test("what cannot be written is an error", () => {
  const circular = [];
  circular.push(circular);
  for (const value of [1n, circular, new ArrayBuffer(2)]) assert.throws(() => encode(broadcast("e", value)), ProtocolError);
  assert.throws(() => encode(broadcast("e", new Uint8Array(1), circular)), ProtocolError);
  assert.throws(() => encode(broadcast()), ProtocolError, "an event has a name");
});

test("unknown types and keys are read", () => {
  const future = { type: 99, data: [1], uid: "a", nsp: "/", more: {} };
  assert.deepEqual(decode(JSON.stringify(future)), { kind: "unknown", message: future });
  const { kind, message } = decode(JSON.stringify({ ...heartbeat, type: 2.0, more: 1, source: 7, nonce: [] }));
  assert.deepEqual([kind, message.more], ["message", 1]);
});

test("what is no message is an error that says why", () => {
  for (const payload of ["", "{", "null", "[]", "7", "{}", '{"type":"2"}', '{"type":-1}', '{"type":3}', '{"type":2,"uid":7}', '{"type":1e400}']) {
    assert.throws(() => decode(payload), (error) => error instanceof ProtocolError && error.message.startsWith("not "), payload);
  }
  const long = { ...heartbeat, uid: "é".repeat(129) };
  assert.throws(() => decode(JSON.stringify(long)), new ProtocolError("not a message: uid has more than 256 bytes"));
  for (const id of ["x", "1;", "1.5", "9223372036854775808", [], {}, true, 1.5]) {
    assert.throws(() => decode(JSON.stringify({ uid: "a", type: 3, attachmentId: id })), ProtocolError, String(id));
  }
  for (const bytes of [[], [0xc1], [0x80], [0x01, 0x02], [0x81, 0xa9, ...Buffer.from("__proto__"), 0x80]]) {
    assert.throws(() => decodeRow(Uint8Array.from(bytes)), ProtocolError);
  }
});

test("a header is known by its id", () => {
  const payload = (attachmentId) => JSON.stringify({ ...heartbeat, attachmentId });
  for (const none of ["", 0, false, null]) assert.equal(decode(payload(none)).kind, "message");
  for (const [id, expected] of [["17", 17n], [17, 17n], [" +17\n", 17n], ["-1", -1n]]) {
    assert.equal(decode(payload(id)).id, expected);
  }
});
