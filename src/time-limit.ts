import type { Clock } from "./clock.ts";

/** Ends a piece of work after a time, or with its caller; to be disposed of when the work is done. */
export interface TimeLimit extends Disposable {
  /** Its reason: a DOMException "TimeoutError" as of AbortSignal.timeout, or the caller's. */
  readonly signal: AbortSignal;
  /** Whether the time, not the caller, ended it. */
  readonly isOver: boolean;
}

/**
 * What AbortSignal.any([AbortSignal.timeout(ms), caller]) says. Node 24 keeps each of those for ever that had a listener (168
 * bytes, two for every live price: npm run bench:soak).
 */
export function timeLimit(ms: number, caller: AbortSignal | undefined): TimeLimit {
  const controller = new AbortController();
  let isOver = false;
  const follow = (): void => {
    controller.abort(caller?.reason);
  };
  const timer = setTimeout(() => {
    if (controller.signal.aborted) return;
    isOver = true;
    controller.abort(new DOMException(`no end within ${ms} ms`, "TimeoutError"));
  }, ms);
  if (caller?.aborted) follow();
  else caller?.addEventListener("abort", follow, { once: true });
  return {
    signal: controller.signal,
    get isOver() {
      return isOver;
    },
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      caller?.removeEventListener("abort", follow);
    },
  };
}

/** What `work` comes to; what `late` says where that takes longer. Nobody hears a late failure. */
export async function withinTime<T>(
  work: Promise<T> | T,
  { clock, ms, late }: { readonly clock: Clock; readonly ms: number; readonly late: () => T },
): Promise<T> {
  const settled = new AbortController();
  const limit = clock.sleep(ms, settled.signal).then(late);
  // Aborting the timer rejects it when nobody listens any more.
  limit.catch(() => undefined);
  try {
    return await Promise.race([work, limit]);
  } finally {
    settled.abort();
  }
}
