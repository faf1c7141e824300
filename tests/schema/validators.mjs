// Validates with ajv: validators.mjs FOLDER CASES
//
// FOLDER has the schemas. CASES has {"document","value","valid","says"?} in each line: whether the
// value is valid by that document, and a text that ajv says of it otherwise. Nothing is fetched.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2020.js";

const [folder, cases] = process.argv.slice(2);

// Both variants in one instance: their `$id`s differ.
const ajv = new Ajv({ allowUnionTypes: true, strictTypes: true, formats: { "date-time": true } });
for (const file of readdirSync(folder).filter((file) => file !== "asyncapi.json")) {
  // `discriminator` is OpenAPI's, and ajv knows it for texts only. These two are for generators.
  if (!file.endsWith("-types.json")) ajv.addSchema(JSON.parse(readFileSync(join(folder, file), "utf8")));
}

const failures = [];
const count = { valid: 0, invalid: 0 };
for (const line of readFileSync(cases, "utf8").trim().split("\n")) {
  const { document, value, valid, says } = JSON.parse(line);
  const validate = ajv.getSchema(document);
  const found = validate(value);
  const text = ajv.errorsText(validate.errors);
  count[found ? "valid" : "invalid"] += 1;
  if (found !== valid) failures.push(`${document}: ${found ? "accepted" : text}: ${line.slice(0, 300)}`);
  if (says !== undefined && !text.includes(says)) failures.push(`${document}: not ${says}, but ${text}`);
}
for (const failure of failures) console.error(failure);
console.log(JSON.stringify(count));
process.exit(failures.length > 0 ? 1 : 0);
