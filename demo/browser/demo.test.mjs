// The demo, as users see it: what is done in one pane is visible in the panes of the other servers.
//
//   node demo.test.mjs URL KIND…     of a running demo, with the languages of its servers in order

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { Page as AdminPage } from "./admin-ui.mjs";
import { launch, open } from "./browser.mjs";

const [url, ...kinds] = process.argv.slice(2);
if (kinds.length === 0) throw new Error("usage: node demo.test.mjs URL KIND…");

const TONES = ["ember", "plum", "leaf", "sky"];
const SOFTWARE = { rust: /^socketioxide /, node: /^socket\.io 4/, python: /^python-socketio 5/ };
let browser, page, panes, complaints;

before(async () => {
  browser = await launch();
  ({ page, panes, complaints } = await open(browser, url));
});
after(() => browser?.close());

/** Runs a check once for each pane as the sender, with the other panes. */
async function fromEach(check) {
  for (const [index, sender] of panes.entries()) {
    await check({ sender, index, others: panes.filter((pane) => pane !== sender) });
  }
}

test("there is a pane for each server, whatever its language", async () => {
  assert.deepEqual(panes.map(({ kind }) => kind), kinds);
  for (const pane of panes) {
    const heading = await pane.element.locator("h2").textContent();
    assert.equal(heading, pane.name);
    const software = await pane.element.locator(".software").textContent();
    assert.match(software, SOFTWARE[pane.kind]);
  }
});

test("every server counts all servers and all sockets", async () => {
  for (const pane of panes) await pane.counts(kinds.length, kinds.length);
});

test("what is said in one pane is read in every pane, once, with the server it was said on", async () => {
  await fromEach(async ({ sender }) => {
    const text = `Greetings from ${sender.name} ✓ äöü 🦀`;
    await sender.say(text);
    for (const pane of panes) {
      const message = await pane.reads(text);
      assert.equal(await message.locator(".from-server").textContent(), sender.name, `in the pane of ${pane.name}`);
      assert.equal(await pane.count(text), 1, `in the pane of ${pane.name}`);
    }
  });
});

test("messages said one after the other are read in that order", async () => {
  await fromEach(async ({ sender }) => {
    const said = Array.from({ length: 10 }, (_, i) => `${sender.name} counts: ${i}`);
    for (const text of said) await sender.say(text);
    for (const pane of panes) {
      await pane.reads(said.at(-1));
      for (const text of said) await pane.reads(text);
      const read = await pane.log.locator(".bubble p").allTextContents();
      assert.deepEqual(read.filter((text) => said.includes(text)), said, `in the pane of ${pane.name}`);
    }
  });
});

test("a line drawn in one pane appears in the others, in its colour", async () => {
  await fromEach(async ({ sender, index, others }) => {
    const height = 0.15 + index * 0.2;
    await sender.draw([[0.1, height], [0.5, height], [0.9, height]]);
    for (const pane of [sender, ...others]) {
      for (const right of [0.1, 0.3, 0.5, 0.7, 0.9]) await pane.shows([right, height], TONES[index]);
      await pane.shows([0.5, height + 0.1], null);
    }
  });
});

test("a board that is cleared in one pane is cleared in all", async () => {
  await fromEach(async ({ sender }) => {
    await sender.draw([[0.2, 0.5], [0.8, 0.5]]);
    for (const pane of panes) await pane.shows([0.5, 0.5], TONES[panes.indexOf(sender)]);
    await sender.clear();
    for (const pane of panes) await pane.shows([0.5, 0.5], null);
  });
});

test("a file dropped on one pane reaches all, byte by byte", async () => {
  await fromEach(async ({ sender, index }) => {
    // every byte value, and large enough for several database pages
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8) * 13 + index) & 0xff));
    const name = `from pane ${index}.bin`;
    await sender.drop({ name, type: "application/octet-stream", bytes });
    for (const pane of panes) {
      const received = await pane.received(name);
      assert.equal(received.length, bytes.length, `in the pane of ${pane.name}`);
      assert.equal(digest(received), digest(bytes), `in the pane of ${pane.name}`);
    }
  });
});

test("an empty file arrives as an empty file", async () => {
  await fromEach(async ({ sender, index }) => {
    const name = `nothing ${index}.txt`;
    await sender.attach({ name, type: "text/plain", bytes: [] });
    for (const pane of panes) assert.equal((await pane.received(name)).length, 0, `in the pane of ${pane.name}`);
  });
});

test("an image chosen in one pane is shown in all", async () => {
  await fromEach(async ({ sender, index }) => {
    const name = `picture ${index}.png`;
    const bytes = await sender.element.locator("canvas").screenshot();
    // where a PNG has its width and height
    const size = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
    await sender.attach({ name, type: "image/png", bytes });
    for (const pane of panes) assert.deepEqual(await pane.pictured(name), size, `in the pane of ${pane.name}`);
  });
});

