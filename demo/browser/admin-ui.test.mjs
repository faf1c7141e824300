// Socket.IO's Admin UI with a cluster of Rust and Node.js servers: what the official page shows is
// true, and each of its buttons does what it says, whichever server the page is connected to.
//
//   node admin-ui.test.mjs '{"servers":[{"name":…,"port":…}],"username":…,"password":…,"picture":…}'
//
// `picture` is optional: the file for a picture of the page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AdminUi, require } from "./admin-ui.mjs";
import { DEADLINE_MS } from "./browser.mjs";

const { io } = require("socket.io-client");
const { servers, username, password, picture, plain } = JSON.parse(process.argv[2]);

let ui, actor;
before(async () => {
  ui = await AdminUi.start();
  // An admin without a page, who tells which clients are in a room: by an event that they get.
  actor = io(`http://127.0.0.1:${servers[0].port}/admin`, { transports: ["websocket"], auth: { username, password } });
  await once(actor, "connect");
});
after(async () => {
  actor?.disconnect();
  await ui?.close();
});

function once(socket, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} within ${DEADLINE_MS} ms`)), DEADLINE_MS);
    socket.once(event, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });
}

/** A client of a server: one connection, in "/" and in "/chat". */
async function connect(server) {
  const socket = io(`http://127.0.0.1:${server.port}/`, { transports: ["websocket"], forceNew: true, reconnection: false });
  await once(socket, "connect");
  const chat = socket.io.socket("/chat");
  if (!chat.connected) await once(chat, "connect");
  const client = { server, socket, chat, id: socket.id, clientId: socket.io.engine.id.slice(0, 12), got: new Set() };
  socket.on("in-room", (mark) => client.got.add(mark));
  return client;
}

let marks = 0;

/** Which of these clients are in a room of "/". */
async function members(room, clients) {
  const mark = `${room} ${++marks}`;
  const told = clients.map((client) => (client.socket.connected ? once(client.socket, mark) : undefined));
  actor.emit("emit", "/", room, "in-room", mark);
  actor.emit("emit", "/", null, mark);
  await Promise.all(told);
  return clients.filter((client) => client.got.has(mark)).map((client) => client.server.name);
}

/** Waits until these and no other clients are in a room. */
async function membersAre(room, clients, expected, awaited) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await members(room, clients);
    if (JSON.stringify(found) === JSON.stringify(expected)) return;
    if (Date.now() > deadline) assert.deepEqual(found, expected, awaited);
  }
}

async function logIn(server, options) {
  const page = await ui.open(server.port, options);
  await page.logIn(username, password);
  await page.loggedIn();
  return page;
}

