// One pane: a client of one server. README.md describes its events.

import { Board, INKS } from "./board.js";
import { Log, attachment, element, speech } from "./log.js";

const STATS_EVERY_MS = 2000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const EVERYONE = "everyone";

export class Pane {
  /** The element to put into the page. */
  element;

  #server;
  #name;
  #tones;
  #wires;
  #socket;
  #board;
  #log;
  #rooms = [];
  #people = [];

  constructor({ server, name, tones, wires }) {
    this.#server = server;
    this.#name = name;
    this.#tones = tones;
    this.#wires = wires;

    this.element = document.querySelector("#pane-template").content.firstElementChild.cloneNode(true);
    this.element.dataset.server = server.name;
    this.element.dataset.tone = tones.get(server.name);
    this.#find(".badge").textContent = { rust: "Rs", node: "JS", python: "Py" }[server.kind];
    this.#find("h2").textContent = server.name;
    this.#find(".software").textContent = `${server.software} · port ${server.port}`;
    this.#find(".me b").textContent = name;

    this.#log = new Log(this.#find(".log"), tones, (id) => id === this.#socket.id);
    this.#board = new Board(this.#find("canvas"), (segment) => this.#send("draw", segment));
    this.#connect();
    this.#setUpTools();
    this.#setUpRooms();
    this.#setUpComposer();
    this.#setUpFiles();
    this.#showTargets();
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #connect() {
    const socket = window.io(`ws://${location.hostname}:${this.#server.port}`, {
      transports: ["websocket"],
      auth: { name: this.#name },
      reconnectionDelayMax: 2000,
    });
    this.#socket = socket;
    this.#showState("connecting");

    socket.on("connect", () => this.#showState("connected"));
    socket.on("disconnect", () => this.#showState("reconnecting"));
    socket.on("connect_error", () => this.#showState("server is gone, trying again"));

    socket.on("hello", ({ id }) => {
      this.#find(".me code").textContent = id.slice(0, 6);
      this.element.dataset.socket = id;
      // after a reconnect this is a new socket, which is in no room yet
      for (const room of this.#rooms) socket.emit("join", room, () => {});
      this.#refresh();
    });
    socket.on("joined", (person) => {
      this.#log.notice(`${person.name} joined on ${person.node}`, person.id);
      this.#refresh();
    });
    socket.on("left", (person) => {
      this.#log.notice(`${person.name} left ${person.node}`, person.id);
      this.#refresh();
    });
    socket.on("chat", ({ from, text, room, at }) => {
      this.#log.message({ kind: "chat", from, body: speech(text), label: room && `#${room}`, took: this.#arrived(from, at) });
    });
    socket.on("private", ({ from, text, at }) => {
      this.#log.message({ kind: "private", from, body: speech(text), label: "only to you", took: this.#arrived(from, at) });
    });
    socket.on("file", ({ from, at, ...file }) => {
      this.#log.message({ kind: "sent-file", from, body: attachment(file), took: this.#arrived(from, at) });
    });
    socket.on("draw", ({ from, at, ...segment }) => {
      this.#board.draw(segment);
      this.#arrived(from, at);
    });
    socket.on("clear", ({ from }) => {
      this.#board.clear();
      this.#wires.pulse(from.node, this.#server.name);
    });

    // emitted by a trigger in PostgreSQL
    socket.on("row", ({ table, new: row }) => this.#log.notice(`${table}: ${JSON.stringify(row)}`));

    setInterval(() => this.#refresh(), STATS_EVERY_MS);
  }

  #send(event, data) {
    this.#socket.emit(event, { ...data, at: clock() });
  }

  /**
   * Shows that a message arrived, and how long it travelled: nothing if it came from the same
   * server.
   */
  #arrived(from, at) {
    if (from.node === this.#server.name) return undefined;
    this.#wires.pulse(from.node, this.#server.name);
    const took = clock() - at;
    // another computer's clock may be off
    if (!(took >= 0 && took < 10_000)) return undefined;
    const text = took < 9.95 ? `${took.toFixed(1)} ms` : `${Math.round(took)} ms`;
    this.#find(".latency").textContent = text;
    return text;
  }

  #showState(state) {
    this.#find(".state").textContent = state;
    this.element.dataset.state = state;
  }

  // ---- the cluster, as this pane's server sees it

  async #refresh() {
    if (!this.#socket.connected) return;
    try {
      const { servers, sockets } = await this.#socket.timeout(8000).emitWithAck("stats");
      this.#count("servers", servers);
      // a server that has just died does not answer at first: keep the last list until it is
      // forgotten
      if (sockets) this.#showPeople(sockets);
    } catch {
      // disconnected meanwhile, which the state shows
    }
  }

  #count(what, number) {
    this.#find(`.${what}`).textContent = number;
    this.#find(`.${what}-word`).textContent = number === 1 ? what.slice(0, -1) : what;
  }

  #showPeople(sockets) {
    this.#count("sockets", sockets.length);
    const order = [...this.#tones.keys()];
    this.#people = sockets.toSorted((a, b) => order.indexOf(a.node) - order.indexOf(b.node) || (a.id < b.id ? -1 : 1));
    const avatars = this.#people.map(({ id, name, node, rooms }) => {
      const own = id === this.#socket.id;
      const avatar = element("button", "avatar", name.slice(0, 1));
      avatar.type = "button";
      avatar.dataset.tone = this.#tones.get(node) ?? "ink";
      avatar.disabled = own;
      const where = rooms.length > 0 ? `, in ${rooms.map((room) => `#${room}`).join(" ")}` : "";
      avatar.title = own ? `You, on ${node}${where}` : `${name} on ${node}${where}: write only to this socket`;
      avatar.addEventListener("click", () => this.#choose(`socket:${id}`));
      return avatar;
    });
    this.#find(".people").replaceChildren(...avatars);
    this.#showTargets();
  }

  // ---- the receivers

  #showTargets() {
    const select = this.#find(".target select");
    const chosen = select.value || EVERYONE;
    const rooms = this.#rooms.map((room) => new Option(`#${room}`, `room:${room}`));
    const people = this.#people
      .filter(({ id }) => id !== this.#socket.id)
      .map(({ id, name, node }) => new Option(`${name} · ${node}`, `socket:${id}`));
    // an open list must not change while the user chooses
    const wanted = [EVERYONE, ...rooms, ...people].map((option) => option.value ?? option).join("\n");
    if (select.dataset.options === wanted) return;
    select.dataset.options = wanted;

    select.replaceChildren(new Option("Everyone", EVERYONE), ...group("A room", rooms), ...group("One socket", people));
    this.#choose([...select.options].some(({ value }) => value === chosen) ? chosen : EVERYONE, { focus: false });
  }

  #choose(value, { focus = true } = {}) {
    const select = this.#find(".target select");
    select.value = value;
    const [kind, id] = split(value);
    const label = kind === "socket" ? this.#people.find((person) => person.id === id)?.name : select.selectedOptions[0]?.text;
    this.#find(".target-text").textContent = label;
    this.#find(".composer").dataset.to = kind;
    const whom = kind === EVERYONE ? "everyone" : kind === "room" ? label : `${label} only`;
    this.#find("[name=text]").placeholder = `Message ${whom}`;
    if (focus) this.#find("[name=text]").focus();
  }

  #setUpComposer() {
    const select = this.#find(".target select");
    select.addEventListener("change", () => this.#choose(select.value));
    this.#find(".composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = this.#find("[name=text]");
      const text = input.value.trim();
      if (!text || !this.#socket.connected) return;
      const [kind, id] = split(select.value);
      if (kind === "room") this.#send("chat", { text, room: id });
      else if (kind === "socket") this.#whisper(id, text);
      else this.#send("chat", { text });
      input.value = "";
    });
  }

  #whisper(to, text) {
    this.#send("private", { to, text });
    const person = this.#people.find(({ id }) => id === to);
    const from = { id: this.#socket.id, node: this.#server.name, name: this.#name };
    this.#log.message({ kind: "private", from, body: speech(text), label: `only to ${person?.name ?? to}` });
  }

  // ---- the board's tools

  #setUpTools() {
    const inks = [this.element.dataset.tone, ...INKS.filter((ink) => ink !== this.element.dataset.tone)];
    const choose = (ink) => {
      this.#board.color = ink;
      for (const swatch of this.#find(".inks").children) swatch.ariaChecked = String(swatch.dataset.tone === ink);
    };
    this.#find(".inks").append(
      ...inks.map((ink) => {
        const swatch = element("button", "swatch");
        swatch.type = "button";
        swatch.dataset.tone = ink;
        swatch.role = "radio";
        swatch.ariaLabel = swatch.title = ink;
        swatch.addEventListener("click", () => choose(ink));
        return swatch;
      }),
    );
    choose(inks[0]);
    this.#find(".clear").addEventListener("click", () => this.#socket.emit("clear"));
  }

