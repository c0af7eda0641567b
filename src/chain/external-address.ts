import type { Clock } from "../clock.ts";
import type { UnixMillis } from "../units.ts";

/** Which address the chain is to announce: a configured one, or a detected one that is looked at again from time to time. */

/** Between two looks at an address that is known. */
const RECHECK_MS = 3_600_000;
/** After a failed look, and between the two sightings of a changed address. */
const RETRY_MS = 300_000;

export interface ExternalAddressOptions {
  readonly configured: string | null;
  /** The address that independent services agree on; rejects where they do not. */
  readonly detect: () => Promise<string>;
  readonly clock: Clock;
}

export class ExternalAddress {
  readonly #options: ExternalAddressOptions;
  #ip: string | null;
  #seen: string | null = null;
  #nextLookMs: number;

  constructor(options: ExternalAddressOptions) {
    this.#options = options;
    this.#ip = options.configured;
    this.#nextLookMs = options.configured === null ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }

  /** Null: not known yet. */
  get ip(): string | null {
    return this.#ip;
  }

  /** When `refresh` has something to do again; Infinity with a configured address. */
  get nextLookMs(): UnixMillis {
    return this.#nextLookMs as UnixMillis;
  }

  /**
   * Looks, if it is time to: the first sighting counts at once, a change only when it is seen twice in a row, so that one
   * odd answer does not move the axon. Rejects with the detection's error; what was known stays.
   */
  async refresh(): Promise<void> {
    const { clock, detect } = this.#options;
    if (clock.nowMs() < this.#nextLookMs) return;
    this.#nextLookMs = clock.nowMs() + RETRY_MS;
    const ip = await detect();
    if (this.#ip === null || this.#ip === ip || this.#seen === ip) {
      this.#ip = ip;
      this.#seen = null;
      this.#nextLookMs = clock.nowMs() + RECHECK_MS;
    } else {
      this.#seen = ip;
    }
  }
}
