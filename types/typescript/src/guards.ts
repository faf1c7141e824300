/** What is a message, and what is wrong with what is none. */

import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import type * as Incoming from "./reader.js";
import { schemas } from "./schemas.js";
import type * as Writer from "./writer.js";

/** The types of messages. `message.type === MessageType.BROADCAST` narrows a message to that type. */
export const MessageType = {
  INITIAL_HEARTBEAT: 1,
  HEARTBEAT: 2,
  BROADCAST: 3,
  SOCKETS_JOIN: 4,
  SOCKETS_LEAVE: 5,
  DISCONNECT_SOCKETS: 6,
  FETCH_SOCKETS: 7,
  FETCH_SOCKETS_RESPONSE: 8,
  SERVER_SIDE_EMIT: 9,
  SERVER_SIDE_EMIT_RESPONSE: 10,
  BROADCAST_CLIENT_COUNT: 11,
  BROADCAST_ACK: 12,
  ADAPTER_CLOSE: 13,
} as const satisfies Record<string, Writer.ClusterMessage["type"]>;

/** A message of a type that this version does not know. Its node lives; the rest is to be ignored. */
export interface UnknownMessage {
  type: number;
  data?: unknown;
  uid?: string | null;
  nsp?: string | null;
  [key: string]: unknown;
}

const ajv = new Ajv2020({ strictTypes: false });
for (const schema of schemas) ajv.addSchema(schema);

/** Whether a node may write this value as a message. */
export const isWritable = (value: unknown): value is Writer.ClusterMessage => validator("writer.json")(value);

/** Whether a node must be able to read this value as a message. */
export const isReadable = (value: unknown): value is Incoming.ClusterMessage | UnknownMessage =>
  validator("reader.json")(value);

/** What is wrong with a message, for a writer or for a reader; empty if nothing is. */
export const problems = (value: unknown, side: "writer" | "reader"): string[] => errors(`${side}.json`, value);

/** What is wrong with a value by one of the documents. */
export const errors = (document: string, value: unknown): string[] => {
  const validate = validator(document);
  if (validate(value)) return [];
  // The condition that selects the schema of a type fails with it, and says nothing of its own.
  const real = (validate.errors ?? []).filter(({ keyword }) => keyword !== "if");
  return real.map((error) => `${place(error)}: ${error.message ?? error.keyword}`);
};

const place = ({ instancePath }: ErrorObject): string => instancePath || "message";

const validator = (document: string): ValidateFunction => {
  const validate = ajv.getSchema(document);
  if (validate === undefined) throw new TypeError(`there is no ${document}`);
  return validate;
};
