// Writes src/writer.ts, src/reader.ts and src/schemas.ts from protocol/schema:
//
//   node scripts/generate.mjs           writes the files
//   node scripts/generate.mjs --check   fails if a file is not what it would write

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const SCHEMAS = join(PACKAGE, "../../protocol/schema");
const HEAD = (from) => `// Generated from protocol/schema/${from} by scripts/generate.mjs: do not edit.\n`;

const read = (file) => JSON.parse(readFileSync(join(SCHEMAS, file), "utf8"));

const types = async (variant) => {
  const file = `${variant}-types.json`;
  const schema = named(read(file));
  // JSON Schema has no name for what MessagePack holds besides JSON.
  schema.$defs.ApplicationData.tsType =
    "null | boolean | number | string | Uint8Array | Date | ApplicationData[] | { [key: string]: ApplicationData }";
  // Readers must survive keys that they do not know. A writer that writes one has probably mistyped it.
  const additionalProperties = variant === "reader";
  for (const open of ["Flags", "Handshake"]) if (schema.$defs[open]) schema.$defs[open].additionalProperties = true;
  const messages = await compile(schema, schema.title, { additionalProperties, bannerComment: HEAD(file) });
  // No message has one, so it is not among them.
  const header = { ...schema.$defs.NotificationHeader, $defs: schema.$defs };
  const options = { additionalProperties, bannerComment: "", declareExternallyReferenced: false };
  return `${messages}\n${(await compile(header, header.title, options)).trim()}\n`;
};

/** The same schema, in which any value is `unknown`. */
const named = (schema) => {
  if (Array.isArray(schema)) return schema.map(named);
  if (schema === null || typeof schema !== "object") return schema;
  if (Array.isArray(schema.type) && schema.type.length === 7) return { ...schema, tsType: "unknown" };
  return Object.fromEntries(Object.entries(schema).map(([key, of]) => [key, key === "examples" ? of : named(of)]));
};

/** Whether a keyword says nothing to a validator. ajv takes NaN, which MessagePack has, for no number. */
const isIdle = (keyword, value) =>
  keyword === "examples" ||
  (keyword === "description" && typeof value === "string") ||
  (keyword === "type" && Array.isArray(value) && value.length === 7);

const documents = () => {
  const files = readdirSync(SCHEMAS).sort();
  const judges = files.filter((file) => /^(common|reader|writer)/.test(file) && !/(types|attachment)\.json$/.test(file));
  const essential = (value) => {
    if (Array.isArray(value)) return value.map(essential);
    if (value === null || typeof value !== "object") return value;
    const kept = Object.entries(value).filter(([key, of]) => !isIdle(key, of));
    return Object.fromEntries(kept.map(([key, of]) => [key, essential(of)]));
  };
  const all = judges.map((file) => `  ${JSON.stringify(essential(read(file)))},\n`).join("");
  return `${HEAD("*.json")}\n/** The JSON Schemas by which messages are judged, without their descriptions. */\nexport const schemas: object[] = [\n${all}];\n`;
};

const files = { "writer.ts": await types("writer"), "reader.ts": await types("reader"), "schemas.ts": documents() };
const stale = Object.entries(files).filter(([file, text]) => {
  const path = join(PACKAGE, "src", file);
  if (!process.argv.includes("--check")) writeFileSync(path, text);
  return readFileSync(path, "utf8") !== text;
});
for (const [file] of stale) console.error(`src/${file} is not what protocol/schema says: run \`npm run generate\` in types/typescript`);
process.exit(stale.length > 0 ? 1 : 0);
