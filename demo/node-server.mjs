// The Node.js node of the demo: socket.io with @socket.io/postgres-adapter. README.md describes its
// events.
//
//   node node-server.mjs --database-url URL --name NAME [--port PORT]
//
// Prints {"ready":true,"port":…,"software":…} and serves until stdin ends, so the process that
// started it need not kill it.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

// the packages are those of the test nodes
const require = createRequire(new URL("../tests/node/package.json", import.meta.url));
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/postgres-adapter");
const { instrument } = require("@socket.io/admin-ui");
const { Pool } = require("pg");

const { values: options } = parseArgs({
  options: {
    "database-url": { type: "string" },
    name: { type: "string", default: "Node node" },
    port: { type: "string", default: "0" },
  },
});
const node = options.name;

// One connection listens, the other publishes. With more of them the adapter publishes on several
// connections, and the points of a stroke overtake each other.
const pool = new Pool({ connectionString: options["database-url"], max: 2 });
pool.on("error", (error) => console.error(`${node}: ${error.message}`));
await pool.query(`
  CREATE TABLE IF NOT EXISTS socket_io_attachments (
    id          bigserial UNIQUE,
    created_at  timestamptz DEFAULT NOW(),
    payload     bytea
  )`);

const httpServer = createServer((_, response) => response.writeHead(404).end());
const io = new Server(httpServer, {
  adapter: createAdapter(pool),
  maxHttpBufferSize: 8 * 1024 * 1024,
  serveClient: false,
});

// Without a password: the demo listens on loopback only.
instrument(io, { auth: false, serverId: node });

// What `socketio-pg nodes` shows of this server.
io.on("socketio-pg:node", (query, respond) => respond?.({ name: node, language: "Node.js" }));

io.on("connection", (socket) => {
  const from = { id: socket.id, node, name: String(socket.handshake.auth.name ?? "Guest") };
  // Beside what the Admin UI keeps there.
  Object.assign(socket.data, { node, name: from.name });

  socket.emit("hello", from);
  socket.broadcast.emit("joined", from);
  socket.on("disconnect", () => io.emit("left", from));

  socket.on("chat", ({ text, room, at }) => {
    if (room === undefined) io.emit("chat", { from, text, at });
    else io.to(room).emit("chat", { from, text, room, at });
  });
  socket.on("draw", ({ stroke, color, width, points, at }) => {
    socket.broadcast.emit("draw", { from, stroke, color, width, points, at });
  });
  socket.on("clear", () => io.emit("clear", { from }));
  socket.on("file", ({ name, type, bytes, at }) => io.emit("file", { from, name, type, bytes, at }));
  socket.on("private", ({ to, text, at }) => io.to(to).emit("private", { from, text, at }));

  socket.on("join", async (room, done) => {
    await socket.join(room);
    done();
  });
  socket.on("leave", async (room, done) => {
    await socket.leave(room);
    done();
  });
  socket.on("stats", async (answer) => answer(await stats()));
});

/** The cluster as this node knows it, with Rust nodes and their sockets. */
async function stats() {
  const servers = await io.of("/").adapter.serverCount();
  try {
    const sockets = await io.fetchSockets();
    return {
      servers,
      sockets: sockets.map(({ id, data, rooms }) => ({
        id,
        node: data?.node,
        name: data?.name,
        rooms: [...rooms].filter((room) => room !== id),
      })),
    };
  } catch (error) {
    return { servers, error: error.message };
  }
}

httpServer.listen(Number(options.port), "127.0.0.1", () => {
  const software = `socket.io ${require("socket.io/package.json").version}`;
  console.log(JSON.stringify({ ready: true, port: httpServer.address().port, software }));
});

process.stdin.resume().on("end", async () => {
  await io.close();
  await pool.end();
  process.exit();
});
// Ctrl-C reaches the whole process group: the demo itself closes stdin when it is ready to
process.on("SIGINT", () => {});