test("a row that is changed in PostgreSQL is shown in every pane", async () => {
  const notices = (pane) => pane.log.locator(".notice", { hasText: /^lamps: / });
  for (const isOn of [true, false]) {
    await page.locator("#change-row").click();
    const text = `lamps: {"id":1,"is_on":${isOn}}`;
    for (const pane of panes) {
      const notice = notices(pane).filter({ hasText: text });
      await notice.first().waitFor();
      assert.equal(await notice.count(), 1, `in the pane of ${pane.name}`);
    }
  }
});

test("a private message reaches one socket and no other", async () => {
  await fromEach(async ({ sender, others }) => {
    for (const receiver of others) {
      const secret = `psst, ${receiver.name}, from ${sender.name}`;
      await sender.address(`socket:${await receiver.socket()}`);
      await sender.say(secret);
      assert.match(await (await receiver.reads(secret)).locator(".meta").textContent(), /only to you/);

      await sender.address("everyone");
      const fence = `${sender.name} wrote to ${receiver.name}`;
      await sender.say(fence);
      for (const pane of others) {
        await pane.reads(fence);
        assert.equal(await pane.count(secret), pane === receiver ? 1 : 0, `in the pane of ${pane.name}`);
      }
    }
  });
});

test("what is said to a room reaches those who joined it, until they leave", async () => {
  await fromEach(async ({ sender, others: [member, ...outsiders] }) => {
    const room = `room ${panes.indexOf(sender)}`;
    await sender.join(room);
    await member.join(room);
    await sender.address(`room:${room}`);

    await sender.say(`to the members of ${room}`);
    assert.match(await (await member.reads(`to the members of ${room}`)).locator(".meta").textContent(), new RegExp(`#${room}`));
    await member.leave(room);
    await sender.say(`to those left in ${room}`);
    await sender.reads(`to those left in ${room}`);

    await sender.address("everyone");
    await sender.say(`${room} is closed`);
    for (const pane of [member, ...outsiders]) await pane.reads(`${room} is closed`);
    for (const pane of outsiders) {
      assert.equal(await pane.count(`to the members of ${room}`), 0, `in the pane of ${pane.name}`);
      assert.equal(await pane.count(`to those left in ${room}`), 0, `in the pane of ${pane.name}`);
    }
    assert.equal(await member.count(`to those left in ${room}`), 0);
    await sender.leave(room);
  });
});

test("a second window is seen coming, counted, and seen going", async () => {
  const second = await open(browser, url);
  const newcomers = [];
  for (const pane of second.panes) {
    newcomers.push({ socket: await pane.socket(), name: await pane.element.locator(".me b").textContent(), on: pane.name });
  }
  for (const pane of panes) {
    await pane.counts(kinds.length, 2 * kinds.length);
    for (const { socket, name, on } of newcomers) await pane.notices(socket, `${name} joined on ${on}`);
  }
  await second.panes[0].say("hello from the second window");
  for (const pane of panes) await pane.reads("hello from the second window");
  assert.deepEqual(second.complaints, []);

  await second.close();
  for (const pane of panes) {
    await pane.counts(kinds.length, kinds.length);
    for (const { socket, name, on } of newcomers) await pane.notices(socket, `${name} left ${on}`);
  }
});

// A server in Python does not report itself there; its sockets are listed all the same.
test("a link leads to the Admin UI, which lists the servers in Rust and on Node.js", async () => {
  const context = page.context();
  const elsewhere = [];
  const note = (request) => new URL(request.url()).hostname !== "127.0.0.1" && elsewhere.push(request.url());
  context.on("request", note);
  const opened = context.waitForEvent("page");
  await page.locator("#admin-ui").click();
  const admin = new AdminPage(await opened);
  await admin.loggedIn();
  await admin.show("servers");
  const names = panes.filter(({ kind }) => kind !== "python").map(({ name }) => name).sort();
  const rows = await admin.rows((rows) => rows.length === names.length, "all servers");
  assert.deepEqual(rows.map(([name]) => name).sort(), names);
  await admin.show("sockets");
  const ids = await Promise.all(panes.map((pane) => pane.socket()));
  await admin.rows((rows) => ids.every((id) => rows.some((row) => row[0] === id)), "all sockets");
  context.off("request", note);
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(admin.errors, []);
  await admin.page.close();
});

test("a narrow window stacks the panes and nothing overflows", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  const [first, second] = await Promise.all(panes.slice(0, 2).map(({ element }) => element.boundingBox()));
  assert.ok(second.y >= first.y + first.height, "the second pane is below the first");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `the page is ${wide} pixels wide`);
});

test("the page had nothing to complain about", () => {
  assert.deepEqual(complaints, []);
});

function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
