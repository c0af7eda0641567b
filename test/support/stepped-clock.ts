import type { Clock } from "../../src/clock.ts";
import { unixMillis, type UnixMillis } from "../../src/units.ts";

/** A clock that moves when told to; sleepers wake when their time has come. */
export class SteppedClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<{ dueMs: number; wake: () => void }>();

  constructor(startSeconds: number) {
    this.#nowMs = startSeconds * 1000;
  }

  nowMs(): UnixMillis {
    return unixMillis(this.#nowMs);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { dueMs: this.#nowMs + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(new Error("aborted"));
      });
    });
  }

  /** Whether somebody waits for time to pass; else they are still at work. */
  get isSleptOn(): boolean {
    return this.#sleepers.size > 0;
  }

  advance(seconds: number): void {
    this.#nowMs += seconds * 1000;
    for (const sleeper of this.#sleepers) {
      if (sleeper.dueMs > this.#nowMs) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }
}

/** Yields to the event loop (file writes, promise chains) until `condition` holds. Bounded: throws when it never does. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 200_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never: ${what}`);
}
