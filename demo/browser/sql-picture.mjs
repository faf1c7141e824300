// Makes the picture of docs/sql.md: a statement changes a row, and every pane shows it.
//
//   node sql-picture.mjs URL FILE.png

import { launch, open } from "./browser.mjs";

const [url, file] = process.argv.slice(2);
if (!file) throw new Error("usage: node sql-picture.mjs URL FILE.png");

const browser = await launch();
const { page, panes } = await open(browser, url, {
  viewport: { width: 1400, height: 720 },
  deviceScaleFactor: 1.5,
  colorScheme: "light",
});
for (const pane of panes) await pane.counts(panes.length, panes.length);
for (const round of [0, 1]) {
  await page.locator("#change-row").click();
  for (const pane of panes) await pane.element.getByText("lamps:").nth(round).waitFor();
}
await page.evaluate(() => document.activeElement.blur());
await page.screenshot({ path: file, animations: "allow" });
await browser.close();
