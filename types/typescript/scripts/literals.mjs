// Makes the compiler check messages against the types: literals.mjs VARIANT ACCEPTED REFUSED FOLDER
//
// ACCEPTED has one message in each line. REFUSED has {"because","message"} in each line. Messages
// with "range" have the right types and a wrong value, which TypeScript cannot detect.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const [variant, ...paths] = process.argv.slice(2);
const [accepted, refused, folder] = paths.map((path) => resolve(path));
const types = fileURLToPath(new URL(`../src/${variant}.js`, import.meta.url));

const lines = (file) => readFileSync(file, "utf8").trim().split("\n");
const statement = (message, number) => `export const m${number}: ClusterMessage = ${JSON.stringify(message)};`;
const check = (name, statements) => {
  const file = join(folder, name);
  writeFileSync(file, [`import type { ClusterMessage } from ${JSON.stringify(types)};`, ...statements].join("\n"));
  const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022 };
  const program = ts.createProgram([file], options);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "));
};

const messages = lines(accepted).map((line) => JSON.parse(line));
const errors = check("accepted.ts", messages.map(statement));

const wrong = lines(refused)
  .map((line) => JSON.parse(line))
  .filter((line) => !line.range);
const unused = check(
  "refused.ts",
  wrong.flatMap(({ because, message }, number) => [`// @ts-expect-error ${because}`, statement(message, number)]),
);

for (const error of [...errors, ...unused]) console.error(error);
console.log(JSON.stringify({ accepted: messages.length, refused: wrong.length }));
process.exit(errors.length + unused.length > 0 ? 1 : 0);
