// The line above the panes: from each pane up to PostgreSQL and down to the others. It shows
// messages that travel from one server to another.

const SVG = "http://www.w3.org/2000/svg";
const STEM_RADIUS = 10;
const PULSE_MS = 520;
// strokes send thirty messages a second: show some of them
const PULSE_PAUSE_MS = 110;

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export class Wires {
  #element;
  #svg;
  #tones;
  #panes = new Map();
  #lastPulse = new Map();

  /** @param {Map<string, string>} tones the colour of each server, by its name */
  constructor(element, tones) {
    this.#element = element;
    this.#svg = element.querySelector("svg");
    this.#tones = tones;
    new ResizeObserver(() => this.#layOut()).observe(element);
  }

  attach(server, pane) {
    this.#panes.set(server, pane);
    this.#layOut();
  }

  /** Shows a message travelling between two servers. */
  pulse(from, to) {
    const path = this.#path(from, to);
    const now = performance.now();
    const key = `${from}\n${to}`;
    if (!path || stillness.matches || now - (this.#lastPulse.get(key) ?? -Infinity) < PULSE_PAUSE_MS) return;
    this.#lastPulse.set(key, now);

    const dot = document.createElementNS(SVG, "circle");
    dot.setAttribute("r", "4");
    dot.setAttribute("class", "pulse");
    dot.dataset.tone = this.#tones.get(from);
    dot.style.offsetPath = `path("${path}")`;
    this.#svg.append(dot);
    dot.animate({ offsetDistance: ["0%", "100%"] }, { duration: PULSE_MS, easing: "cubic-bezier(.45,.05,.35,1)" }).finished
      .finally(() => dot.remove());
  }

  #layOut() {
    const { width, height } = this.#element.getBoundingClientRect();
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#svg.querySelectorAll(".wire").forEach((wire) => wire.remove());
    for (const server of this.#panes.keys()) {
      const wire = document.createElementNS(SVG, "path");
      wire.setAttribute("class", "wire");
      wire.dataset.tone = this.#tones.get(server);
      wire.setAttribute("d", this.#stem(server, width / 2, height));
      this.#svg.prepend(wire);
    }
  }

  #x(server) {
    const pane = this.#panes.get(server)?.getBoundingClientRect();
    return pane && pane.left + pane.width / 2 - this.#element.getBoundingClientRect().left;
  }

  /** From the top of a server's pane up to the line, and along it to `x`. */
  #stem(server, x, height, from = this.#x(server)) {
    const line = height / 2;
    const turn = Math.sign(x - from) * Math.min(STEM_RADIUS, Math.abs(x - from));
    return turn === 0
      ? `M${from} ${height}V${line}`
      : `M${from} ${height}V${line + STEM_RADIUS}Q${from} ${line} ${from + turn} ${line}H${x}`;
  }

  #path(from, to) {
    const [start, end] = [this.#x(from), this.#x(to)];
    if (start === undefined || end === undefined || start === end) return null;
    const { height } = this.#element.getBoundingClientRect();
    const turn = Math.sign(end - start) * STEM_RADIUS;
    const line = height / 2;
    return `${this.#stem(from, end - turn, height)}Q${end} ${line} ${end} ${line + STEM_RADIUS}V${height}`;
  }
}
