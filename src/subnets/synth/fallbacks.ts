import type { Clock } from "../../clock.ts";
import type { Logger } from "../../log.ts";

/** A dead feed fails with every prompt: one line a minute says so, the counter says how often. */
const WARN_INTERVAL_MS = 60_000;

/** Says and counts what was not answered by the first choice. Keys are bounded by assets, engines and codes. */
export interface FallbackLedger {
  note(asset: string, part: string, reason: { readonly code: string; readonly message: string }): void;
  /** By `<asset>/<part>/<code>`. */
  counts(): Readonly<Record<string, number>>;
}

export function createFallbackLedger(deps: {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Codes of how the route stands rather than of failures: said once per process, at info level. */
  readonly expectedCodes: ReadonlySet<string>;
}): FallbackLedger {
  const counts = new Map<string, number>();
  const warnedAtMs = new Map<string, number>();
  return {
    note: (asset, part, reason) => {
      const key = `${asset}/${part}/${reason.code}`;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      const context = { asset, part, ...reason, count };
      if (deps.expectedCodes.has(reason.code)) {
        if (count === 1) deps.logger.info(context, "Fallback used, as routed");
        return;
      }
      const nowMs = deps.clock.nowMs();
      if (nowMs - (warnedAtMs.get(key) ?? -Infinity) < WARN_INTERVAL_MS) return;
      warnedAtMs.set(key, nowMs);
      deps.logger.warn(context, "Fallback used");
    },
    counts: () => Object.fromEntries(counts),
  };
}
