// The same values as the Rust crate: CASES has {"payload","row","json"} in each line, a notification,
// the bytes of its row in hex, and the message as the crate reads it. `json` is null if it is refused.
//
// cargo test -p socketio-pg-tests --test language_types

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decode, decodeRow, encode, isWritable, ProtocolError } from "../dist/index.js";

const cases = process.env.CASES;
const lines = cases === undefined ? [] : readFileSync(cases, "utf8").trim().split("\n");

/** As the crate writes binary in JSON. */
const tree = (value) => JSON.parse(JSON.stringify(value, (_, of) => (of instanceof Uint8Array ? Buffer.from(of) : of)));

const read = ({ payload, row }) => {
  const decoded = payload === undefined ? undefined : decode(payload);
  return decoded?.kind === "message" || decoded?.kind === "unknown" ? decoded : decodeRow(Buffer.from(row, "hex"));
};

test("the values are those that the crate reads, and are written as it writes them", { skip: cases === undefined && "CASES is not set" }, (context) => {
  const count = { read: 0, refused: 0, written: 0 };
  for (const line of lines) {
    const { payload, row, json, same } = JSON.parse(line);
    if (json === null) {
      assert.throws(() => read({ payload, row }), ProtocolError, line.slice(0, 500));
      count.refused += 1;
      continue;
    }
    const { message } = read({ payload, row });
    // JavaScript writes -0 as 0.
    assert.deepEqual(tree(message), tree(JSON.parse(json)), line.slice(0, 500));
    count.read += 1;
    if (!isWritable(message) || same === false) continue;
    const encoded = encode(message, { threshold: row === undefined ? 8000 : 0 });
    if (row === undefined) assert.equal(encoded.payload, payload);
    else assert.equal(Buffer.from(encoded.row).toString("hex"), row, line.slice(0, 500));
    count.written += 1;
  }
  context.diagnostic(JSON.stringify(count));
});

test("a packed message is read as any other", () => {
  const origin = `"uid":"8f42b1c09d5e7a36","nsp":"/","source":"_sio_adapter"`;
  const packed = "gqR0eXBlA6RkYXRhgqZwYWNrZXSCpHR5cGUCpGRhdGGSpWNodW5rxAMBAgOkb3B0c4Olcm9vbXOQpmV4Y2VwdJClZmxhZ3OA";
  const { kind, message } = decode(`{"packed":"${packed}",${origin}}`);
  assert.equal(kind, "message");
  assert.deepEqual(message, {
    type: 3,
    data: {
      packet: { type: 2, data: ["chunk", new Uint8Array([1, 2, 3])] },
      opts: { rooms: [], except: [], flags: {} },
    },
    uid: "8f42b1c09d5e7a36",
    nsp: "/",
    source: "_sio_adapter",
  });
  for (const wrong of [`17`, `null`, `"?"`, `"wQ=="`, `"kA=="`, `"gaR0eXBlAw=="`]) {
    assert.throws(() => decode(`{"packed":${wrong},${origin}}`), ProtocolError, wrong);
  }
  // {"type":2,"uid":7}, and {"type":2} with bits behind the last byte
  for (const inner of ["gqR0eXBlAqN1aWQH", "gaR0eXBlAh=="]) {
    assert.deepEqual(decode(`{"data":{"x":1},"packed":"${inner}","uid":"a","nsp":"/"}`).message, { type: 2, uid: "a", nsp: "/" });
  }
  assert.equal(decode(`{"type":2,"packed":17,${origin}}`).message.type, 2);
});
