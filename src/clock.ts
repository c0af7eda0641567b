import { setTimeout as delay } from "node:timers/promises";
import { unixMillis, type UnixMillis } from "./units.ts";

/**
 * Time as a room is told it. The market clock (candles, start times, staleness) may be a rehearsal clock; the wall
 * clock (nonces, deadlines, request timings) is always the system's.
 */
export interface Clock {
  nowMs(): UnixMillis;
  /** Resolves after `ms` of this clock's time; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node's timers wrap above 2^31-1 ms. */
const MAX_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  nowMs: () => unixMillis(Date.now()),
  sleep: (ms, signal) => delay(Math.min(Math.max(ms, 0), MAX_TIMER_MS), undefined, signal ? { signal } : {}),
};

/**
 * A market clock for rehearsals against a recorded market: it showed `startMs` when the system clock showed
 * `originMs`, and runs `speed` times as fast.
 */
export function rehearsalClock(options: { startMs: UnixMillis; originMs: UnixMillis; speed: number }): Clock {
  const { startMs, originMs, speed } = options;
  return {
    nowMs: () => unixMillis(startMs + (systemClock.nowMs() - originMs) * speed),
    sleep: (ms, signal) => systemClock.sleep(ms / speed, signal),
  };
}
