// A real browser with the demo's page, and the panes of that page for tests.

import { chromium } from "playwright-core";
import { REMEDY, findBrowser } from "./find.mjs";

/** Long enough for a busy machine. */
export const DEADLINE_MS = 60_000;

/** Starts the browser with a new profile, which is deleted afterwards. */
export async function launch() {
  const executablePath = findBrowser();
  if (!executablePath) throw new Error(REMEDY);
  return chromium.launch({
    executablePath,
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens the demo's page and waits until each pane's server has greeted it. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
  const { servers } = await (await fetch(new URL("servers.json", url))).json();
  const panes = servers.map((server) => new PaneUnderTest(page, server));
  for (const pane of panes) await pane.element.and(page.locator("[data-socket]")).waitFor();
  return { page, panes, complaints, close: () => context.close() };
}

/** One pane: what a user can do in it, and what it shows. */
export class PaneUnderTest {
  constructor(page, { name, kind }) {
    this.page = page;
    this.name = name;
    this.kind = kind;
    this.element = page.locator(`.pane[data-server="${name}"]`);
    this.log = this.element.locator(".log");
  }

  socket() {
    return this.element.getAttribute("data-socket");
  }

  // ---- what a user does

  async say(text) {
    await this.element.locator("[name=text]").fill(text);
    await this.element.locator("[name=text]").press("Enter");
  }

  /** Chooses the receivers of the next messages: "everyone", "room:<name>" or "socket:<id>". */
  async address(target) {
    const select = this.element.locator(".target select");
    await select.locator(`option[value="${target}"]`).waitFor({ state: "attached" });
    await select.selectOption(target);
  }

  async join(room) {
    await this.element.locator("[name=room]").fill(room);
    await this.element.locator("[name=room]").press("Enter");
    await this.#room(room).waitFor();
  }

  async leave(room) {
    await this.#room(room).click();
    await this.#room(room).waitFor({ state: "detached" });
  }

  #room(room) {
    return this.element.getByRole("button", { name: `Leave #${room}`, exact: true });
  }

  async choose(ink) {
    await this.element.locator(`.swatch[data-tone="${ink}"]`).click();
  }

  /** Draws through points given as fractions of the board's width and height. */
  async draw(points, { steps = 4 } = {}) {
    const { x, y, width, height } = await this.element.locator("canvas").boundingBox();
    const to = ([right, down]) => [x + right * width, y + down * height];
    await this.page.mouse.move(...to(points[0]));
    await this.page.mouse.down();
    for (const point of points) await this.page.mouse.move(...to(point), { steps });
    await this.page.mouse.up();
  }

  async clear() {
    await this.element.locator(".clear").click();
  }

  /** Drops a file on the pane. */
  async drop({ name, type, bytes }) {
    const transfer = await this.page.evaluateHandle(
      ({ name, type, base64 }) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
        return transfer;
      },
      { name, type, base64: Buffer.from(bytes).toString("base64") },
    );
    await this.element.dispatchEvent("drop", { dataTransfer: transfer });
  }

  /** Chooses a file in the pane's file dialog. */
  async attach({ name, type, bytes }) {
    await this.element.locator(".attach input").setInputFiles({ name, mimeType: type, buffer: Buffer.from(bytes) });
  }

  // ---- what it shows

  /** The message with this text, once it is there. */
  async reads(text) {
    const message = this.#message(text);
    await message.waitFor();
    return message;
  }

  /** How often a message with this text is there at the moment. */
  count(text) {
    return this.#message(text).count();
  }

  #message(text) {
    return this.log.locator(".message").filter({ has: this.page.getByText(text, { exact: true }) });
  }

  /** Waits for a notice about a socket. */
  async notices(socket, text) {
    await this.log.locator(`.notice[data-socket="${socket}"]`).and(this.page.getByText(text, { exact: true })).waitFor();
  }

  /** The bytes of a file that this pane got, once it is there. */
  async received(name) {
    const link = this.log.locator(`a[download="${name}"]`);
    await link.waitFor();
    const base64 = await link.evaluate(async (link) => {
      const bytes = new Uint8Array(await (await fetch(link.href)).arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    });
    return Buffer.from(base64, "base64");
  }

  /** The size in pixels of an image that this pane shows, once it is loaded. */
  async pictured(name) {
    const image = this.log.locator(`a[download="${name}"] img`);
    await image.waitFor();
    return image.evaluate(async (image) => {
      await image.decode();
      return [image.naturalWidth, image.naturalHeight];
    });
  }

  /** Waits until the footer shows these numbers of servers and sockets. */
  async counts(servers, sockets) {
    await this.#says(".servers", servers);
    await this.#says(".sockets", sockets);
  }

  async #says(place, number) {
    await this.element.locator(place).and(this.page.getByText(String(number), { exact: true })).waitFor();
  }

  /**
   * Waits until the board has, around this point, the colour of an ink, or nothing when `ink` is
   * null.
   */
  async shows([right, down], ink) {
    const canvas = await this.element.locator("canvas").elementHandle();
    await this.page.waitForFunction(
      ({ canvas, right, down, ink }) => {
        const context = canvas.getContext("2d");
        const pixel = context.getImageData(right * canvas.width, down * canvas.height, 1, 1).data;
        if (ink === null) return pixel[3] === 0;
        const wanted = document.createElement("canvas").getContext("2d");
        wanted.fillStyle = getComputedStyle(canvas).getPropertyValue(`--${ink}`);
        wanted.fillRect(0, 0, 1, 1);
        return wanted.getImageData(0, 0, 1, 1).data.every((part, i) => Math.abs(part - pixel[i]) <= 3);
      },
      { canvas, right, down, ink },
    );
  }
}
