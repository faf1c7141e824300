// A test node without a server: a process with any number of Socket.IO clients, driven by JSON
// lines.
//
//   node client.mjs
//
// In addition to the common interface, `connect` takes `over`: the number of a client whose
// connection it shares, as a browser does for several namespaces of one server.
//
// An event that wants an acknowledgement gets one at once and without arguments, unless the op
// `reply` sets another.

import msgpackParser from "socket.io-msgpack-parser";
import { Manager } from "socket.io-client";
import { event, print, serve } from "./wire.mjs";

const clients = [];

serve(
  {
    async connect({ port, nsp = "/", auth, query, headers, transports = ["websocket"], parser = "common", over }) {
      const manager =
        over === undefined
          ? new Manager(`http://127.0.0.1:${port}`, {
              query,
              extraHeaders: headers,
              transports,
              parser: parser === "msgpack" ? msgpackParser : undefined,
              // A lost connection stays lost, so that tests can see it.
              reconnection: false,
            })
          : client(over).socket.io;
      return new Client(clients.length, manager.socket(nsp, { auth })).connected();
    },
    emit({ client: index, event, args = [] }) {
      client(index).connectedSocket().emit(event, ...args);
    },
      // The arguments of the server's acknowledgement, `{"$lost": reason}` when it will never come.
    ask({ client: index, event, args = [], timeout = 60_000 }) {
      return client(index).ask(event, args, timeout);
    },
    reply({ client: index, event, with: values = [], never = false, afterMs }) {
      client(index).replies.set(event, { values, never, afterMs });
    },
    // Why it is disconnected, null while it is connected.
    ended: ({ client: index }) => client(index).ended,
    received: ({ client: index }) => client(index).received,
    disconnect({ client: index }) {
      client(index).connectedSocket().disconnect();
    },
  },
  async () => clients.forEach(({ socket }) => socket.disconnect()),
);
print({ ready: true });

class Client {
  received = [];
  replies = new Map();
  ended = null;

  constructor(index, socket) {
    this.index = index;
    this.socket = socket;
    clients.push(this);
    // Set before it is connected, because the server may emit at once.
    socket.onAny((name, ...args) => this.#onPacket(name, args));
    socket.on("disconnect", (reason, details) => {
      this.ended = details instanceof Error ? `${reason}: ${causeOf(details)}` : reason;
      event("disconnect", { client: index, reason: this.ended });
    });
  }

  connected() {
    return new Promise((resolve, reject) => {
      this.socket.once("connect", () => resolve({ client: this.index, socket: this.socket.id }));
      this.socket.once("connect_error", (error) => reject(new Error(`cannot connect: ${error.message}`)));
      this.socket.once("disconnect", (reason) => reject(new Error(`cannot connect: ${reason}`)));
    });
  }

  ask(event, args, timeout) {
    return new Promise((resolve) => {
      // When the connection ends, the acknowledgement cannot come any more.
      const lost = (reason) => resolve([{ $lost: reason }]);
      this.connectedSocket().once("disconnect", lost);
      this.socket.timeout(timeout).emit(event, ...args, (error, ...answer) => {
        this.socket.off("disconnect", lost);
        resolve(error ? [{ $lost: error.message }] : answer);
      });
    });
  }

  connectedSocket() {
    if (!this.socket.connected) {
      throw new Error(`client ${this.index} is not connected`);
    }
    return this.socket;
  }

  #onPacket(name, args) {
    const acknowledge = typeof args.at(-1) === "function" ? args.pop() : undefined;
    this.received.push({ event: name, args });
    event("packet", { client: this.index, name, args });

    const { values = [], never = false, afterMs } = this.replies.get(name) ?? {};
    if (acknowledge === undefined || never) {
      return;
    }
    if (afterMs === undefined) {
      acknowledge(...values);
    } else {
      setTimeout(() => acknowledge(...values), afterMs);
    }
  }
}

function client(index) {
  const found = clients[index];
  if (found === undefined) {
    throw new Error(`no such client: ${index}`);
  }
  return found;
}

/** What a transport met: "transport error" alone would leave everybody guessing. */
function causeOf({ message, description, context }) {
  const details = [description?.message ?? description, context?.responseText].filter(Boolean);
  return [message, ...details].join(", ");
}
