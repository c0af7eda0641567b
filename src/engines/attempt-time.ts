/** How the time before a deadline is divided among the rows of a forecast. Pure. */

/** Of the time that there is, what the rows before the last may use of it, and the next of them of theirs. */
const ATTEMPT_SHARE = 0.7;
/** A row that is left less cannot count on an answer: a 24h prompt takes 190 ms (BENCHMARKS.md). */
const MIN_ATTEMPT_MS = 250;
/** For less no row gives up time: half of it may pass until the thread of the row before has ended. */
const MIN_SHARED_MS = 2 * MIN_ATTEMPT_MS;

export interface TimeLeft {
  /** Until the deadline. */
  readonly leftMs: number;
  /** The part of it that `reservedMs` kept for the last row. */
  readonly reservedMs: number;
  /** Of any attempt. */
  readonly longestMs: number;
  /** Rows that come after this one. */
  readonly rowsBehind: number;
  /** An attempt timed out or its thread died: one more that runs out of time would cost one more thread. */
  readonly threadFailed: boolean;
}

/** What is kept for the last row, asked before the first attempt. */
export function reservedMs({ leftMs, longestMs }: Pick<TimeLeft, "leftMs" | "longestMs">): number {
  return (1 - ATTEMPT_SHARE) * Math.min(longestMs, leftMs);
}

/** How long the row that is tried next may take; 0 or less: not worth trying. */
export function attemptMs(time: TimeLeft): number {
  const { leftMs, longestMs, rowsBehind } = time;
  if (rowsBehind === 0) return Math.min(longestMs, leftMs);
  const spareMs = leftMs - time.reservedMs;
  if (time.threadFailed && spareMs < MIN_ATTEMPT_MS) return 0;
  const shares = rowsBehind > 1 && (1 - ATTEMPT_SHARE) * spareMs >= MIN_SHARED_MS;
  return Math.min(ATTEMPT_SHARE * longestMs, shares ? ATTEMPT_SHARE * spareMs : spareMs);
}
