// Reads AsyncAPI documents with their official parser: asyncapi.mjs FILE…
// Prints a line of JSON for each:
// {"file","valid","version","messages","operations","diagnostics":[{"severity","message","path"}]}

import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const SEVERITIES = ["error", "warning", "information", "hint"];

for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
  console.log(
    JSON.stringify({
      file,
      valid: document !== undefined,
      version: document?.version(),
      messages: document?.allMessages().length,
      operations: document?.allOperations().length,
      diagnostics: diagnostics.map(({ severity, message, path }) => ({
        severity: SEVERITIES[severity],
        message,
        path: path.join("/"),
      })),
    }),
  );
}
