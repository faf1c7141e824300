// One Socket.IO server and its ops, with any adapter.

import { createServer } from "node:http";
import msgpackParser from "socket.io-msgpack-parser";
import { instrument } from "@socket.io/admin-ui";
import { Server } from "socket.io";
import { event, log } from "./wire.mjs";

// Node.js has no default time-out for acknowledgements; this is the one of a Rust server.
const ACK_TIMEOUT_MS = 5_000;

export class Host {
  #io;
  #http = createServer();
  #dynamic;
  #statics;
  #join;
  #adminUi;
  // name of a namespace -> resolves once it takes part in the cluster
  #joined = new Map();
  // name of a namespace -> event -> its acknowledgement
  #replies = new Map();

  /** `join(nsp)` resolves once the namespace's adapter takes part in the cluster. */
  constructor({ namespaces, dynamicNamespaces, parser, adminUi }, adapter, join) {
    this.#join = join;
    this.#statics = namespaces;
    this.#adminUi = adminUi;
    this.#dynamic = dynamicNamespaces;
    this.#io = new Server(this.#http, {
      adapter,
      parser: parser === "msgpack" ? msgpackParser : undefined,
      // acknowledgements of some megabytes
      maxHttpBufferSize: 1e8,
    });
  }

  /** Starts serving; resolves to the port once all static namespaces take part in the cluster. */
  async start() {
    this.#io.on("new_namespace", (nsp) => this.#watch(nsp));
    await this.#watch(this.#io.of("/"));
    // After "/" listens: the adapter issues its first LISTENs one after the other, and a name that
    // breaks one of them would prevent all later ones.
    await Promise.all(this.#statics.map((name) => this.#joined.get(this.#io.of(name).name)));
    for (const pattern of this.#dynamic) {
      this.#io.of(pattern).on("connection", (socket) => this.#onConnection(socket));
    }
    if (this.#adminUi) {
      instrument(this.#io, this.#adminUi);
      await this.#joined.get(this.#adminUi.namespaceName ?? "/admin");
    }
    // Exclusive: the workers of a cluster would share one port.
    await new Promise((resolve) => this.#http.listen({ port: 0, host: "127.0.0.1", exclusive: true }, resolve));
    return this.#http.address().port;
  }

  /** The id of the node in the namespace "/". */
  /** The id of the node in each namespace. */
  get uids() {
    return Object.fromEntries([...this.#io._nsps].map(([name, nsp]) => [name, nsp.adapter.uid]));
  }

  get uid() {
    return this.#io.of("/").adapter.uid;
  }

  /** Announces the node again in a namespace, if it has it. */
  announce(name) {
    this.#io._nsps.get(name)?.adapter.init();
  }

  /**
   * Disconnects all clients and sends the close message of every namespace, without waiting for
   * these to arrive.
   */
  close() {
    this.#io.close().catch((error) => log("close:", error));
  }

  get operations() {
    const on = (operation) => async (command) => operation(await this.#namespace(command.nsp), command);
    const publishing = (operation) => on((nsp, command) => published(nsp, () => operation(nsp, command)));
    return {
      emit: publishing((nsp, command) => select(nsp, command).emit(command.event, ...(command.args ?? []))),
      emitWithAck: on((nsp, command) => {
        const timeout = command.timeout ?? ACK_TIMEOUT_MS;
        return responses(select(nsp, { ...command, timeout }).emitWithAck(command.event, ...(command.args ?? [])));
      }),
      socketsJoin: publishing((nsp, command) => select(nsp, command).socketsJoin(command.join)),
      socketsLeave: publishing((nsp, command) => select(nsp, command).socketsLeave(command.leave)),
      disconnectSockets: publishing((nsp, command) => select(nsp, command).disconnectSockets(command.close)),
      fetchSockets: on(async (nsp, command) => (await select(nsp, command).fetchSockets()).map(description)),
      // Node.js's servers ask for descriptions, and count them.
      countSockets: on(async (nsp, command) => (await select(nsp, command).fetchSockets()).length),
      socketIds: on(async (nsp, command) => (await select(nsp, command).fetchSockets()).map(({ id }) => id)),
      remote: on(remote),
      serverSideEmit: publishing((nsp, { event, args = [] }) => nsp.serverSideEmit(event, ...args)),
      serverSideEmitWithAck: on((nsp, { event, args = [] }) => responses(nsp.serverSideEmitWithAck(event, ...args))),
      replyServerSide: on((nsp, { event, with: values, never }) => {
        this.#replies.get(nsp.name).set(event, never ? undefined : (values ?? []));
      }),
      serverCount: on((nsp) => nsp.adapter.serverCount()),
      // All rooms that this server has, without the rooms of its own sockets' ids.
      localRooms: on((nsp) => [...nsp.adapter.rooms.keys()].filter((room) => !nsp.sockets.has(room))),
      localSockets: on((nsp) => [...nsp.sockets.values()].map(({ id, rooms }) => ({ id, rooms: [...rooms] }))),
      setData: on((nsp, { socket, data }) => {
        localSocket(nsp, socket).data = data;
      }),
    };
  }

  // A namespace, once it takes part in the cluster. A dynamic one is created when it is first
  // named, as in an application.
  #namespace(name = "/") {
    if (!this.#joined.has(name) && this.#dynamic.some((pattern) => pattern.test(name))) {
      this.#io.of(name);
    }
    const joined = this.#joined.get(name);
    if (joined === undefined) {
      throw new Error(`no such namespace: ${name}`);
    }
    return joined;
  }

  // Watches a namespace from its creation; resolves when `#namespace` does.
  #watch(nsp) {
    const replies = new Map();
    this.#replies.set(nsp.name, replies);

    // Socket.IO has no onAny for events of other servers.
    const emitLocally = nsp._onServerSideEmit.bind(nsp);
    nsp._onServerSideEmit = (packet) => {
      const [name, ...args] = packet;
      const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
      event("serverSide", { nsp: nsp.name, name, args });
      // An event without a handler is never acknowledged.
      const values = replies.get(name);
      if (values !== undefined) {
        answer?.(...values);
      }
      emitLocally(packet);
    };

    // `emit` does not report when the message is published.
    const publish = nsp.adapter.doPublish.bind(nsp.adapter);
    nsp.adapter.doPublish = (message) => {
      const publication = publish(message);
      nsp.adapter.publications?.push(publication);
      return publication;
    };

    if (this.#statics.includes(nsp.name)) {
      nsp.on("connection", (socket) => this.#onConnection(socket));
    }
    const joined = this.#join(nsp).then(() => nsp);
    this.#joined.set(nsp.name, joined);
    return joined;
  }

  #onConnection(socket) {
    const about = { nsp: socket.nsp.name, socket: socket.id };
    event("connected", about);
    serveCrowd(socket);
    socket.onAny((name, ...args) => event("packet", { ...about, name, args: withoutCallback(args) }));
    socket.on("disconnect", () => event("disconnected", about));
  }
}

// The requests of the churn suite's clients; the Rust node's `crowd.rs` does the same.
function serveCrowd(socket) {
  socket.on("test:join", (rooms, done) => {
    socket.join(rooms);
    done(null);
  });
  socket.on("test:leave", (rooms, done) => {
    rooms.forEach((room) => socket.leave(room));
    done(null);
  });
  socket.on("test:say", ({ rooms, event, args }, done) => {
    try {
      socket.broadcast.to(rooms).emit(event, ...args);
      done("sent");
    } catch (error) {
      done(`refused: ${error.message}`);
    }
  });
  socket.on("test:ask", async ({ rooms, event, args, timeout }, done) => {
    try {
      done(await responses(socket.broadcast.to(rooms).timeout(timeout).emitWithAck(event, ...args)));
    } catch (error) {
      done({ refused: error.message });
    }
  });
}

// The sockets that a command selects.
function select(nsp, { from, rooms = [], except = [], local, volatile, compress, timeout }) {
  let operator = (from === undefined ? nsp : localSocket(nsp, from).broadcast).to(rooms).except(except);
  if (local) {
    operator = operator.local;
  }
  if (volatile) {
    operator = operator.volatile;
  }
  if (compress !== undefined) {
    operator = operator.compress(compress);
  }
  if (timeout !== undefined) {
    operator = operator.timeout(timeout);
  }
  return operator;
}

// Runs an operation; resolves once its messages are published and have had their effect on this
// node.
async function published(nsp, operation) {
  const publications = [];
  nsp.adapter.publications = publications;
  try {
    // The adapter publishes before it waits, so the queries that are collected here belong to this
    // operation.
    operation();
  } finally {
    nsp.adapter.publications = undefined;
  }
  for (const { status, reason } of await Promise.allSettled(publications)) {
    if (status === "rejected") {
      // Node.js does not report a failed publication to the sender, so this node does not either.
      log("not published:", reason);
    }
  }
  await new Promise(setImmediate);
}

// The result of a request to several nodes: the responses in time, and why some are missing.
async function responses(request) {
  try {
    return { responses: await request, error: null };
  } catch (error) {
    // A socket of this node times out without a list of responses; a cluster's times out with one.
    if (!("responses" in error) && error.message !== "operation has timed out") {
      throw error;
    }
    return { responses: error.responses ?? [], error: error.message };
  }
}

// An operation on one socket, at any server.
async function remote(nsp, command) {
  const found = await nsp.in(command.target).fetchSockets();
  const socket = found.find(({ id }) => id === command.target);
  if (socket === undefined) {
    throw new Error(`no such socket in ${nsp.name}: ${command.target}`);
  }
  switch (command.do) {
    case "emit":
      return published(nsp, () => socket.emit(command.event, ...(command.args ?? [])));
    case "emitWithAck": {
      const operator = socket.timeout(command.timeout ?? ACK_TIMEOUT_MS);
      const response = operator.emitWithAck(command.event, ...(command.args ?? []));
      return responses(response.then((value) => [value]));
    }
    case "join":
      return published(nsp, () => socket.join(command.join));
    case "leave":
      return published(nsp, () => command.leave.forEach((room) => socket.leave(room)));
    case "disconnect":
      return published(nsp, () => socket.disconnect(command.close));
    default:
      throw new Error(`remote cannot do: ${command.do}`);
  }
}

function withoutCallback(args) {
  return typeof args.at(-1) === "function" ? args.slice(0, -1) : args;
}

function description({ id, rooms, handshake, data }) {
  return { id, rooms: [...rooms], handshake, data };
}

function localSocket(nsp, id) {
  const socket = nsp.sockets.get(id);
  if (socket === undefined) {
    throw new Error(`no such socket on this node in ${nsp.name}: ${id}`);
  }
  return socket;
}
