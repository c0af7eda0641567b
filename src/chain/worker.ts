import { parentPort, workerData } from "node:worker_threads";
import { describeError } from "../errors.ts";
import { createChainConnection } from "./connection.ts";
import type { ServeAxonCall } from "./link.ts";
import { outcomeOf, valueOf, type FromWorker, type Outcome, type ToWorker } from "./messages.ts";

/** Entry of the chain's thread: runs the methods of a ChainLink that the axon's thread asks for, and asks it to sign. */

const port = parentPort!;
const { timeoutMs } = workerData as { timeoutMs: number };
const signatures = new Map<number, (outcome: Outcome) => void>();
let signRequests = 0;

function post(message: FromWorker): void {
  port.postMessage(message);
}

async function sign(payload: Uint8Array, call: ServeAxonCall): Promise<Uint8Array> {
  const id = ++signRequests;
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  signatures.set(id, resolve);
  post({ kind: "sign", id, payload, call });
  return valueOf(await promise) as Uint8Array;
}

const link = createChainConnection({
  events: {
    onHead: (block) => {
      post({ kind: "head", block });
    },
    onLost: (reason) => {
      post({ kind: "lost", reason });
    },
    onUpgrade: (specVersion) => {
      post({ kind: "upgrade", specVersion });
    },
  },
  sign,
  timeoutMs,
});

// The library rejects promises of its own when a connection ends under a subscription: no reason to end the thread.
const onStray = (error: unknown): void => {
  post({ kind: "fault", reason: describeError(error) });
};
process.on("unhandledRejection", onStray);
process.on("uncaughtException", onStray);

port.on("message", (message: ToWorker) => {
  if (message.kind === "signed") {
    signatures.get(message.id)?.(message.outcome);
    signatures.delete(message.id);
    return;
  }
  const { id, method, params } = message;
  const run = link[method] as (params: unknown) => Promise<unknown>;
  void outcomeOf(() => run(params)).then((outcome) => {
    post({ kind: "answer", id, outcome });
  });
});
