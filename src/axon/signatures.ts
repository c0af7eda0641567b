import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { SignatureClaim } from "../bittensor/signature.ts";
import { OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { timeLimit } from "../time-limit.ts";
import type { Keypair } from "../wallet/keypair.ts";

/** Signing and verifying off the event loop. */
export interface SignaturePool {
  verify(claim: SignatureClaim): Promise<boolean>;
  sign(message: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface SignaturePoolOptions {
  readonly keypair: Keypair;
  readonly threads: number;
  readonly logger: Logger;
  /** Of one attempt, waiting for a thread included. */
  readonly timeoutMs?: number;
  /** Module that exports `verify` and `sign`; tests put a faulty one here. */
  readonly workerFile?: string;
}

/** Thousands of times what a signature takes, and a fifth of the shortest deadline: a thread that hangs, or has gone. */
const TIMEOUT_MS = 10_000;
/** Far beyond what loading takes. */
const START_TIMEOUT_MS = 30_000;
const REVIVE_AFTER_MS = 1000;

/**
 * Resolves when every thread has compiled its curves: the first signature of a cold thread takes ten times as long. A thread that
 * dies or hangs is replaced, and what it had in hand is tried once more. Throws OperationalError SIGNATURE_THREADS when they
 * do not start.
 */
export async function startSignaturePool(options: SignaturePoolOptions): Promise<SignaturePool> {
  const { keypair, threads, logger, timeoutMs = TIMEOUT_MS } = options;
  const pool = new Piscina({
    filename: options.workerFile ?? fileURLToPath(new URL("./signature-worker.ts", import.meta.url)),
    minThreads: threads,
    maxThreads: threads,
    // Callers are bounded by verification slots and the work queue, far below this.
    maxQueue: 65_536,
    workerData: keypair.revealSecret(),
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
  });
  let closed = false;
  const message = new TextEncoder().encode("warm-up");
  const signature = keypair.sign(message);
  const claim: SignatureClaim = { scheme: keypair.scheme, address: keypair.address, message, signature };
  const attempt = async <Result>(name: "verify" | "sign", task: unknown, ms: number): Promise<Result> => {
    using limit = timeLimit(ms, undefined);
    return (await pool.run(task, { name, signal: limit.signal })) as Result;
  };
  const run = async <Result>(name: "verify" | "sign", task: unknown): Promise<Result> => {
    try {
      return await attempt(name, task, timeoutMs);
    } catch (err) {
      if (closed) throw err;
      logger.warn({ err, task: name }, "A signature thread failed, trying once more");
      return attempt(name, task, timeoutMs);
    }
  };
  const close = (): Promise<void> => {
    closed = true;
    return pool.destroy();
  };

  // Of a thread that dies while it loads, as where memory is short: without a listener that would end the process. The pool
  // starts another for the next task only, and all tasks may be waiting already.
  pool.on("error", (err: Error) => {
    logger.warn({ err }, "A signature thread died");
    setTimeout(() => {
      if (!closed) attempt("verify", claim, timeoutMs).catch(() => undefined);
    }, REVIVE_AFTER_MS).unref();
  });
  const warmUps = Array.from({ length: threads * 4 }, () => [
    attempt("verify", claim, START_TIMEOUT_MS),
    attempt("sign", message, START_TIMEOUT_MS),
  ]);
  try {
    await Promise.all(warmUps.flat());
  } catch (error) {
    await close();
    throw new OperationalError("SIGNATURE_THREADS", "The signature threads did not start", { cause: error });
  }
  return { verify: (task) => run("verify", task), sign: (task) => run("sign", task), close };
}
