import type { Clock } from "../clock.ts";

/** A sliding window of request weights: the sum over any `windowMs` stays within the host's published limit. */
export class RateWindow {
  readonly #windowMs: number;
  readonly #capacity: number;
  readonly #clock: Clock;
  #entries: { readonly atMs: number; readonly weight: number }[] = [];

  constructor(options: { windowMs: number; capacity: number; clock: Clock }) {
    this.#windowMs = options.windowMs;
    this.#capacity = options.capacity;
    this.#clock = options.clock;
  }

  /**
   * Resolves when `weight` may be spent within `share` of the capacity, and books it. A request that is heavier than
   * that goes out alone. Rejects with the signal's reason when aborted.
   */
  async take(weight: number, share: number, signal?: AbortSignal): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      const nowMs = this.#clock.nowMs();
      // An entry from the future means the clock was set back: forget it rather than wait for it.
      this.#entries = this.#entries.filter(({ atMs }) => atMs <= nowMs && atMs + this.#windowMs > nowMs);
      const used = this.#entries.reduce((sum, entry) => sum + entry.weight, 0);
      const oldest = this.#entries[0];
      if (oldest === undefined || used + weight <= this.#capacity * share) {
        this.#entries.push({ atMs: nowMs, weight });
        return;
      }
      await this.#clock.sleep(Math.max(1, oldest.atMs + this.#windowMs - nowMs), signal);
    }
  }
}
