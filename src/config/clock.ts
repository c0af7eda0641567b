import { rehearsalClock, systemClock, type Clock } from "../clock.ts";
import { unixMillis } from "../units.ts";
import type { Config } from "./schema.ts";

/** The clock that candles, start times and staleness are judged by: real time unless a rehearsal is configured. */
export function marketClock(config: Config["clock"]): Clock {
  if (config.start === null) return systemClock;
  return rehearsalClock({
    startMs: unixMillis(Date.parse(config.start)),
    originMs: config.origin === null ? systemClock.nowMs() : unixMillis(Date.parse(config.origin)),
    speed: config.speed,
  });
}
