import { steadyClock } from "../clock.ts";
import { OperationalError } from "../errors.ts";
import { withinTime } from "../time-limit.ts";

/** `work`, or OperationalError CHAIN_TIMEOUT after `limitMs`; what then becomes of `work` is nobody's concern. */
export function withTimeout<T>(work: Promise<T>, { limitMs, what }: { limitMs: number; what: string }): Promise<T> {
  const late = (): never => {
    throw new OperationalError("CHAIN_TIMEOUT", `${what}: no answer within ${limitMs / 1000} s`);
  };
  return withinTime(work, { clock: steadyClock, ms: limitMs, late });
}
