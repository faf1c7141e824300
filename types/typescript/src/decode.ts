/** Notifications and rows, read: what arrives may be anything. */

import { decode as fromMessagePack } from "@msgpack/msgpack";
import { ProtocolError } from "./error.js";
import { MessageType, errors, type UnknownMessage } from "./guards.js";
import type { ClusterMessage, NotificationHeader } from "./reader.js";

/** Ids are kept, so longer ones are refused. */
const MAX_ID_BYTES = 256;
const MAX_ROW = 2n ** 63n - 1n;
const LAST_TYPE = 13;

export type DecodedMessage =
  | { kind: "message"; message: ClusterMessage }
  /** A type that this version does not know: its node lives; ignore the rest. */
  | { kind: "unknown"; message: UnknownMessage };

export type Decoded =
  | DecodedMessage
  /** The message is the row with this `id`: give its `payload` to `decodeRow`. */
  | { kind: "header"; header: NotificationHeader; id: bigint };

/**
 * Reads the payload of a notification.
 *
 * @throws {ProtocolError} if it is neither a message nor a header. Report it, and go on with the next one.
 */
export const decode = (payload: string): Decoded => {
  const value = attempt("JSON", () => JSON.parse(payload) as unknown);
  check("reader-notification.json", value);
  const header = value as NotificationHeader;
  const { attachmentId } = header;
  // JavaScript sees no id in "", 0, false and null.
  if (!attachmentId) return classify(isPacked(value) ? unpacked(value) : value);
  checkIds(envelopeIds(header));
  const id = BigInt(typeof attachmentId === "string" ? attachmentId.trim().replace(/^\+/, "") : attachmentId);
  if (id > MAX_ROW || id < -MAX_ROW - 1n) throw new ProtocolError(`/attachmentId: ${id} is not the number of a row`);
  return { kind: "header", header, id };
};

/**
 * Reads the `payload` of a row.
 *
 * @throws {ProtocolError} if it is not a message.
 */
export const decodeRow = (bytes: Uint8Array): DecodedMessage => {
  const value = attempt("MessagePack", () => fromMessagePack(bytes));
  check("reader.json", value);
  return classify(value);
};

type Packed = { packed: string; [key: string]: unknown };

const isPacked = (value: unknown): value is Packed =>
  (value as Packed).packed !== undefined && (value as Packed).type === undefined;

/** The message of which `type` and `data` are packed. */
const unpacked = ({ packed, data: _, ...origin }: Packed): unknown => {
  const inner = attempt("MessagePack", () => fromMessagePack(Uint8Array.from(Buffer.from(packed, "base64"))));
  if (typeof inner !== "object" || inner === null) throw new ProtocolError("not a message: what is packed is not an object");
  const { type, data } = inner as Record<string, unknown>;
  const message = { type, ...(data === undefined ? {} : { data }), ...origin };
  check("reader.json", message);
  return message;
};

const check = (document: string, value: unknown): void => {
  const found = errors(document, value);
  if (found.length > 0) throw new ProtocolError(`not a message: ${found.join("; ")}`);
};

const classify = (value: unknown): DecodedMessage => {
  const envelope = value as UnknownMessage;
  checkIds(envelopeIds(envelope));
  if (envelope.type < 1 || envelope.type > LAST_TYPE) return { kind: "unknown", message: envelope };
  const message = value as ClusterMessage;
  checkIds(dataIds(message));
  return { kind: "message", message };
};

type Id = [key: string, value: unknown];

const envelopeIds = ({ uid, nonce, requesterUid, nodeId }: Record<string, unknown>): Id[] =>
  Object.entries({ uid, nonce, requesterUid, nodeId });

const dataIds = ({ type, data }: ClusterMessage): Id[] => {
  switch (type) {
    case MessageType.FETCH_SOCKETS_RESPONSE:
      return [["requestId", data.requestId], ...data.sockets.map(({ id }): Id => ["id", id])];
    case MessageType.BROADCAST:
    case MessageType.FETCH_SOCKETS:
    case MessageType.SERVER_SIDE_EMIT:
    case MessageType.SERVER_SIDE_EMIT_RESPONSE:
    case MessageType.BROADCAST_CLIENT_COUNT:
    case MessageType.BROADCAST_ACK:
      return [["requestId", data.requestId]];
    default:
      return [];
  }
};

/** The schemas limit the characters of ids, not their bytes. */
const checkIds = (ids: Id[]): void => {
  for (const [key, id] of ids) {
    if (typeof id === "string" && Buffer.byteLength(id) > MAX_ID_BYTES) {
      throw new ProtocolError(`not a message: ${key} has more than ${MAX_ID_BYTES} bytes`);
    }
  }
};

const attempt = <T>(form: string, read: () => T): T => {
  try {
    return read();
  } catch (cause) {
    throw new ProtocolError(`not ${form}: ${(cause as Error).message}`, { cause });
  }
};
