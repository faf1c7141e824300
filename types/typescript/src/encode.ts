/** Messages as they are sent: in a notification, or as a row of the attachments table. */

import { encode as toMessagePack } from "@msgpack/msgpack";
import { ProtocolError } from "./error.js";
import { problems } from "./guards.js";
import type { ClusterMessage } from "./writer.js";

/** What PostgreSQL takes as the payload of a notification. */
export const MAX_PAYLOAD_BYTES = 7999;

/** A namespace longer than this is left out of a header: readers take it from the channel. */
const MAX_HEADER_NAMESPACE_BYTES = Math.floor(MAX_PAYLOAD_BYTES / 8);

export interface EncodeOptions {
  /** From how many bytes on a message is a row, as the adapter's `payloadThreshold`. At most 8000, the default. */
  threshold?: number;
}

export type Encoded =
  /** Publish `payload`. */
  | { kind: "inline"; payload: string }
  /** Insert `row` as the `payload` of the table, and publish `header(id)` in the same transaction. */
  | { kind: "attachment"; row: Uint8Array; header: (id: bigint | number | string) => string };

/**
 * Writes a message. With binary in it, or if it is too long for a notification, it becomes a row.
 *
 * @throws {ProtocolError} if no node may write it: no other would understand it.
 */
export const encode = (message: ClusterMessage, { threshold = MAX_PAYLOAD_BYTES + 1 }: EncodeOptions = {}): Encoded => {
  const found = problems(message, "writer");
  if (found.length > 0) throw new ProtocolError(`not a message that may be written: ${found.join("; ")}`);
  const present = withoutUndefined(message);
  if (!attempt("JSON", () => hasBinary(present))) {
    const payload = attempt("JSON", () => JSON.stringify(present));
    const bytes = Buffer.byteLength(payload);
    if (bytes < threshold && bytes <= MAX_PAYLOAD_BYTES) return { kind: "inline", payload };
  }
  const row = attempt("MessagePack", () => toMessagePack(present));
  return { kind: "attachment", row, header: (id) => header(present, id) };
};

const header = ({ uid, type, nsp }: ClusterMessage, id: bigint | number | string): string => {
  // Any other is an error of the reader, long after it was published.
  if (!/^[1-9][0-9]{0,18}$/.test(String(id))) throw new ProtocolError(`${id} is not the number of a row`);
  const named = Buffer.byteLength(nsp) <= MAX_HEADER_NAMESPACE_BYTES ? { nsp } : {};
  return JSON.stringify({ uid, type, ...named, attachmentId: String(id) });
};

/** MessagePack would write these keys as nil, which readers take for a value: an acknowledgement would be wanted. */
const withoutUndefined = (message: ClusterMessage): ClusterMessage => {
  const present = <T extends object>(object: T): T =>
    Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
  const whole = present(message);
  if (!("data" in whole)) return whole;
  const data = present(whole.data as object) as Record<string, unknown>;
  for (const part of ["opts", ...(whole.type === 3 ? ["packet"] : [])]) {
    if (data[part] !== undefined) data[part] = present(data[part] as object);
  }
  return { ...whole, data } as unknown as ClusterMessage;
};

const hasBinary = (value: unknown): boolean => {
  if (value === null || typeof value !== "object") return false;
  if (ArrayBuffer.isView(value)) return true;
  if (value instanceof ArrayBuffer) {
    throw new ProtocolError("an ArrayBuffer would arrive as an empty object: wrap it in a Uint8Array");
  }
  if ("toJSON" in value && typeof value.toJSON === "function") {
    const json: unknown = value.toJSON();
    // A date is a text.
    return json !== value && hasBinary(json);
  }
  return Object.values(value).some(hasBinary);
};

const attempt = <T>(form: string, write: () => T): T => {
  try {
    return write();
  } catch (cause) {
    // Also when the stack is too small for a circular value, or for one that is nested too deep.
    throw new ProtocolError(`cannot be written as ${form}: ${(cause as Error).message}`, { cause });
  }
};
