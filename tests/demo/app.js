// The page: reads which servers there are and makes a pane for each.

import { Pane } from "./pane.js";
import { Wires } from "./wires.js";

const TONES = ["ember", "plum", "leaf", "sky", "sun"];
const NAMES = ["Otter", "Heron", "Lynx", "Marten", "Wren", "Badger", "Osprey", "Hare", "Ibex", "Newt", "Stoat", "Curlew"];

/** "one", "two", … as one would write it. */
const spelled = (n) => ["no", "one", "two", "three", "four", "five"][n] ?? String(n);

const { servers } = await (await fetch("servers.json")).json();

document.querySelector("#lead").textContent = lead();
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

/** What the reader is looking at, in two sentences. */
function lead() {
  const count = (kind) => servers.filter((server) => server.kind === kind).length;
  const [rust, node] = [count("rust"), count("node")];
  const nodes = (n, language) => `${spelled(n)} in ${language}`;
  const kinds = [rust && nodes(rust, "Rust"), node && nodes(node, "Node.js")].filter(Boolean).join(", ");
  const all = spelled(servers.length);
  return (
    `${all[0].toUpperCase()}${all.slice(1)} Socket.IO servers, ${kinds}, share nothing but a PostgreSQL. ` +
    "Each pane is a browser on its own server: draw, write or drop a file in one, and watch the others."
  );
}
