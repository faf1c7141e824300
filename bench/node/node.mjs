// A node of @socket.io/postgres-adapter, which the bench starts: commands as JSON lines on stdin
// (see bench/src/wire.rs).
//
// The server has no transport: its namespaces have sockets without clients, and what the adapter
// writes to them is counted. The adapter, its pool and its options are as its documentation starts
// them.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Tally } from "./tally.mjs";
import { NAME, body } from "./event.mjs";

// The packages are the test nodes' packages, at the same versions.
const require = createRequire(new URL("../../tests/node/package.json", import.meta.url));
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/postgres-adapter");
const pg = require("pg");

const LOOK_MILLIS = 2;
const JOIN_MILLIS = 30_000;
const ACK_MILLIS = 5_000;

const { values } = parseArgs({
  options: { url: { type: "string" }, namespaces: { type: "string" }, sockets: { type: "string" } },
});
const pool = new pg.Pool({ connectionString: values.url });
const io = new Server({ adapter: createAdapter(pool, { errorHandler: (error) => console.error(error) }) });
const namespaces = Array.from({ length: Number(values.namespaces) }, (_, index) =>
  io.of(index === 0 ? "/" : `/namespace-${index}`),
);
const tallies = namespaces.map(() => new Tally());
namespaces.forEach((namespace, index) => {
  for (let count = 0; count < Number(values.sockets); count++) {
    connect(namespace, `socket-${process.pid}-${count}`, tallies[index]);
  }
});
// `emit` returns nothing. What the adapter returns tells when the event is published, as the Rust
// contenders' emits do.
const published = namespaces.map((namespace) => {
  const adapter = namespace.adapter;
  const broadcast = adapter.broadcast.bind(adapter);
  const last = { promise: Promise.resolve() };
  adapter.broadcast = (packet, options) => (last.promise = broadcast(packet, options));
  return last;
});

const operations = {
  async join({ nodes }) {
    const deadline = Date.now() + JOIN_MILLIS;
    for (const namespace of namespaces) {
      // The adapter announces itself before it listens and may have missed the replies: the other
      // nodes would stay unknown until their next heartbeat, 5 s later.
      namespace.adapter.init();
      while ((await namespace.adapter.serverCount()) < nodes) {
        if (Date.now() > deadline) {
          throw new Error(`knows of ${await namespace.adapter.serverCount()} nodes, not of ${nodes}`);
        }
        await sleep(LOOK_MILLIS);
      }
    }
    return null;
  },
  async expect({ run, load, keepLatencies }) {
    tallies.forEach((tally) => tally.expect(run, load, keepLatencies));
    return null;
  },
  async emit({ run, load, pace, millis }) {
    const sent = namespaces.map(() => 0);
    let next = 0;
    const emit = () => {
      const index = next;
      next = (next + 1) % namespaces.length;
      const sequence = sent[index]++;
      namespaces[index].emit(NAME, run, sequence, Number(process.hrtime.bigint()), body(load, sequence));
      return published[index].promise;
    };
    const first = now();
    const failed =
      pace.inFlight === undefined
        ? await perSecond(emit, pace.perSecond, millis)
        : await inFlight(emit, pace.inFlight, millis);
    return { sent, failed, first, last: now() };
  },
  async settle({ expected, quietMillis }) {
    let last = 0;
    let since = Date.now();
    while (tallies.some((tally, index) => tally.delivered < expected[index])) {
      const arrival = Math.max(...tallies.map((tally) => tally.last));
      if (arrival > last) {
        [last, since] = [arrival, Date.now()];
      } else if (Date.now() - since > quietMillis) {
        break;
      }
      await sleep(LOOK_MILLIS);
    }
    return Tally.sum(tallies);
  },
  async reportStatistics() {
    await namespaces[0].adapter.client.client.query("SELECT 1");
    return null;
  },
  fetchSockets: ({ millis, expected }) => ask(millis, expected, async () => (await io.fetchSockets()).length),
  broadcastWithAck: ({ millis, expected }) =>
    ask(millis, expected, async () => {
      const acks = await io.timeout(ACK_MILLIS).emitWithAck(NAME, 0, 0, now(), body("small", 0));
      return acks.length;
    }),
};

await listening();
answer({ ok: null });
for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...options } = JSON.parse(line);
  await operations[op](options).then(
    (ok) => answer({ ok }),
    (error) => answer({ error: String(error?.message ?? error) }),
  );
}
process.exit(0);

/** The parts of a connected socket that the adapter uses. */
function connect(namespace, id, tally) {
  const socket = {
    id,
    data: {},
    acks: new Map(),
    handshake: { headers: {}, time: "", address: "", xdomain: false, secure: false, issued: 0, url: "", query: {}, auth: {} },
    get rooms() {
      return namespace.adapter.socketRooms(id) ?? new Set();
    },
    notifyOutgoingListeners() {},
    client: {
      writeToEngine(packets) {
        // Every socket acknowledges at once.
        for (const [number, acknowledge] of socket.acks) {
          socket.acks.delete(number);
          acknowledge("taken");
          return;
        }
        tally.take(packets);
      },
    },
  };
  namespace.sockets.set(id, socket);
  namespace.adapter.addAll(id, new Set([id]));
}

/** Resolves once the adapter's connection listens to every namespace. */
async function listening() {
  const client = namespaces[0].adapter.client;
  while (client.client === undefined) {
    await sleep(LOOK_MILLIS);
  }
  // Queries of a connection are answered in order.
  await client.client.query("SELECT 1");
}

/** As fast as possible, with at most `limit` in flight. */
function inFlight(emit, limit, millis) {
  const end = Date.now() + millis;
  let failed = 0;
  const one = async () => {
    while (Date.now() < end) {
      await emit().catch(() => failed++);
    }
  };
  return Promise.all(Array.from({ length: limit }, one)).then(() => failed);
}

/** This many a second, even if some are lost. */
async function perSecond(emit, rate, millis) {
  const start = performance.now();
  const underWay = new Set();
  let failed = 0;
  let sent = 0;
  for (let passed = 0; passed < millis; passed = performance.now() - start) {
    while (sent <= (passed * rate) / 1000) {
      const one = emit().catch(() => failed++).finally(() => underWay.delete(one));
      underWay.add(one);
      sent++;
    }
    await sleep(Math.max(1, Math.floor(start + (sent * 1000) / rate - performance.now())));
  }
  await Promise.all(underWay);
  return failed;
}

/** Makes one request after the other, and notes how long each complete one took. */
async function ask(millis, expected, question) {
  const end = Date.now() + millis;
  const durations = [];
  let failed = 0;
  while (Date.now() < end) {
    const start = now();
    const count = await question().catch(() => -1);
    if (count === expected) {
      durations.push(now() - start);
    } else {
      failed++;
    }
  }
  return { durations, failed };
}

/** Nanoseconds on CLOCK_MONOTONIC, as the Rust nodes read it. */
function now() {
  return Number(process.hrtime.bigint());
}

function sleep(millis) {
  return new Promise((resolve) => setTimeout(resolve, millis));
}

function answer(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}
