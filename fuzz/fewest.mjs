// Keeps the few fuzzing inputs that reach the most code which the seeds do not reach; for
// minimise.sh.
//
//     node fewest.mjs CONTROL SEEDS FOLDER MOST BYTES
//
// CONTROL is what libFuzzer writes with -merge_control_file: how many files, how many of them in
// the first folder, their paths, and for each the code it reaches, as `FT index feature…`. The kept
// inputs, as far as they were run, are written to FOLDER.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const [control, seeds, folder, most, bytes] = process.argv.slice(2);
const lines = readFileSync(control, "latin1").split("\n");
const count = Number(lines[0]);
const inputs = lines.slice(2, 2 + count).map((path) => ({ path, features: [] }));
for (const line of lines.slice(2 + count)) {
  const [kind, index, ...features] = line.trim().split(" ");
  if (kind === "FT") inputs[index].features = features;
}

const isSeed = new Set(readdirSync(seeds));
const reached = new Set(inputs.filter(({ path }) => isSeed.has(basename(path))).flatMap(({ features }) => features));
let left = inputs.filter(({ path }) => !isSeed.has(basename(path)));
for (const input of left) input.data = readFileSync(input.path).subarray(0, Number(bytes));
const goal = new Set(left.flatMap(({ features }) => features).filter((feature) => !reached.has(feature)));

const bySeeds = reached.size;
let kept = 0;
while (kept < Number(most)) {
  for (const input of left) input.features = input.features.filter((feature) => !reached.has(feature));
  left = left.filter(({ features }) => features.length > 0);
  if (left.length === 0) break;
  const best = left.reduce((best, input) => (worth(input, best) > 0 ? input : best));
  for (const feature of best.features) reached.add(feature);
  writeFileSync(`${folder}/${createHash("sha1").update(best.data).digest("hex").slice(0, 16)}`, best.data);
  kept++;
}
console.log(`${kept} inputs reach ${reached.size - bySeeds} of the ${goal.size} features that the seeds do not`);

/** The input that reaches more comes first, then the shorter one, then a fixed order. */
function worth(one, other) {
  return one.features.length - other.features.length || other.data.length - one.data.length || Buffer.compare(other.data, one.data);
}
