// The events that are sent, as bench/src/event.rs describes them.

export const NAME = "message";

const small = text(56);
const large = text(16 * 1024);
const huge = text(64 * 1024);
const binary = Buffer.from(Array.from({ length: 1024 }, (_, index) => index % 251));

/** The last argument of an event. */
export function body(load, sequence) {
  switch (load) {
    case "small":
      return small;
    case "mixed":
      return sequence % 8 === 7 ? large : small;
    case "text64-k":
      return huge;
    case "binary1-k":
      return binary;
    default:
      throw new Error(`unknown load ${load}`);
  }
}

/** Reads what a socket would get and checks every byte: `[run, sequence, stamp]`, or undefined. */
export function read(load, [packet, ...attachments]) {
  const start = packet.indexOf('["message",');
  if (start < 0) {
    return undefined;
  }
  let rest = start + '["message",'.length;
  const number = () => {
    const end = packet.indexOf(",", rest);
    const value = Number(packet.slice(rest, end));
    rest = end + 1;
    return value;
  };
  const header = [number(), number(), number()];
  const expected = body(load, header[1]);
  const isWhole =
    typeof expected === "string"
      ? attachments.length === 0 &&
        packet.length === rest + expected.length + 3 &&
        packet.startsWith(expected, rest + 1) &&
        packet.endsWith('"]')
      : attachments.length === 1 && expected.equals(attachments[0]);
  return isWhole ? header : undefined;
}

function text(length) {
  return "abcdefghijklmnopqrstuvwxyz".repeat(Math.ceil(length / 26)).slice(0, length);
}
