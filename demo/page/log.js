// The messages of a pane: texts, images, files, and notices of users who came and left.

const MAX_ENTRIES = 300;
const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/svg+xml"];
// consecutive messages of one person are grouped
const TOGETHER_MS = 60_000;

export class Log {
  #list;
  #tones;
  #own;
  #last = null;

  /** @param {(id: string) => boolean} own whether a socket id is this pane's own */
  constructor(list, tones, own) {
    this.#list = list;
    this.#tones = tones;
    this.#own = own;
  }

  /** Shows an event; `id` is the socket that it is about, if it is about one. */
  notice(text, id = "") {
    const entry = element("li", "notice", text);
    entry.dataset.socket = id;
    this.#last = null;
    this.#append(entry);
  }

  /**
   * A text or file that a user sent. `label` names the receivers, unless it is for all; `took` is
   * how long it travelled, in milliseconds.
   * @param {{ from: {id: string, node: string, name: string}, body: Node, kind: string, label?: string, took?: number }} message
   */
  message({ from, body, kind, label, took }) {
    const own = this.#own(from.id);
    const entry = element("li", `message ${kind}${own ? " own" : ""}`);
    entry.dataset.tone = this.#tones.get(from.node) ?? "ink";

    const key = `${from.id} ${label ?? ""}`;
    const together = this.#last?.key === key && Date.now() - this.#last.time < TOGETHER_MS;
    this.#last = { key, time: Date.now() };
    entry.classList.toggle("together", together);

    const avatar = element("span", "avatar", from.name.slice(0, 1));
    avatar.title = `${from.name} on ${from.node}, socket ${from.id}`;
    const meta = element("p", "meta");
    meta.append(element("b", "", own ? "You" : from.name), element("span", "from-server", from.node));
    if (label) meta.append(element("span", "label", label));

    const bubble = element("div", "bubble");
    bubble.append(body);
    const line = element("div", "line");
    line.append(bubble);
    if (!own && took !== undefined) line.append(element("span", "took", took));
    entry.append(avatar, meta, line);
    this.#append(entry);
  }

  #append(entry) {
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    list.append(entry);
    if (list.childElementCount > MAX_ENTRIES) this.#forget(list.firstElementChild);
    if (atEnd) list.scrollTop = list.scrollHeight;
    entry.querySelector("img")?.addEventListener("load", () => {
      if (atEnd) list.scrollTop = list.scrollHeight;
    });
  }

  #forget(entry) {
    for (const link of entry.querySelectorAll("a[href^='blob:']")) URL.revokeObjectURL(link.href);
    entry.remove();
  }
}

/** A piece of text as a message body. */
export function speech(text) {
  return element("p", "", text);
}

/** A file as a message body: images are shown, everything else is offered for download. */
export function attachment({ name, type, bytes }) {
  const image = IMAGES.includes(type);
  const url = URL.createObjectURL(new Blob([bytes], { type: image ? type : "application/octet-stream" }));
  const link = element("a", image ? "picture" : "file");
  link.href = url;
  link.download = name;
  link.title = `Save ${name}`;
  if (image) {
    const picture = element("img");
    picture.src = url;
    picture.alt = name;
    link.append(picture);
  } else {
    link.append(element("span", "extension", extension(name)));
  }
  const caption = element("span", "caption");
  caption.append(element("b", "", name), element("span", "size", size(bytes.byteLength)));
  link.append(caption);
  return link;
}

export function element(tag, className = "", text = "") {
  const result = document.createElement(tag);
  if (className) result.className = className;
  if (text) result.textContent = text;
  return result;
}

function extension(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(dot + 1, dot + 5).toUpperCase() : "FILE";
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
