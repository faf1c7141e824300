// The primary of a Node.js cluster: it alone uses PostgreSQL, its workers serve the sockets.
//
// The primary passes each command to the worker that its `worker` names (the first is 0, the
// default), and prints what the workers print, with `worker` added to events. Its first line has
// the `ports` and `uids` of all workers. `close` without a `worker` closes all workers and the
// primary.

import cluster from "node:cluster";
import { setupPrimary } from "@socket.io/postgres-adapter";
import { MessageType } from "socket.io-adapter";
import { AdapterPool, adapterOptions, channelOf } from "./postgres.mjs";
import { inConversation, log, ofConversation, print, serveRaw } from "./wire.mjs";

export async function runPrimary(options) {
  const pool = await AdapterPool.open(options);
  // What the adapter sees of node:cluster. The published package looks for its import's `default`,
  // which does not exist. It also publishes whatever workers send, which must not include their
  // answers to this process.
  cluster.default = {
    isPrimary: true,
    get workers() {
      return cluster.workers;
    },
    on: (name, take) => cluster.on(name, (worker, message) => ofConversation(message) ?? take(worker, message)),
  };
  // Keeps binary as binary.
  cluster.setupPrimary({ serialization: "advanced" });
  setupPrimary(pool, adapterOptions(options));

  const workers = Array.from({ length: options.clusterWorkers }, (_, index) => new Worker(index));
  const announce = (nsp) => Promise.all(workers.map((worker) => worker.call({ op: "announce", nsp })));
  const prefix = channelOf(options, "");

  const ready = await Promise.all(workers.map((worker) => worker.ready));
  const heard = ready.map(({ uid }) => pool.hears(channelOf(options, "/"), uid, MessageType.INITIAL_HEARTBEAT));
  // As in a plain server: the first announcement was sent before anything listened.
  pool.on("listening", (channel) => {
    announce(channel.slice(prefix.length)).catch((error) => log("not announced:", error.message));
  });
  for (const nsp of new Set(["/", ...options.namespaces])) {
    if (await pool.listens(channelOf(options, nsp))) {
      await announce(nsp);
    }
  }
  await Promise.all(heard);

  serveWorkers(workers, pool);
  const ports = ready.map(({ port }) => port);
  const uids = ready.map(({ uid }) => uid);
  print({ ready: true, port: ports[0], uid: uids[0], ports, uids });
}

function serveWorkers(workers, pool) {
  const carryOut = async ({ id, worker: index = 0, ...command }) => {
    const worker = workers[index];
    if (worker === undefined) {
      throw new Error(`no such worker: ${index}`);
    }
    const ok = await (command.op === "close" ? worker.close() : worker.call(command));
    // What it published has arrived here before its answer.
    await pool.idle();
    return ok;
  };
  const leave = async () => {
    await Promise.all(workers.map((worker) => worker.close()));
    await pool.idle();
  };
  serveRaw(carryOut, leave);
}

class Worker {
  #worker = cluster.fork();
  #ended;
  #lastId = 0;
  #waiting = new Map();

  constructor(index) {
    this.#ended = new Error(`worker ${index} has ended`);
    this.gone = new Promise((resolve) => this.#worker.once("disconnect", resolve));
    this.gone.then(() => this.#waiting.forEach(({ reject }) => reject(this.#ended)));
    this.ready = new Promise((resolve, reject) => {
      this.gone.then(() => reject(this.#ended));
      this.#worker.on("message", (wrapped) => {
        const message = ofConversation(wrapped);
        if (message?.ready) {
          resolve(message);
        } else if (message?.event) {
          print({ ...message, worker: index });
        } else if (message !== undefined) {
          this.#answered(message);
        }
      });
    });
  }

  /** Makes the worker carry out a command; resolves to its answer. */
  call(command) {
    if (!this.#worker.isConnected()) {
      return Promise.reject(this.#ended);
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.send(inConversation(JSON.stringify({ ...command, id })));
    });
  }

  async close() {
    if (this.#worker.isConnected()) {
      await Promise.all([this.call({ op: "close" }), this.gone]);
    }
  }

  #answered({ id, ok, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) {
      resolve(ok);
    } else {
      reject(new Error(error));
    }
  }
}
