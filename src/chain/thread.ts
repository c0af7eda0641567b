import { Worker } from "node:worker_threads";
import { describeError, OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ChainEvents, ChainFacts, ChainLink, LinkMethod, ServeAxonCall, SignPayload } from "./link.ts";
import { outcomeOf, valueOf, type FromWorker, type Outcome, type ToWorker } from "./messages.ts";

export interface ChainThreadOptions {
  readonly events: ChainEvents;
  readonly sign: SignPayload;
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** Module of the thread; tests put a faulty one here. */
  readonly workerFile?: URL;
}

/** The thread has timeouts of its own; one that does not even keep those hangs, and is ended. */
const HANG_GRACE_MS = 5000;
/** Waits for its block up to 90 s. */
const INCLUSION_EXTRA_MS = 90_000;
/** Metadata and its registry take some 60 MB, of every connection until the collector comes by. 60 reconnects stay below. */
const MAX_HEAP_MB = 256;

/**
 * A ChainLink in a thread of its own, started by `open`. A thread that dies or hangs fails its calls with CHAIN_THREAD
 * or CHAIN_TIMEOUT and tells `onLost`; the next `open` starts a fresh one. The secret stays here: the thread sends payloads, `sign`
 * judges and signs them.
 */
export function createChainThread(options: ChainThreadOptions): ChainLink {
  let thread: Thread | undefined;
  const call = async (method: LinkMethod, params?: unknown): Promise<unknown> => {
    if (!thread?.alive) {
      if (method !== "open") throw new OperationalError("CHAIN_LOST", "No endpoint is open");
      thread = startThread(options);
    }
    return thread.call(method, params);
  };
  const method =
    <Name extends LinkMethod>(name: Name) =>
    (params?: unknown): ReturnType<ChainLink[Name]> =>
      call(name, params) as ReturnType<ChainLink[Name]>;
  return {
    open: (url) => call("open", url) as Promise<ChainFacts>,
    readSubnet: method("readSubnet"),
    readAxon: method("readAxon"),
    encodeServeAxon: method("encodeServeAxon"),
    serveAxon: method("serveAxon"),
    close: async () => {
      await thread?.end();
    },
  };
}

interface Thread {
  readonly alive: boolean;
  call: (method: LinkMethod, params: unknown) => Promise<unknown>;
  end: () => Promise<void>;
}

interface Pending {
  readonly resolve: (outcome: Outcome) => void;
  readonly timer: NodeJS.Timeout;
}

function startThread(options: ChainThreadOptions): Thread {
  const { events, logger, timeoutMs } = options;
  const file = options.workerFile ?? new URL("./worker.ts", import.meta.url);
  const worker = new Worker(file, {
    workerData: { timeoutMs },
    // The library writes warnings of its own to the console; they must not mix with our lines of JSON.
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  const pending = new Map<number, Pending>();
  let calls = 0;
  let alive = true;
  for (const stream of [worker.stdout, worker.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      logger.debug({ text: text.trim() }, "The chain's library says");
    });
  }

  const settle = (id: number, outcome: Outcome): void => {
    const waiting = pending.get(id);
    if (!waiting) return;
    pending.delete(id);
    clearTimeout(waiting.timer);
    waiting.resolve(outcome);
  };
  const die = (code: string, message: string): void => {
    if (!alive) return;
    alive = false;
    for (const id of pending.keys()) settle(id, { ok: false, code, message, details: {} });
    void worker.terminate();
    events.onLost(message);
  };
  worker.on("error", (error) => {
    die("CHAIN_THREAD", `The chain's thread died: ${describeError(error)}`);
  });
  worker.on("exit", (code) => {
    die("CHAIN_THREAD", `The chain's thread ended with code ${code}`);
  });
  worker.on("message", (message: FromWorker) => {
    if (!alive) return;
    if (message.kind === "answer") settle(message.id, message.outcome);
    else if (message.kind === "sign") void answerSignRequest(message, { worker, sign: options.sign });
    else if (message.kind === "head") events.onHead(message.block);
    else if (message.kind === "lost") events.onLost(message.reason);
    else if (message.kind === "upgrade") events.onUpgrade(message.specVersion);
    else logger.debug({ reason: message.reason }, "Stray error in the chain's thread");
  });

  return {
    get alive() {
      return alive;
    },
    call: async (method, params) => {
      const id = ++calls;
      const limitMs = timeoutMs + HANG_GRACE_MS + (method === "serveAxon" ? INCLUSION_EXTRA_MS : 0);
      const { promise, resolve } = Promise.withResolvers<Outcome>();
      const timer = setTimeout(() => {
        die("CHAIN_TIMEOUT", `The chain's thread did not answer ${method} within ${limitMs / 1000} s`);
      }, limitMs);
      pending.set(id, { resolve, timer });
      worker.postMessage({ kind: "call", id, method, params } satisfies ToWorker);
      return valueOf(await promise);
    },
    end: async () => {
      alive = false;
      for (const id of pending.keys()) {
        settle(id, { ok: false, code: "CHAIN_LOST", message: "The chain client was closed", details: {} });
      }
      await worker.terminate();
    },
  };
}

async function answerSignRequest(
  request: { id: number; payload: Uint8Array; call: ServeAxonCall },
  context: { worker: Worker; sign: SignPayload },
): Promise<void> {
  const outcome = await outcomeOf(() => context.sign(request.payload, request.call));
  context.worker.postMessage({ kind: "signed", id: request.id, outcome } satisfies ToWorker);
}
