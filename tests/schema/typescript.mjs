// Generates TypeScript types from a schema, and makes the compiler check messages against them:
// typescript.mjs SCHEMA ACCEPTED REFUSED FOLDER
//
// ACCEPTED has one message in each line. REFUSED has {"because","message"} in each line. Messages
// with "range" have the right types and a wrong value, which TypeScript cannot detect.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { compileFromFile } from "json-schema-to-typescript";
import ts from "typescript";

const [schema, accepted, refused, folder] = process.argv.slice(2).map((path) => resolve(path));

const types = await compileFromFile(schema);
writeFileSync(join(folder, "messages.ts"), types);

const numbered = [...types.matchAll(/^export (?:type|interface) (\w+\d)\b/gm)].map(([, name]) => name);
if (numbered.length > 0) {
  console.error(`types without a name of their own: ${numbered.join(", ")}`);
  process.exit(1);
}

const lines = (file) => readFileSync(file, "utf8").trim().split("\n");
const statement = (message, number) => `export const m${number}: ClusterMessage = ${JSON.stringify(message)};`;
const check = (name, statements) => {
  const file = join(folder, name);
  writeFileSync(file, ['import type { ClusterMessage } from "./messages";', ...statements].join("\n"));
  const program = ts.createProgram([file], { strict: true, noEmit: true, types: [] });
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
