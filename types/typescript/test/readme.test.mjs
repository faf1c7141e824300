// What the README shows runs, and prints what it says.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { inspect } from "node:util";

const root = new URL("../", import.meta.url);

test("the example of the README runs", async (context) => {
  const [, example] = readFileSync(new URL("README.md", root), "utf8").match(/```js\n([^]*?)```/);
  const expected = [...example.matchAll(/console\.log.* \/\/ (.*)$/gm)].map(([, text]) => text);
  // In the folder of the package, so that its name leads to it.
  const file = new URL("dist/readme.mjs", root);
  writeFileSync(file, example);
  const printed = [];
  context.mock.method(console, "log", (...values) => printed.push(values.map((value) => inspect(value)).join(" ")));
  const sent = [];
  Object.assign(globalThis, {
    fetchRow: () => assert.fail("it is inline"),
    insertRow: async (row) => sent.push(row) && 17n,
    notify: async (payload) => sent.push(payload),
  });
  await import(file);
  assert.deepEqual(printed, expected);
  assert.equal(sent[1], '{"uid":"0f1e2d3c4b5a6978","type":3,"nsp":"/","attachmentId":"17"}');
});

test("what is published is what is needed", () => {
  const arguments_ = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const [{ files }] = JSON.parse(execFileSync("npm", arguments_, { cwd: fileURLToPath(root), encoding: "utf8" }));
  const names = files.map(({ path }) => path).filter((path) => path !== "dist/readme.mjs");
  const modules = ["decode", "encode", "error", "guards", "index", "reader", "schemas", "writer"];
  const built = modules.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]);
  assert.deepEqual(names.sort(), ["LICENSE", "README.md", ...built, "package.json"].sort());
});
