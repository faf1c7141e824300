// Makes the picture of the README: four panes with a crab, an elephant, a hexagon and a snake.
//
//   node picture.mjs URL FILE.png [dark]

import { launch, open } from "./browser.mjs";

const [url, file, theme = "light"] = process.argv.slice(2);
if (!file) throw new Error("usage: node picture.mjs URL FILE.png [dark]");

/** A point of an ellipse; angles are in turns, clockwise from the right. */
function around([x, y], [width, height], turn) {
  return [x + width * Math.cos(turn * 2 * Math.PI), y + height * Math.sin(turn * 2 * Math.PI)];
}

/** An ellipse, or a part of one. */
function arc(center, size, from = 0, to = 1, steps = 40) {
  return Array.from({ length: steps + 1 }, (_, i) => around(center, size, from + ((to - from) * i) / steps));
}

/** A smooth line through a few points. */
function curve(points, steps = 8) {
  const at = (i) => points[Math.max(0, Math.min(points.length - 1, i))];
  const result = [];
  for (let i = 0; i < points.length - 1; i++) {
    for (let step = 0; step < steps; step++) {
      const t = step / steps;
      const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
      result.push([0, 1].map((k) =>
        0.5 * (2 * b[k] + (c[k] - a[k]) * t + (2 * a[k] - 5 * b[k] + 4 * c[k] - d[k]) * t * t + (3 * b[k] - a[k] - 3 * c[k] + d[k]) * t ** 3),
      ));
    }
  }
  return [...result, points.at(-1)];
}

/**
 * A polygon that stands on a corner. Its sides have short steps, so that its corners stay sharp.
 */
function polygon(center, size, corners) {
  const corner = (i) => around(center, size, 0.25 + i / corners);
  return Array.from({ length: corners }, (_, i) => {
    const [[fromX, fromY], [toX, toY]] = [corner(i), corner(i + 1)];
    return Array.from({ length: 13 }, (_, step) => [fromX + ((toX - fromX) * step) / 12, fromY + ((toY - fromY) * step) / 12]);
  }).flat();
}

const eyes = (x, y, gap) => [arc([x - gap, y], [0.004, 0.006], 0, 1, 6), arc([x + gap, y], [0.004, 0.006], 0, 1, 6)];
const smile = (x, y, size) => arc([x, y], [size, size * 1.3], 0.08, 0.42, 14);

const crab = {
  ember: [
    arc([0.2, 0.6], [0.105, 0.115]),
    ...[-1, 1].flatMap((side) => [
      curve([[0.2 + side * 0.1, 0.56], [0.2 + side * 0.14, 0.49], [0.2 + side * 0.135, 0.41]]),
      arc([0.2 + side * 0.135, 0.355], [0.034, 0.052], side < 0 ? 0.92 : 0.74, side < 0 ? 1.76 : 1.58, 24),
      curve([[0.2 + side * 0.045, 0.495], [0.2 + side * 0.05, 0.44]]),
      ...[0, 1, 2].map((leg) =>
        curve([
          [0.2 + side * (0.09 - leg * 0.026), 0.65 + leg * 0.03],
          [0.2 + side * (0.135 - leg * 0.028), 0.675 + leg * 0.035],
          [0.2 + side * (0.145 - leg * 0.03), 0.73 + leg * 0.02],
        ]),
      ),
    ]),
  ],
  ink: [...eyes(0.2, 0.425, 0.05), smile(0.2, 0.59, 0.04)],
};

const hexagon = {
  leaf: [
    polygon([0.8, 0.53], [0.115, 0.185], 6),
    curve([[0.7, 0.5], [0.655, 0.46], [0.64, 0.38]]),
    curve([[0.9, 0.5], [0.945, 0.46], [0.955, 0.38]]),
    curve([[0.765, 0.695], [0.762, 0.78], [0.745, 0.785]]),
    curve([[0.835, 0.695], [0.838, 0.78], [0.855, 0.785]]),
  ],
  ink: [...eyes(0.8, 0.49, 0.035), smile(0.8, 0.54, 0.035)],
};

const elephant = {
  sky: [
    // the head, the trunk that lifts a heart, an ear on either side
    arc([0.5, 0.5], [0.075, 0.12], -0.36, 0.2),
    arc([0.5, 0.5], [0.075, 0.12], 0.3, 0.64),
    curve([[0.418, 0.43], [0.375, 0.4], [0.352, 0.48], [0.37, 0.6], [0.405, 0.62], [0.43, 0.56]]),
    curve([[0.582, 0.43], [0.625, 0.4], [0.648, 0.48], [0.63, 0.6], [0.595, 0.62], [0.57, 0.56]]),
    curve([[0.478, 0.565], [0.474, 0.66], [0.486, 0.74], [0.525, 0.765], [0.56, 0.73]]),
    curve([[0.52, 0.565], [0.517, 0.64], [0.52, 0.69], [0.535, 0.7], [0.545, 0.68]]),
    curve([[0.56, 0.73], [0.567, 0.69], [0.545, 0.68]]),
  ],
  ink: eyes(0.5, 0.46, 0.032),
};

