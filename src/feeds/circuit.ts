import type { UnixMillis } from "../units.ts";

/** What `admit` handed out; its holder must settle it. */
export type Permit = "normal" | "trial";

/**
 * One host's circuit: closed, then after `failures` consecutive failures (or a long Retry-After) open, then one trial
 * request at a time until one succeeds. Late results of requests that left before it opened change nothing.
 */
export class Circuit {
  readonly #limits: { readonly failures: number; readonly openMs: number };
  #failures = 0;
  #openUntilMs: number | null = null;
  /** For how long it was opened. */
  #pauseMs = 0;
  #trialRunning = false;

  constructor(limits: { failures: number; openMs: number }) {
    this.#limits = limits;
  }

  /** When an open circuit will let its trial out; null while closed. */
  get openUntilMs(): number | null {
    return this.#openUntilMs;
  }

  /** Null: refused. */
  admit(nowMs: UnixMillis): Permit | null {
    if (this.#openUntilMs === null) return "normal";
    this.#followClock(nowMs);
    if (nowMs < this.#openUntilMs || this.#trialRunning) return null;
    this.#trialRunning = true;
    return "trial";
  }

  succeed(permit: Permit): void {
    if (permit === "normal" && this.#openUntilMs !== null) return;
    this.#failures = 0;
    this.#openUntilMs = null;
    this.#trialRunning = false;
  }

  /** True when this failure opened the circuit (again). */
  fail(permit: Permit, nowMs: UnixMillis): boolean {
    if (permit === "normal" && this.#openUntilMs !== null) return false;
    this.#failures += 1;
    if (permit === "normal" && this.#failures < this.#limits.failures) return false;
    this.open(nowMs, this.#limits.openMs);
    return true;
  }

  /** Opens for `pauseMs`, or for what is left of a longer pause. */
  open(nowMs: UnixMillis, pauseMs: number): void {
    this.#followClock(nowMs);
    if (this.#openUntilMs === null || nowMs + pauseMs > this.#openUntilMs) {
      this.#openUntilMs = nowMs + pauseMs;
      this.#pauseMs = pauseMs;
    }
    this.#trialRunning = false;
  }

  /** The caller gave up: nothing was learned about the host. */
  release(permit: Permit): void {
    if (permit === "trial") this.#trialRunning = false;
  }

  /** More left than the whole pause: the clock was set back. The pause starts again instead of lasting until then. */
  #followClock(nowMs: UnixMillis): void {
    if (this.#openUntilMs !== null) this.#openUntilMs = Math.min(this.#openUntilMs, nowMs + this.#pauseMs);
  }
}
