import { setTimeout as delay } from "node:timers/promises";
import { unixMillis, type UnixMillis } from "./units.ts";

/**
 * Time as a room is told it. The market clock (candles, start times, staleness) may be a rehearsal clock; the wall
 * clock (nonces, recordings) is always the system's; deadlines and timings of requests go by the steady clock.
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
 * Unix time as it was when this process started, and what has passed since: no step of the system's clock reaches it.
 * For deadlines and durations inside one process, never for a time that someone else is told.
 */
export const steadyClock: Clock = {
  nowMs: () => unixMillis(performance.timeOrigin + performance.now()),
  sleep: (ms, signal) => systemClock.sleep(ms, signal),
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
