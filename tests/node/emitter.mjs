// A test node for processes without sockets: the official emitter, driven by JSON lines.
//
//   node emitter.mjs --database-url URL [options]

import { Emitter } from "@socket.io/postgres-emitter";
import { readOptions } from "./options.mjs";
import { AdapterPool } from "./postgres.mjs";
import { print, serve } from "./wire.mjs";

const UNSUPPORTED = ["local", "timeout", "from"];

const options = readOptions();
const pool = await AdapterPool.open(options);

let failure;
const queries = {
  // When a query fails, the emitter broadcasts an event named "error" with another query, and so on
  // for ever. So it never reports a failure; this test node does.
  query: (...args) =>
    pool.query(...args).catch((error) => {
      failure = error;
      return new Promise(() => {});
    }),
};

const published = (operation) => async (command) => {
  const unsupported = UNSUPPORTED.filter((name) => name in command);
  if (unsupported.length > 0) {
    throw new Error(`the official emitter has no ${unsupported.join(", ")}`);
  }
  failure = undefined;
  operation(select(command), command);
  await pool.idle();
  if (failure !== undefined) {
    throw failure;
  }
};

serve(
  {
    emit: published((emitter, { event, args = [] }) => emitter.emit(event, ...args)),
    socketsJoin: published((emitter, { join }) => emitter.socketsJoin(join)),
    socketsLeave: published((emitter, { leave }) => emitter.socketsLeave(leave)),
    disconnectSockets: published((emitter, { close }) => emitter.disconnectSockets(close)),
    serverSideEmit: published((emitter, { event, args = [] }) => emitter.serverSideEmit(event, ...args)),
  },
  () => pool.idle(),
);
print({ ready: true, uid: "emitter" });

// One emitter for each namespace: `of` would forget the options.
function select({ nsp = "/", rooms = [], except = [], volatile, compress }) {
  let operator = new Emitter(queries, nsp, options.adapter).to(rooms).except(except);
  if (volatile) {
    operator = operator.volatile;
  }
  if (compress !== undefined) {
    operator = operator.compress(compress);
  }
  return operator;
}
