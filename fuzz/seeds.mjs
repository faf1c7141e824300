// Writes seeds/: recorded messages of Node.js servers, one of each kind, and a few inputs by hand.
//
//     cd tests/node && npm ci && cd - && node fuzz/seeds.mjs
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../tests/node/package.json", import.meta.url));
const { decode, encode } = require("@msgpack/msgpack");

const MAX_BYTES = 1500;
const captures = new URL("../protocol/tests/fixtures/captures/", import.meta.url);
const seeds = new URL("seeds/", import.meta.url);
rmSync(seeds, { recursive: true, force: true });

function write(folder, bytes) {
  if (bytes.length > MAX_BYTES) return;
  mkdirSync(new URL(`${folder}/`, seeds), { recursive: true });
  const name = createHash("sha1").update(bytes).digest("hex").slice(0, 16);
  writeFileSync(new URL(`${folder}/${name}`, seeds), bytes);
}

/** The shape of a value, so that one of several alike is enough. */
function shape(value) {
  if (Array.isArray(value)) return `[${value.map(shape)}]`;
  if (value === null || typeof value !== "object") return typeof value === "number" ? `n${value % 1 === 0}` : typeof value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value.constructor.name;
  return `{${Object.entries(value).map(([key, value]) => key + shape(value))}}`;
}

const seen = new Set();
function isNew(kind, value, type) {
  const key = `${kind} ${type} ${shape(value)}`;
  return !seen.has(key) && seen.add(key);
}

for (const file of readdirSync(captures).filter((name) => name.endsWith(".jsonl"))) {
  for (const line of readFileSync(new URL(file, captures), "utf8").split("\n").filter(Boolean)) {
    const { payload, attachment_hex } = JSON.parse(line);
    const message = JSON.parse(payload);
    if (isNew("json", message, message.type)) write("json", Buffer.from(payload));
    if (Array.isArray(message.data?.packet?.data) && isNew("event", message.data.packet.data)) {
      write("values", Buffer.from(JSON.stringify(message.data.packet.data)));
    }
    if (!attachment_hex) continue;
    const attachment = Buffer.from(attachment_hex, "hex");
    let type, data;
    try {
      ({ type, data } = decode(attachment));
    } catch {
      write("msgpack", attachment); // Node.js refuses a key `__proto__`
      continue;
    }
    if (isNew("msgpack", data, type)) write("msgpack", attachment);
    if (Array.isArray(data?.packet?.data) && isNew("packed event", data.packet.data)) {
      // its bytes within the message: encoded again, they would differ from what was sent
      const start = attachment.indexOf(Buffer.from([0xa4, ...Buffer.from("data")]), attachment.indexOf("packet")) + 5;
      for (let end = start + 1; end <= attachment.length; end++) {
        try {
          decode(attachment.subarray(start, end));
          write("values", attachment.subarray(start, end));
          break;
        } catch {}
      }
    }
  }
}

// a client's event with two attachments, 0xff between them
write("values", Buffer.from('["event",{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]\xffone\xfftwo', "latin1"));
for (const value of [["e", 1.5, -1, 2 ** 53, 2 ** 31, null, true, "é"], ["e", new Date(1e12), { 1: "a", b: [] }]]) write("values", encode(value));
// extensions of notepack.io: a date, undefined
write("values", Buffer.from("93a165d70000000138cfe56800d40000", "hex"));

for (const name of ["/", "/admin", `/${"é".repeat(40)}`, '/a"b', "p\0/", `${"p".repeat(60)}\0/é`, "\0", `/${"😀".repeat(20)}`]) write("channel", Buffer.from(name));

// operations, as src/cluster.rs reads them
const [JOIN, LEAVE, PUBLISH, WAIT, FETCH, EMIT, BROADCAST, CANCEL, HEAR] = [0, 1, 2, 3, 6, 7, 8, 9, 10];
const hear = (node, ...body) => [HEAR, 0x20 + 3 + node, ...body];
const lives = [
  [JOIN, ...hear(0, 1), ...hear(1, 0), FETCH, 50, ...hear(0, 6, 0), ...hear(1, 6, 0)],
  [JOIN, ...hear(0, 1), EMIT, 50, WAIT, 40, ...hear(0, 1), WAIT, 250, WAIT, 250],
  [JOIN, ...hear(0, 1), ...hear(1, 1), BROADCAST, 100, ...hear(0, 10, 0), ...hear(0, 8, 0, 1), ...hear(1, 8, 0, 0)],
  [JOIN, ...hear(0, 1), BROADCAST, 100, ...hear(0, 2), WAIT, 200, LEAVE],
  [JOIN, ...hear(0, 1), FETCH, 20, CANCEL, 0, ...hear(0, 6, 0), PUBLISH, WAIT, 100, LEAVE, ...hear(0, 0)],
  [JOIN, ...[0, 1, 2, 3, 4, 5].flatMap((node) => hear(node, 1)), BROADCAST, 10, EMIT, 10, FETCH, 10, WAIT, 200],
];
for (const life of lives) write("cluster", Buffer.from(life));