const snake = {
  sky: [
    curve([[0.575, 0.21], [0.605, 0.13], [0.645, 0.21], [0.685, 0.13], [0.715, 0.19], [0.735, 0.17]]),
    arc([0.757, 0.155], [0.024, 0.03]),
    curve([[0.78, 0.165], [0.795, 0.168], [0.805, 0.158]]),
    curve([[0.795, 0.168], [0.805, 0.18]]),
  ],
  ink: eyes(0.76, 0.147, 0.009),
};

const heart = (x, y, size) =>
  curve([
    [x, y + size * 1.5], [x - size, y + size * 0.1], [x - size * 0.85, y - size * 0.75], [x - size * 0.4, y - size * 0.85], [x, y - size * 0.1],
    [x + size * 0.4, y - size * 0.85], [x + size * 0.85, y - size * 0.75], [x + size, y + size * 0.1], [x, y + size * 1.5],
  ]);

const browser = await launch();
const { page, panes } = await open(browser, url, {
  viewport: { width: 1840, height: 1060 },
  deviceScaleFactor: 1.25,
  colorScheme: theme,
});
const [rust, secondRust, node, python] = panes;
for (const pane of panes) await pane.counts(panes.length, panes.length);

async function sketch(pane, strokes) {
  for (const [ink, lines] of Object.entries(strokes)) {
    await pane.choose(ink);
    for (const line of lines) await pane.draw(line, { steps: 1 });
  }
}

await sketch(rust, crab);
await sketch(node, hexagon);
await sketch(secondRust, elephant);
await sketch(python, snake);
await sketch(node, {
  sun: [
    arc([0.885, 0.15], [0.036, 0.0576]),
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((ray) => [0.052, 0.07].map((far) => around([0.885, 0.15], [far, far * 1.6], ray / 8))),
  ],
});
await sketch(rust, {
  sky: [
    [...arc([0.085, 0.16], [0.03, 0.045], 0.25, 0.7, 16), ...arc([0.135, 0.115], [0.042, 0.07], 0.52, 0.94, 20), ...arc([0.185, 0.16], [0.03, 0.045], 0.78, 1.25, 16), [0.135, 0.205], [0.085, 0.205]],
  ],
});
await sketch(rust, { sun: [curve([[0.06, 0.8], [0.25, 0.815], [0.5, 0.8], [0.75, 0.815], [0.94, 0.8]])] });

const view = `<svg xmlns="http://www.w3.org/2000/svg" width="460" height="240">
  <linearGradient id="sky" x2="0" y2="1"><stop stop-color="#33507f"/><stop offset=".55" stop-color="#e58a6b"/><stop offset="1" stop-color="#ffd9a0"/></linearGradient>
  <rect width="460" height="240" fill="url(#sky)"/><circle cx="318" cy="132" r="30" fill="#fff2d0"/>
  <path d="M0 150 90 78l70 66 74-92 96 106 60-44 70 60v116H0Z" fill="#5b4a78"/>
  <path d="M0 196c80-46 150-40 230-10s150 30 230-18v72H0Z" fill="#2c3558"/>
</svg>`;

await rust.say("Hello from Rust! The crab is mine.");
await node.reads("Hello from Rust! The crab is mine.");
await node.say("Hello back from Node.");
await secondRust.reads("Hello back from Node.");
await python.say("And hello from Python.");
await secondRust.reads("And hello from Python.");
await secondRust.drop({ name: "view.svg", type: "image/svg+xml", bytes: Buffer.from(view) });
await rust.pictured("view.svg");
await node.pictured("view.svg");
await python.pictured("view.svg");
await node.drop({ name: "measurements.csv", type: "text/csv", bytes: Buffer.alloc(48_200, "7;") });
await rust.received("measurements.csv");
await secondRust.received("measurements.csv");
await rust.address(`socket:${await node.socket()}`);
await rust.say("Just between you and me: nice hexagon.");
await node.reads("Just between you and me: nice hexagon.");
await rust.address("everyone");
await secondRust.join("elephants");

// last, so that the picture shows a message on its way
await sketch(secondRust, { plum: [heart(0.5, 0.2, 0.034)] });
await page.evaluate(() => document.activeElement.blur());
await page.screenshot({ path: file, animations: "allow" });
await browser.close();
