/** A message that cannot be read or must not be written. The text says what is wrong with it, and where. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}
