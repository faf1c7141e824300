// The page: reads the list of servers and makes a pane for each.

import { Pane } from "./pane.js";
import { Wires } from "./wires.js";

const TONES = ["ember", "plum", "leaf", "sky", "sun"];
const NAMES = ["Otter", "Heron", "Lynx", "Marten", "Wren", "Badger", "Osprey", "Hare", "Ibex", "Newt", "Stoat", "Curlew"];

/** "one", "two", …: small numbers as words. */
const spelled = (n) => ["no", "one", "two", "three", "four", "five"][n] ?? String(n);

const { servers, adminUi } = await (await fetch("servers.json")).json();

document.querySelector("#lead").textContent = lead();
document.querySelector("h1 em").textContent =
  kinds().length > 1 ? `${spelled(kinds().length)} languages` : `${spelled(servers.length)} servers`;
const tones = new Map(servers.map(({ name }, index) => [name, TONES[index % TONES.length]]));
const wires = new Wires(document.querySelector("#wires"), tones);
const names = NAMES.map((name) => [Math.random(), name]).sort().map(([, name]) => name);

const panes = document.querySelector("#panes");
panes.style.setProperty("--panes", servers.length);
servers.forEach((server, index) => {
  const pane = new Pane({ server, name: names[index % names.length], tones, wires });
  panes.append(pane.element);
  wires.attach(server.name, pane.element);
});

document.querySelector("#change-row").addEventListener("click", async () => {
  const response = await fetch("row", { method: "POST" });
  if (!response.ok) console.error(await response.text());
});

const link = document.querySelector("#admin-ui");
link.hidden = !adminUi;
// The Admin UI asks for a server when it is first opened. It is of the same origin as this page.
link.addEventListener("click", () => {
  localStorage.setItem("server_url", localStorage.getItem("server_url") ?? location.origin);
});

/** How many servers there are in each language: `["two in Rust", "one on Node.js"]`. */
function kinds() {
  const languages = { rust: "in Rust", node: "on Node.js", python: "in Python" };
  return Object.entries(languages)
    .map(([kind, language]) => [servers.filter((server) => server.kind === kind).length, language])
    .filter(([count]) => count > 0)
    .map(([count, language]) => `${spelled(count)} ${language}`);
}

/** What the page shows, in two sentences. */
function lead() {
  const all = spelled(servers.length);
  const count = `${all[0].toUpperCase()}${all.slice(1)} Socket.IO servers`;
  const who = kinds().length > 1 ? `${count}, ${kinds().join(", ")}, share` : `${count} share`;
  return (
    `${who} nothing but a PostgreSQL. ` +
    "Each pane is a browser on its own server: draw, write or drop a file in one, and watch the others."
  );
}
