// A test node: one Socket.IO server on the official Postgres adapter, driven by JSON lines.
//
//   node server.mjs --database-url URL [options]
//       one server
//   node server.mjs --database-url URL --cluster-workers N [options]
//       a primary and N workers; commands take `worker`
//
// options.mjs has the options, wire.mjs the commands and answers, host.mjs the ops.

import cluster from "node:cluster";
import { MessageType } from "socket.io-adapter";
import { createAdapter } from "@socket.io/postgres-adapter";
import { createAdapter as createWorkerAdapter } from "@socket.io/cluster-adapter";
import { Host } from "./host.mjs";
import { readOptions } from "./options.mjs";
import { AdapterPool, adapterOptions, channelOf } from "./postgres.mjs";
import { runPrimary } from "./primary.mjs";
import { print, serve } from "./wire.mjs";

const options = readOptions();
if (cluster.isWorker) {
  await runWorker();
} else if (options.clusterWorkers > 0) {
  await runPrimary(options);
} else {
  await runServer();
}

async function runServer() {
  const pool = await AdapterPool.open(options);
  const host = new Host(options, createAdapter(pool, adapterOptions(options)), async (nsp) => {
    const channel = channelOf(options, nsp.name);
    if (!(await pool.listens(channel))) {
      return;
    }
    // The adapter announced itself before it listened and may have missed the responses. Without
    // this, other nodes would stay unknown until their next heartbeat, 5 s later.
    const heard = pool.hears(channel, nsp.adapter.uid, MessageType.INITIAL_HEARTBEAT);
    nsp.adapter.init();
    // PostgreSQL does not notify on longer channels, so the node hears nothing there: a known
    // defect.
    if (Buffer.byteLength(channel) <= 63) {
      await heard;
    }
  });

  const port = await host.start();
  const operations = { ...host.operations, idle: () => pool.idle() };
  serve(operations, async () => {
    host.close();
    await pool.idle();
  });
  print({ ready: true, port, uid: host.uid, uids: host.uids });
}

async function runWorker() {
  // The primary listens for the workers, and tells them to announce themselves again once it does.
  const host = new Host(options, createWorkerAdapter(options.adapter), async () => {});
  const port = await host.start();
  const operations = { ...host.operations, announce: ({ nsp }) => host.announce(nsp) };
  serve(operations, async () => host.close());
  print({ ready: true, port, uid: host.uid });
}
