// Socket.IO's Admin UI in a real browser: the official page of the npm package, its icons from npm
// as well, and nothing from other sites.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";
import { DEADLINE_MS, launch } from "./browser.mjs";

// Where the packages of the test nodes are.
export const require = createRequire(new URL("../../tests/node/package.json", import.meta.url));

const PAGE = join(dirname(require.resolve("@socket.io/admin-ui")), "..", "ui", "dist");
const ICONS = dirname(require.resolve("@mdi/font/package.json"));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png" };

/** Serves the page; `open` shows it in a browser. */
export class AdminUi {
  static async start() {
    const ui = new AdminUi();
    ui.http = createServer(async (request, response) => {
      const path = normalize(new URL(request.url, "http://page").pathname);
      try {
        const file = await readFile(join(PAGE, path === "/" ? "index.html" : path));
        response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html" }).end(file);
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise((resolve) => ui.http.listen(0, "127.0.0.1", resolve));
    ui.url = `http://127.0.0.1:${ui.http.address().port}/`;
    ui.browser = await launch();
    return ui;
  }

  /** A page of a new visitor, which is to connect to the server on this port. */
  async open(port, options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    context.setDefaultTimeout(DEADLINE_MS);
    await context.route(
      (url) => url.hostname !== "127.0.0.1",
      (route) => {
        const icon = /\/@mdi\/font@latest\/(.*)/.exec(new URL(route.request().url()).pathname)?.[1];
        return icon ? route.fulfill({ path: join(ICONS, icon) }) : route.abort();
      },
    );
    await context.addInitScript((server) => {
      localStorage.setItem("server_url", localStorage.getItem("server_url") ?? server);
      // Otherwise the server would have to allow the origin of the page.
      localStorage.setItem("ws_only", "true");
    }, `http://127.0.0.1:${port}`);
    const page = await context.newPage();
    await page.goto(this.url);
    return new Page(page);
  }

  async close() {
    await this.browser.close();
    this.http.close();
  }
}

/** The page: what a user can do in it, and what it shows. */
export class Page {
  errors = [];

  constructor(page) {
    this.page = page;
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  async logIn(username, password) {
    const dialog = this.page.locator(".v-dialog");
    await dialog.getByLabel("Username").fill(username);
    await dialog.getByLabel("Password").fill(password);
    await dialog.getByRole("button", { name: "Connect" }).click();
  }

  loggedIn() {
    return this.page.locator(".v-dialog").waitFor({ state: "hidden" });
  }

  /** Shows a view: "sockets", "rooms", "clients", "servers", "events", "" for the dashboard. */
  async show(view) {
    await this.page.evaluate((hash) => (location.hash = hash), `#/${view}${view && "/"}`);
    // The views slide.
    await this.page.locator(".v-breadcrumbs").or(this.page.locator("canvas").first()).first().waitFor();
  }

  async showSocket(id) {
    await this.show("sockets");
    await this.row(id).locator("td").first().click();
    await this.card("Details").waitFor();
  }

  card(title) {
    return this.page.locator(".v-card").filter({ has: this.page.locator(".v-card__title", { hasText: title }) });
  }

  /** The row of a table that begins with this text. */
  row(first) {
    return this.page.locator("tbody tr").filter({ has: this.page.locator(`td:first-child:text-is(${JSON.stringify(first)})`) });
  }

  /** Clicks the button with this icon. */
  click(within, icon) {
    return within.locator(`button:has(.${icon})`).click();
  }

  /** The cells of the table, once `matches` says that it is complete. */
  async rows(matches, awaited) {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const rows = await this.page.locator("main tbody tr").evaluateAll((rows) =>
        rows.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.innerText.trim())),
      );
      if (matches(rows)) return rows;
      if (Date.now() > deadline) throw new Error(`${awaited}: the page shows ${JSON.stringify(rows)}`);
      await this.page.waitForTimeout(50);
    }
  }

  close() {
    return this.page.context().close();
  }
}
