// The chat server of examples/src/bin/graceful.rs, on Node.js: the same events, in the same cluster.
//
//   DATABASE_URL=postgres://… node server.mjs 127.0.0.1:3000

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/postgres-adapter";
import pg from "pg";
import { Server } from "socket.io";

const [host, port] = (process.argv[2] ?? "127.0.0.1:3000").split(":");
// The Rust servers have created the table `socket_io_attachments`.
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
// Without it, a connection that breaks ends the process.
pool.on("error", (error) => console.error(error.message));

const http = createServer();
const io = new Server(http, { adapter: createAdapter(pool) });
io.on("connection", (socket) => {
  socket.join("chat");
  socket.on("message", (text) => io.to("chat").emit("message", text));
});
http.listen(Number(port), host, () => console.log(`listening on http://${host}:${http.address().port}`));

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, async () => {
    // Disconnects the clients, and tells the other servers.
    await io.close();
    await pool.end();
  });
}
