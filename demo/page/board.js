// The whiteboard of a pane. It keeps its strokes in board units, so that it can draw them again at
// any size and in both themes.

const WIDTH = 1600;
const HEIGHT = 1000;
const SEND_EVERY_MS = 30;
const MAX_STROKES = 3000;

export const INKS = ["ink", "ember", "plum", "leaf", "sky", "sun"];

/** @typedef {{ stroke: string, color: string, width: number, points: [number, number][] }} Segment */

export class Board {
  #canvas;
  #context;
  #strokes = new Map();
  #own = null;
  #onDraw;

  color = "ink";
  width = 9;

  /**
   * @param {(segment: Segment) => void} onDraw called while the user draws, with the points since
   *   the last call
   */
  constructor(canvas, onDraw) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#onDraw = onDraw;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
    canvas.addEventListener("pointerdown", (event) => this.#start(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, () => this.#end());
    }
  }

  /** Adds a segment that another user drew. */
  draw(segment) {
    if (!INKS.includes(segment.color) || !Array.isArray(segment.points)) return;
    this.#add(segment.stroke, segment.color, segment.width, segment.points);
  }

  clear() {
    clearTimeout(this.#own?.timer);
    this.#own = null;
    this.#strokes.clear();
    this.#redraw();
    this.#showEmpty();
  }

  #start(event) {
    if (!event.isPrimary || event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#own = { stroke: crypto.randomUUID().slice(0, 8), unsent: [], timer: null };
    this.#extend([this.#point(event)]);
    event.preventDefault();
  }

  #move(event) {
    if (!this.#own || !event.isPrimary) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    this.#extend((moves.length > 0 ? moves : [event]).map((move) => this.#point(move)));
  }

  #end() {
    if (!this.#own) return;
    // curves end in the middle between two points: repeating the last point extends the stroke to
    // its end
    const { points } = this.#strokes.get(this.#own.stroke);
    this.#extend([points.at(-1)]);
    clearTimeout(this.#own.timer);
    this.#send(this.#own);
    this.#own = null;
  }

  #extend(points) {
    const own = this.#own;
    this.#add(own.stroke, this.color, this.width, points);
    own.unsent.push(...points);
    own.timer ??= setTimeout(() => {
      own.timer = null;
      this.#send(own);
    }, SEND_EVERY_MS);
  }

  #send(own) {
    const points = own.unsent.splice(0);
    this.#onDraw({ stroke: own.stroke, color: this.color, width: this.width, points });
  }

  #point(event) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const unit = (value, size, units) => Math.max(0, Math.min(units, Math.round((value / size) * units)));
    return [unit(event.clientX - left, width, WIDTH), unit(event.clientY - top, height, HEIGHT)];
  }

  #add(name, color, width, points) {
    let stroke = this.#strokes.get(name);
    if (!stroke) {
      if (this.#strokes.size >= MAX_STROKES) this.#strokes.delete(this.#strokes.keys().next().value);
      this.#strokes.set(name, (stroke = { color, width, points: [] }));
      this.#showEmpty();
    }
    const drawn = stroke.points.length;
    stroke.points.push(...points);
    this.#paint(stroke, drawn);
  }

  /** Paints a stroke from its point `first` on: curves through the middles of its points. */
  #paint({ color, width, points }, first) {
    const context = this.#context;
    context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue(`--${color}`);
    context.lineWidth = width;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const middle = (i) => [(points[i - 1][0] + points[i][0]) / 2, (points[i - 1][1] + points[i][1]) / 2];
    for (let i = first; i < points.length; i++) {
      if (i === 0) {
        context.moveTo(...points[0]);
        context.lineTo(...points[0]);
      } else {
        context.moveTo(...(i === 1 ? points[0] : middle(i - 1)));
        context.quadraticCurveTo(...points[i - 1], ...middle(i));
      }
    }
    context.stroke();
  }

  #resize() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    this.#redraw();
  }

  #redraw() {
    const { width, height } = this.#canvas;
    this.#context.setTransform(1, 0, 0, 1, 0, 0);
    this.#context.clearRect(0, 0, width, height);
    this.#context.setTransform(width / WIDTH, 0, 0, height / HEIGHT, 0, 0);
    for (const stroke of this.#strokes.values()) this.#paint(stroke, 0);
  }

  #showEmpty() {
    this.#canvas.parentElement.classList.toggle("drawn-on", this.#strokes.size > 0);
  }
}
