// The command line of servers and emitters, the same names for test nodes in every language.

import { parseArgs } from "node:util";

const ONE = { type: "string" };
const MANY = { type: "string", multiple: true };

/** The options, with numbers as numbers, and with Node.js's own defaults. */
export function readOptions() {
  const { values } = parseArgs({
    options: {
      "database-url": ONE,
      "listen-url": ONE,
      "channel-prefix": ONE,
      table: ONE,
      "payload-threshold": ONE,
      "heartbeat-interval-ms": ONE,
      "heartbeat-timeout-ms": ONE,
      "cleanup-interval-ms": ONE,
      namespace: { ...MANY, default: ["/"] },
      "dynamic-namespace": MANY,
      parser: { ...ONE, default: "common" },
      "pool-size": { ...ONE, default: "10" },
      // Node.js only: a primary with this many workers instead of a plain server.
      "cluster-workers": { ...ONE, default: "0" },
      // Node.js only: set up as the adapter's README shows it. Such a server crashes when its
      // listening connection is lost.
      unprotected: { type: "boolean", default: false },
      // The Admin UI, with these options as JSON: those of `instrument`.
      "admin-ui": ONE,
    },
  });
  const databaseUrl = values["database-url"] ?? process.env.DATABASE_URL;
  if (databaseUrl === undefined) {
    throw new Error("--database-url or DATABASE_URL is required, e.g. postgres://postgres@127.0.0.1:5432/test");
  }
  if (!["common", "msgpack"].includes(values.parser)) {
    throw new Error(`--parser is common or msgpack, not ${values.parser}`);
  }

  const number = (name) => {
    const value = values[name] === undefined ? undefined : Number(values[name]);
    if (Number.isNaN(value)) {
      throw new Error(`--${name} takes a number, not ${values[name]}`);
    }
    return value;
  };

  return {
    databaseUrl,
    listenUrl: values["listen-url"],
    namespaces: values.namespace,
    dynamicNamespaces: (values["dynamic-namespace"] ?? []).map((pattern) => new RegExp(pattern)),
    parser: values.parser,
    poolSize: number("pool-size"),
    clusterWorkers: number("cluster-workers"),
    protected: !values.unprotected,
    adminUi: values["admin-ui"] && JSON.parse(values["admin-ui"]),
    channelPrefix: values["channel-prefix"] ?? "socket.io",
    tableName: values.table ?? "socket_io_attachments",
    // What the packages are given: only options that were set, because undefined would replace a
    // default.
    adapter: withoutUndefined({
      channelPrefix: values["channel-prefix"],
      tableName: values.table,
      payloadThreshold: number("payload-threshold"),
      heartbeatInterval: number("heartbeat-interval-ms"),
      heartbeatTimeout: number("heartbeat-timeout-ms"),
      cleanupInterval: number("cleanup-interval-ms"),
    }),
  };
}

function withoutUndefined(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