  // ---- rooms

  #setUpRooms() {
    const form = this.#find(".join");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const room = form.room.value.trim().replace(/^#/, "");
      form.reset();
      if (!room || this.#rooms.includes(room)) return;
      this.#socket.emit("join", room, () => {
        this.#rooms.push(room);
        this.#showRooms();
        this.#choose(`room:${room}`);
      });
    });
    this.#showRooms();
  }

  #leave(room) {
    this.#socket.emit("leave", room, () => {
      this.#rooms = this.#rooms.filter((other) => other !== room);
      this.#showRooms();
    });
  }

  #showRooms() {
    const chips = this.#rooms.map((room) => {
      const chip = element("button", "chip", `#${room}`);
      chip.type = "button";
      chip.title = chip.ariaLabel = `Leave #${room}`;
      chip.addEventListener("click", () => this.#leave(room));
      return chip;
    });
    this.#find(".chips").replaceChildren(...chips);
    this.#showTargets();
    this.#refresh();
  }

  // ---- files

  #setUpFiles() {
    const input = this.#find(".attach input");
    input.addEventListener("change", () => {
      this.#sendFiles(input.files);
      input.value = "";
    });

    const pane = this.element;
    const dropping = (on) => pane.classList.toggle("dropping", on);
    pane.addEventListener("dragover", (event) => {
      event.preventDefault();
      dropping(true);
    });
    pane.addEventListener("dragleave", (event) => {
      if (!pane.contains(event.relatedTarget)) dropping(false);
    });
    pane.addEventListener("drop", (event) => {
      event.preventDefault();
      dropping(false);
      this.#sendFiles(event.dataTransfer.files);
    });
  }

  #sendFiles(files) {
    for (const file of [...files]) {
      if (file.size > MAX_FILE_BYTES) this.#log.notice(`${file.name} is larger than 4 MB, which is all this demo takes`);
      else file.arrayBuffer().then((bytes) => this.#send("file", { name: file.name, type: file.type, bytes }));
    }
  }
}

/** Milliseconds, with their fractions: panes in one browser share this clock. */
function clock() {
  return performance.timeOrigin + performance.now();
}

/** `room:lobby` as its two parts; the second is missing for everyone. */
function split(target) {
  const colon = target.indexOf(":");
  return colon < 0 ? [target] : [target.slice(0, colon), target.slice(colon + 1)];
}

function group(label, options) {
  if (options.length === 0) return [];
  const result = document.createElement("optgroup");
  result.label = label;
  result.append(...options);
  return [result];
}
