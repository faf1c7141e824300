// How Node.js's own JSON and @msgpack/msgpack read bytes, for the differential fuzz targets
// (fuzz/src/node.rs).
//
// A question on stdin: its length (4 bytes, big-endian), one letter, the bytes.
// An answer on stdout, in the order of the questions: its length, then `+` and JSON text, or `-`
// and the reason.
//
//   j  JSON text          what JSON.stringify gives for it
//   m  MessagePack        what JSON.stringify gives for it
//   J  a message in JSON  the same, of no more than what a reader takes from a message
//   M  a message in MessagePack
import { decode } from "@msgpack/msgpack";

const questions = {
  j: (bytes) => JSON.parse(bytes.toString()),
  m: (bytes) => decode(bytes),
  J: (bytes) => message(JSON.parse(bytes.toString())),
  M: (bytes) => message(decode(bytes)),
};

/**
 * The parts of a message that a reader uses: keys in one order, unknown keys left out, missing keys
 * with their defaults.
 */
function message({ type, data, uid, nsp, source, requesterUid, nodeId, nonce, replyTo }) {
  return {
    type,
    data: type in parts ? parts[type](data) : data,
    uid: uid ?? undefined,
    nsp: nsp ?? undefined,
    source: text(source),
    requesterUid: text(requesterUid),
    nodeId: text(nodeId),
    nonce: text(nonce),
    replyTo: replyChannel(replyTo),
  };
}

const nothing = () => undefined;
const change = ({ opts, rooms }) => ({ opts: options(opts), rooms });
const response = ({ requestId, packet }) => ({ requestId, packet });

/** The data of each type. */
const parts = {
  1: nothing,
  2: nothing,
  3: ({ packet: { type, data, nsp }, requestId, opts }) => ({
    packet: { type, data, nsp: nsp ?? undefined },
    requestId,
    opts: options(opts),
  }),
  4: change,
  5: change,
  6: ({ opts, close = false }) => ({ opts: options(opts), close }),
  7: ({ opts, requestId }) => ({ opts: options(opts), requestId }),
  8: ({ requestId, sockets }) => ({
    requestId,
    sockets: sockets.map(({ id, handshake, rooms, data }) => ({ id, handshake, rooms: rooms ?? undefined, data })),
  }),
  9: response,
  10: response,
  11: ({ requestId, clientCount }) => ({ requestId, clientCount }),
  12: response,
  13: nothing,
};

function options({ rooms, except, flags }) {
  const isObject = flags !== null && typeof flags === "object" && Object.getPrototypeOf(flags) === Object.prototype;
  return { rooms: rooms ?? [], except: except ?? [], flags: flags == null ? undefined : isObject ? flags : {} };
}

/** Keys that some readers do not know may be used otherwise. */
const text = (value) => (typeof value === "string" ? value : undefined);

/** The name of a reply channel, or undefined when it is not one. */
function replyChannel(value) {
  const fits = (name) => Buffer.byteLength(name) <= 63 && /\?[0-9a-f]{16}$/.test(name) && !/#\/|\0/.test(name);
  return typeof value === "string" && fits(value) ? value : undefined;
}

function answer(question) {
  try {
    return "+" + JSON.stringify(questions[String.fromCharCode(question[0])](question.subarray(1)));
  } catch (error) {
    return "-" + error.message;
  }
}

let pending = Buffer.alloc(0);
process.stdin.on("data", (chunk) => {
  pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
  const answers = [];
  while (pending.length >= 4) {
    const end = 4 + pending.readUInt32BE(0);
    if (pending.length < end) break;
    const bytes = Buffer.from(answer(pending.subarray(4, end)));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    answers.push(length, bytes);
    pending = pending.subarray(end);
  }
  if (answers.length > 0) process.stdout.write(Buffer.concat(answers));
});
