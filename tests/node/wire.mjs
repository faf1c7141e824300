// How a test node talks to the process that started it: JSON lines, with commands on stdin, and
// answers and events on stdout. Nothing else may write to stdout.
//
// A worker of a Node.js cluster does the same with its primary, over the channel by which it
// publishes. So its answer to a command comes after what the command published.

import cluster from "node:cluster";

const BINARY = "$bin";
const CODE = "$js";
const UTF16 = "$utf16";
// The key that distinguishes these lines from what a worker publishes.
const TEST = "testNode";

/** Prints one line, and calls `done` once it is written. */
export function print(message, done = () => {}) {
  if (cluster.isWorker) {
    process.send(inConversation(message), done);
  } else {
    process.stdout.write(JSON.stringify(message) + "\n", done);
  }
}

/** The message that a primary and its workers send each other for a line. */
export function inConversation(message) {
  return { [TEST]: message };
}

/** The inverse: undefined for other messages. */
export function ofConversation(message) {
  return message?.[TEST];
}

/** Prints an event. */
export function event(name, fields) {
  print({ event: name, ...toWire(fields) });
}

/** Prints to stderr, for people. */
export function log(...parts) {
  console.error(...parts);
}

/**
 * Serves commands until stdin ends. `operations` maps an op to a function of its command, whose
 * result is the answer. `leave` makes the node leave the cluster; it is called once, for the op
 * `close` or when stdin ends, and then the process exits.
 */
export function serve(operations, leave) {
  const carryOut = async (command) => {
    if (!Object.hasOwn(operations, command.op)) {
      throw new Error(`unknown op: ${command.op}`);
    }
    return toWire(await operations[command.op](fromWire(command)));
  };
  serveRaw(carryOut, leave);
}

/**
 * As `serve`, for one function that takes all commands as they were sent and returns answers as
 * they are printed.
 */
export function serveRaw(carryOut, leave) {
  let left;
  const leaveOnce = () => (left ??= leave());

  const answer = async (text) => {
    let command = {};
    try {
      command = JSON.parse(text);
      // The primary of a cluster can also close one worker, and goes on.
      const isLast = command.op === "close" && command.worker === undefined;
      const ok = await (isLast ? leaveOnce() : carryOut(command));
      print({ id: command.id, ok: ok ?? null }, isLast ? () => process.exit(0) : undefined);
    } catch (error) {
      print({ id: command?.id ?? null, error: String(error?.message ?? error) });
    }
  };

  if (cluster.isWorker) {
    // A worker whose primary has gone exits by itself.
    process.on("message", (message) => ofConversation(message) && answer(ofConversation(message)));
    return;
  }
  onLine(process.stdin, answer);
  const end = async () => {
    // When the database is gone, the process must end all the same.
    setTimeout(() => process.exit(1), 5_000).unref();
    await leaveOnce();
    process.exit(0);
  };
  process.stdin.on("end", end);
  process.on("SIGTERM", end);
  // The reader has closed its end.
  process.stdout.on("error", () => process.exit(1));
}

/** A value in a form that the other side can read: binary as `{"$bin": base64}`, at any depth. */
export function toWire(value) {
  if (typeof value === "string") {
    // A lone surrogate has no UTF-8: such a string would make the whole line unreadable.
    return value.isWellFormed?.() === false ? { [UTF16]: Buffer.from(value, "utf16le").toString("base64") } : value;
  }
  if (ArrayBuffer.isView(value)) {
    return { [BINARY]: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (value instanceof ArrayBuffer) {
    return { [BINARY]: Buffer.from(value).toString("base64") };
  }
  // JSON.stringify handles values with a toJSON, such as a Date.
  return typeof value?.toJSON === "function" ? value : mapChildren(value, toWire);
}

/**
 * The inverse of `toWire`. On Node.js only: `{"$js": "new Date(0)"}` is the value of that
 * expression, for values that JSON cannot express.
 */
export function fromWire(value) {
  const keys = value !== null && typeof value === "object" ? Object.keys(value) : [];
  if (keys.length === 1 && typeof value[keys[0]] === "string") {
    switch (keys[0]) {
      case BINARY:
        return Buffer.from(value[BINARY], "base64");
      case UTF16:
        return Buffer.from(value[UTF16], "base64").toString("utf16le");
      case CODE:
        return new Function(`return (${value[CODE]});`)();
    }
  }
  return mapChildren(value, fromWire);
}

// Loops, not callbacks: with one stack frame for each level, thousands of levels are possible.
function mapChildren(value, map) {
  if (Array.isArray(value)) {
    const mapped = [];
    for (const item of value) {
      mapped.push(map(item));
    }
    return mapped;
  }
  if (value !== null && typeof value === "object") {
    const entries = [];
    for (const key of Object.keys(value)) {
      entries.push([key, map(value[key])]);
    }
    // fromEntries defines keys, so "__proto__" is a key like any other.
    return Object.fromEntries(entries);
  }
  return value;
}

// Calls `take` with each line of a stream. Only "\n" ends a line: readline would also split at
// U+2028.
function onLine(stream, take) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    lines.filter((line) => line.trim() !== "").forEach(take);
  });
}
