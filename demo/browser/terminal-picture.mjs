// Makes README's picture of the command: what it writes about the demo, in a terminal.
//
//   node terminal-picture.mjs SOCKETIO_PG DATABASE_URL FILE.png
//
// The demo runs, and its page is open in a browser, so that there is something to see.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";

import { launch } from "./browser.mjs";

const [program, database, file] = process.argv.slice(2);
if (!file) throw new Error("usage: node terminal-picture.mjs SOCKETIO_PG DATABASE_URL FILE.png");

const env = { ...process.env, DATABASE_URL: database, CLICOLOR_FORCE: "1" };
const run = (...args) => execFileSync(program, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });

async function watch() {
  const watching = spawn(program, ["watch", "--type", "broadcast", "--type", "sockets-join", "--type", "server-side-emit", "--limit", "4"], { env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  watching.stdout.on("data", (chunk) => (text += chunk));
  await once(watching.stderr, "data");
  run("emit", "order", '{"id": 17, "state": "paid"}', "--room", "orders");
  run("join", "vip", "--room", "orders");
  run("emit", "picture", "@/proc/self/exe", "--room", "nobody");
  run("server-side-emit", "reload", '"settings"');
  await once(watching, "exit");
  return text;
}

const COLOURS = { 1: "font-weight:bold", 2: "opacity:.6", 31: "color:#f85149", 32: "color:#3fb950", 33: "color:#d29922", 36: "color:#39c5cf" };

function html(text) {
  const escaped = text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);
  return escaped.replace(/\x1b\[(\d+)m/g, (_, code) => (code === "0" ? "</span>" : `<span style="${COLOURS[code] ?? ""}">`));
}

const prompt = (command) => `\x1b[32m$\x1b[0m socketio-pg ${command}\n`;
const doctor = run("doctor").split("\n").slice(0, 7).join("\n");
const text = [
  prompt("nodes") + run("nodes"),
  prompt("watch --type broadcast --type sockets-join --type server-side-emit --limit 4") + (await watch()),
  prompt("doctor") + doctor + "\n…",
].join("\n");

const browser = await launch();
const page = await browser.newPage({ deviceScaleFactor: 1.5 });
await page.setContent(
  `<pre style="display:inline-block;margin:0;padding:20px;background:#0d1117;color:#e6edf3;font:14px/1.45 monospace">${html(text)}</pre>`,
);
await page.locator("pre").screenshot({ path: file });
await browser.close();
