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
   * Books `weight` and returns 0 when it fits within `share` of the capacity (or is heavier than that and alone), else
   * returns the milliseconds until it is worth asking again.
   */
  take(weight: number, share: number): number {
    const nowMs = this.#clock.nowMs();
    // An entry from the future means the clock was set back: forget it rather than wait for it.
    this.#entries = this.#entries.filter(({ atMs }) => atMs <= nowMs && atMs + this.#windowMs > nowMs);
    const used = this.#entries.reduce((sum, entry) => sum + entry.weight, 0);
    const oldest = this.#entries[0];
    if (oldest !== undefined && used + weight > this.#capacity * share) {
      return Math.max(1, oldest.atMs + this.#windowMs - nowMs);
    }
    this.#entries.push({ atMs: nowMs, weight });
    return 0;
  }
}
