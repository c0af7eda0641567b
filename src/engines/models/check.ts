import { Worker } from "node:worker_threads";
import { describeError } from "../../errors.ts";
import { checkTrees } from "../lgbm/golden.ts";
import { checkNetwork } from "../patchtst/golden.ts";
import type { ModelCheck } from "./golden.ts";
import { besideManifest, type ModelProblem, type ModelReference } from "./manifest.ts";

export function referenceOf({ name, entry, manifestFile }: Omit<ModelCheck, "horizon">): ModelReference {
  return { name, sha256: entry.sha256, file: besideManifest(manifestFile, entry.file) };
}

/**
 * The model's files are the ones named, it fits the calibration, and it makes of raw candles the features and outputs that it
 * made in training. Throws OperationalError `model/not_installed`, `model/corrupt`, `model/mismatch`, `model/runtime`,
 * `model/output`.
 */
export function checkModel({ entry, ...check }: ModelCheck): Promise<void> {
  switch (entry.kind) {
    case "patchtst":
      return checkNetwork({ ...check, entry }, referenceOf({ ...check, entry }));
    case "lgbm":
      return checkTrees({ ...check, entry }, referenceOf({ ...check, entry }));
  }
}

/** Checks models one after another. */
export interface ModelChecker {
  /** Null: the model is in order. */
  check(model: ModelCheck): Promise<ModelProblem | null>;
  close(): void;
}

const CHECK_TIMEOUT_MS = 60_000;

/** Checks in a thread of its own: opening a model and running it would hold up the event loop. */
export function openCheckThread(): ModelChecker {
  let thread: Worker | null = null;

  function start(): Worker {
    const worker = new Worker(new URL("./check-worker.ts", import.meta.url));
    // It may also die between two checks; the next one then starts another.
    const forget = (): void => {
      if (thread === worker) thread = null;
    };
    worker.on("error", forget).once("exit", forget);
    return worker;
  }

  return {
    check: (model) => {
      const worker = (thread ??= start());
      const { promise, resolve } = Promise.withResolvers<ModelProblem | null>();
      const fail = (message: string): void => {
        resolve({ code: "model/failed", message: `${model.name}: ${message}` });
      };
      const onError = (error: unknown): void => {
        fail(describeError(error));
      };
      const onExit = (): void => {
        fail("the checking thread ended without a verdict");
      };
      const timer = setTimeout(() => {
        fail(`not checked within ${CHECK_TIMEOUT_MS} ms`);
        thread = null;
        void worker.terminate();
      }, CHECK_TIMEOUT_MS);
      worker.once("message", resolve).once("error", onError).once("exit", onExit);
      worker.postMessage(model);
      return promise.finally(() => {
        clearTimeout(timer);
        worker.off("message", resolve).off("error", onError).off("exit", onExit);
      });
    },
    close: () => {
      void thread?.terminate();
      thread = null;
    },
  };
}