for (const server of servers) {
  test(`the page that is connected to ${server.name}`, { timeout: 240_000 }, async (t) => {
    const clients = await Promise.all(servers.map(connect));
    const page = await ui.open(server.port);

    await t.test("asks for the password", async () => {
      await page.page.getByText("Invalid credentials").waitFor();
      await page.logIn(username, `not ${password}`);
      await page.page.getByText("Invalid credentials").waitFor();
      await page.logIn(username, password);
      await page.loggedIn();
      // The page shows its session instead of the password from now on. A Node.js server tells the
      // session before the page listens for it.
      if (server.name.startsWith("rust")) {
        await page.page.reload();
        await page.loggedIn();
      }
    });

    await t.test("lists every server", async () => {
      await page.show("servers");
      const names = [...servers.map(({ name }) => name)].sort();
      const rows = await page.rows((rows) => rows.length === names.length, "all servers");
      assert.deepEqual(rows.map(([name]) => name), names);
      assert.ok(rows.every((row) => row[6].toLowerCase() === "healthy"), JSON.stringify(rows));
    });

    await t.test("lists every socket, with address and transport", async () => {
      await page.show("sockets");
      const ids = clients.map(({ id }) => id).sort();
      const isComplete = (rows) => ids.every((id) => rows.some((row) => row[0] === id));
      const rows = (await page.rows(isComplete, "all sockets")).filter((row) => ids.includes(row[0]));
      for (const row of rows) assert.deepEqual(row.slice(1, 3), ["127.0.0.1", "WebSocket"], JSON.stringify(row));
      assert.equal(rows.length, ids.length, JSON.stringify(rows));
    });

    await t.test("lists every client, with its sockets", async () => {
      await page.show("clients");
      // The page tells sockets apart by their ids. In socketioxide, all sockets of a client have one.
      const sockets = ({ server }) => (server.name.startsWith("rust") ? "1" : "2");
      const rows = await page.rows(
        (rows) => clients.every((client) => rows.some((row) => row[0] === client.clientId && row[3] === sockets(client))),
        "all clients with their sockets",
      );
      for (const { clientId } of clients) assert.equal(rows.filter((row) => row[0] === clientId).length, 1);
    });

    await t.test("lets a socket join and leave a room", async () => {
      for (const client of clients) {
        await page.showSocket(client.id);
        await page.card("Rooms").locator("form input[type=text]").fill("the room");
        await page.card("Rooms").locator("form button[type=submit]").click();
        await page.row("the room").waitFor();
        await membersAre("the room", clients, [client.server.name], "the one that joined");
        await page.click(page.row("the room"), "mdi-tag-off-outline");
        await page.row("the room").waitFor({ state: "detached" });
        await membersAre("the room", clients, [], "it has left");
      }
    });

    await t.test("empties a room, and disconnects one", async () => {
      const names = clients.map((client) => client.server.name);
      for (const [index, client] of clients.entries()) {
        actor.emit("join", "/", "all", client.id);
        if (index % 2) actor.emit("join", "/", "odd", client.id);
      }
      await membersAre("all", clients, names, "all joined");
      await page.show("rooms");
      const isComplete = (rows) => rows.some((row) => row[0] === "all" && row[2] === "4") && rows.some((row) => row[0] === "odd" && row[2] === "2");
      await page.rows(isComplete, "both rooms with their sockets");
      await page.click(page.row("all"), "mdi-tag-off-outline");
      // The page takes a click on a button for a click on its row, too, and shows the room.
      await page.show("rooms");
      await page.row("all").waitFor({ state: "detached" });
      await membersAre("all", clients, [], "all have left");

      const gone = clients.filter((_, index) => index % 2);
      const reasons = gone.map(({ socket }) => once(socket, "disconnect"));
      await page.click(page.row("odd"), "mdi-logout");
      for (const [reason] of await Promise.all(reasons)) assert.equal(reason, "io server disconnect");
      await page.show("rooms");
      await page.row("odd").waitFor({ state: "detached" });
      assert.ok(clients.every(({ socket }, index) => socket.connected === !(index % 2)));
      // They come again.
      await Promise.all(gone.map(async (client) => {
        client.socket.connect();
        await once(client.socket, "connect");
        client.id = client.socket.id;
      }));
    });

    await t.test("disconnects a client", async () => {
      for (const client of clients.filter((_, index) => index % 2)) {
        await page.show("clients");
        const disconnected = Promise.all([once(client.chat, "disconnect"), once(client.socket, "disconnect")]);
        await page.click(page.row(client.clientId), "mdi-logout");
        await disconnected;
        await page.show("clients");
        await page.row(client.clientId).waitFor({ state: "detached" });
      }
    });

    await t.test("disconnects a socket", async () => {
      for (const client of clients.filter((_, index) => index % 2 === 0)) {
        await page.showSocket(client.id);
        const disconnected = once(client.socket, "disconnect");
        await page.click(page.card("Details").locator("table").last(), "mdi-logout");
        assert.deepEqual((await disconnected)[0], "io server disconnect");
        await page.card("Details").locator("table").last().getByText("disconnected").waitFor();
        assert.ok(client.chat.connected, "the client is still in the other namespace");
        await page.show("sockets");
        await page.row(client.id).waitFor({ state: "detached" });
      }
    });

    await t.test("shows what happened", async () => {
      await page.show("events");
      const text = await page.page.locator("main tbody").innerText();
      for (const { id } of clients) assert.ok(text.includes(id), `nothing of ${id}`);
      for (const what of [/disconnection/i, /room joined/i, /room left/i]) assert.match(text, what);
    });

    await t.test("has no error", () => assert.deepEqual(page.errors, []));
    await page.close();
    for (const { socket } of clients) socket.io.engine.close();
  });
}

test("a server without the Admin UI does not break the page", { skip: !plain, timeout: 240_000 }, async () => {
  const client = await connect(plain);
  for (const server of servers) {
    const page = await logIn(server);
    await page.showSocket(client.id);
    await page.card("Details").getByText(client.id).first().waitFor();
    await page.show("rooms");
    await page.show("servers");
    await page.rows((rows) => rows.length === servers.length, "the servers with the Admin UI");
    assert.deepEqual(page.errors, [], server.name);
    await page.close();
  }
  client.socket.io.engine.close();
});

test("a picture", { skip: !picture, timeout: 240_000 }, async () => {
  const clients = await Promise.all([...servers, ...servers, servers[2]].map(connect));
  const rust = servers.find(({ name }) => name.startsWith("rust"));
  const page = await logIn(rust, { viewport: { width: 1280, height: 640 }, deviceScaleFactor: 1.5 });
  await page.show("servers");
  await page.rows((rows) => rows.length === servers.length, "all servers");
  await page.page.waitForTimeout(3_000);
  await page.page.screenshot({ path: picture });
  await page.close();
  for (const { socket } of clients) socket.io.engine.close();
});
