// Counts what arrives at a socket, as bench/src/node/tally.rs does.

import { read } from "./event.mjs";

export class Tally {
  delivered = 0;
  duplicated = 0;
  outOfOrder = 0;
  corrupt = 0;
  late = 0;
  last = 0;
  latencies = [];
  #expected = undefined;
  #keepLatencies = false;
  #end = 0;
  #seen = new Uint8Array(1 << 16);

  expect(run, load, keepLatencies) {
    Object.assign(this, { delivered: 0, duplicated: 0, outOfOrder: 0, corrupt: 0, late: 0, last: 0, latencies: [] });
    this.#expected = { run, load };
    this.#keepLatencies = keepLatencies;
    this.#end = 0;
    this.#seen.fill(0);
  }

  /** Takes a packet for a socket. */
  take(packets) {
    const now = Number(process.hrtime.bigint());
    if (this.#expected === undefined) {
      return;
    }
    const header = read(this.#expected.load, packets);
    if (header === undefined) {
      this.corrupt++;
      return;
    }
    const [run, sequence, stamp] = header;
    if (run !== this.#expected.run) {
      this.late++;
      return;
    }
    this.last = now;
    if (sequence >= this.#seen.length) {
      const seen = new Uint8Array(Math.max(sequence + 1, this.#seen.length * 2));
      seen.set(this.#seen);
      this.#seen = seen;
    }
    if (this.#seen[sequence] === 1) {
      this.duplicated++;
      return;
    }
    this.#seen[sequence] = 1;
    this.delivered++;
    if (sequence < this.#end) {
      this.outOfOrder++;
    } else {
      this.#end = sequence + 1;
    }
    if (this.#keepLatencies) {
      this.latencies.push(Math.max(0, now - stamp));
    }
  }

  /** All together. */
  static sum(tallies) {
    const sum = { delivered: 0, duplicated: 0, outOfOrder: 0, corrupt: 0, late: 0, last: 0, latencies: [] };
    for (const tally of tallies) {
      for (const name of ["delivered", "duplicated", "outOfOrder", "corrupt", "late"]) {
        sum[name] += tally[name];
      }
      sum.last = Math.max(sum.last, tally.last);
      sum.latencies.push(...tally.latencies);
    }
    return sum;
  }
}
