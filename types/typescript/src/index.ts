/**
 * The messages between Socket.IO servers over PostgreSQL.
 *
 * The types that are exported by name are those that a node may write. `Incoming` has those that a node must be able
 * to read, in which more keys may be missing, and more values are unknown.
 */

export type * from "./writer.js";
export type * as Incoming from "./reader.js";
export { MessageType, isReadable, isWritable, problems, type UnknownMessage } from "./guards.js";
export { decode, decodeRow, type Decoded, type DecodedMessage } from "./decode.js";
export { encode, MAX_PAYLOAD_BYTES, type EncodeOptions, type Encoded } from "./encode.js";
export { ProtocolError } from "./error.js";
