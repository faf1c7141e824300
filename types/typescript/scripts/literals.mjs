// Makes the compiler check messages against the types: literals.mjs TYPES ACCEPTED REFUSED FOLDER
//
// TYPES is a file of this package, or a schema, of which the types are then generated as they are by
// a user who knows nothing but the schema.
//
// ACCEPTED has one message in each line. REFUSED has {"because","message"} in each line. Messages
// with "range" have the right types and a wrong value, which TypeScript cannot detect.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { compileFromFile } from "json-schema-to-typescript";
import ts from "typescript";

const [source, accepted, refused, folder] = process.argv.slice(2).map((path) => resolve(path));

let types = source;
if (source.endsWith(".json")) {
  types = join(folder, "messages.ts");
  const text = await compileFromFile(source);
  writeFileSync(types, text);
  const numbered = [...text.matchAll(/^export (?:type|interface) (\w+\d)\b/gm)].map(([, name]) => name);
  if (numbered.length > 0) throw new Error(`types without a name of their own: ${numbered.join(", ")}`);
}

const lines = (file) => readFileSync(file, "utf8").trim().split("\n");
const statement = (message, number) => `export const m${number}: ClusterMessage = ${JSON.stringify(message)};`;
const check = (name, statements) => {
  const file = join(folder, name);
  writeFileSync(file, [`import type { ClusterMessage } from ${JSON.stringify(types.replace(/ts$/, "js"))};`, ...statements].join("\n"));
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
