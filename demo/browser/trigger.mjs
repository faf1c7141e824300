// Opens the page of the example `trigger`, and prints the rows that it shows, on one line: once the
// page is live, and whenever they change. `examples/tests/run.rs` starts it. It ends with its input.
//
//   node trigger.mjs URL

import { launch } from "./browser.mjs";

const browser = await launch();
process.stdin.on("end", () => browser.close()).resume();
const page = await browser.newPage();
page.on("pageerror", (error) => console.log(`error: ${error}`));
page.on("console", (message) => {
  // While the server is away, each attempt to connect is an error.
  if (message.type() === "error" && !message.text().includes("net::ERR_")) console.log(`error: ${message.text()}`);
});
await page.exposeFunction("report", (rows) => console.log(`shows [${rows.join(", ")}]`));
await page.goto(process.argv[2]);
await page.getByText("Live", { exact: true }).waitFor();
await page.evaluate(() => {
  const body = document.querySelector("tbody");
  const report = () => globalThis.report([...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent).join(" ")));
  new MutationObserver(report).observe(body, { childList: true, subtree: true });
  return report();
});
