// What the adapter uses as its pool: real pools, and events about what the adapter does with them.
// The adapter itself reports neither when it listens nor when a message is published.

import { EventEmitter } from "node:events";
import pg from "pg";
import { event, log } from "./wire.mjs";

/** What the adapter is given besides a pool. Its errors become events. */
export function adapterOptions({ adapter }) {
  const errorHandler = (error) => {
    log("adapter error:", error);
    event("adapterError", { error: String(error?.message ?? error) });
  };
  return { ...adapter, errorHandler };
}

/** The channel of a namespace. */
export function channelOf({ channelPrefix }, nsp) {
  return `${channelPrefix}#${nsp}`;
}

/**
 * The two methods of `pg.Pool` that the adapter calls.
 *
 * Events: `notification` (channel, payload text) for what arrives on the adapter's listening
 * connection, `listening` (channel) once the first LISTEN on that channel has succeeded.
 */
export class AdapterPool extends EventEmitter {
  #queries;
  #listener;
  #running = new Set();
  #channels = new Map();

  /**
   * Opens the pool, and creates the attachments table if it is missing and creating it is allowed.
   */
  static async open(options) {
    const pool = new AdapterPool(options);
    await pool.#createTable(options.tableName).catch((error) => log("the table is not created:", error.message));
    return pool;
  }

  constructor({ databaseUrl, listenUrl, poolSize, protected: isProtected }) {
    super();
    const open = (connectionString, max) => {
      const pool = new pg.Pool({ connectionString, max });
      pool.on("error", (error) => log("idle connection lost:", error.message));
      if (isProtected) {
        // The pool has no error handler for a connection in use. Without this one, losing the
        // LISTEN connection ends the process.
        pool.on("connect", (client) => client.on("error", (error) => log("connection lost:", error.message)));
      }
      return pool;
    };
    // With one pool the listening connection is one of its `poolSize`; with two, it counts as well.
    this.#queries = open(databaseUrl, listenUrl ? Math.max(1, poolSize - 1) : poolSize);
    this.#listener = listenUrl ? open(listenUrl, 1) : this.#queries;
  }

  query(...args) {
    const running = this.#queries.query(...args);
    this.#running.add(running);
    const done = () => this.#running.delete(running);
    running.then(done, done);
    return running;
  }

  /** The adapter calls this for its listening connection only. */
  async connect() {
    const client = await this.#listener.connect();
    client.on("notification", ({ channel, payload }) => this.emit("notification", channel, payload));
    const query = client.query.bind(client);
    client.query = (text, ...rest) => {
      const result = query(text, ...rest);
      const channel = /^LISTEN "(.*)"$/s.exec(text)?.[1];
      if (channel !== undefined) {
        this.#channel(channel).settle(result);
      }
      return result;
    };
    return client;
  }

  /** Resolves to whether the adapter's first LISTEN on that channel succeeded, once it is known. */
  listens(channel) {
    return this.#channel(channel).listens;
  }

  /** Resolves once a message of type `type` from the node `uid` arrived on the channel. */
  hears(channel, uid, type) {
    return new Promise((resolve) => {
      const look = (heardOn, payload) => {
        const message = heardOn === channel ? parse(payload) : undefined;
        if (message?.uid === uid && message.type === type) {
          this.off("notification", look);
          resolve();
        }
      };
      this.on("notification", look);
    });
  }

  /** Resolves once no query is running, and no query that follows from one. */
  async idle() {
    while (this.#running.size > 0) {
      await Promise.allSettled([...this.#running]);
      await new Promise(setImmediate);
    }
  }

  // As the adapter's README shows it. The lock is there because several nodes start at once.
  async #createTable(name) {
    const client = await this.#queries.connect();
    try {
      await client.query("BEGIN");
      await client.query("SELECT pg_advisory_xact_lock(hashtext('socket_io_attachments'))");
      // Not IF NOT EXISTS alone: it needs the right to create even when the table is there.
      const { rows } = await client.query("SELECT to_regclass($1) AS found", [name]);
      if (rows[0].found === null) {
        await client.query(
          `CREATE TABLE IF NOT EXISTS ${name} (
             id          bigserial UNIQUE,
             created_at  timestamptz DEFAULT NOW(),
             payload     bytea
           )`,
        );
      }
      await client.query("COMMIT");
      client.release();
    } catch (error) {
      client.release(error);
      throw error;
    }
  }

  // Whether the first LISTEN on a channel succeeded.
  #channel(name) {
    if (!this.#channels.has(name)) {
      let settle;
      const first = new Promise((resolve) => (settle = resolve));
      const listens = first.then(
        () => {
          this.emit("listening", name);
          return true;
        },
        (error) => {
          log(`LISTEN ${JSON.stringify(name)} failed:`, error.message);
          return false;
        },
      );
      this.#channels.set(name, { listens, settle });
    }
    return this.#channels.get(name);
  }
}

function parse(payload) {
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}
