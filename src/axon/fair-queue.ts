import type { Clock } from "../clock.ts";

/** Work of many owners that is done in turn. */
export interface FairQueue {
  /** Undefined when there was no place for it, or its place went to an owner who held fewer. */
  run<Result extends object | boolean>(
    owner: string,
    task: () => Promise<Result>,
    options?: { readonly first?: boolean },
  ): Promise<Result | undefined>;
  /** Tasks waiting and running. */
  size(): number;
}

interface Waiting {
  start(): void;
  drop(): void;
}

/** How often those who do not go first may start: a bucket of `burst` tokens, filled again by `perSecond`. */
export interface Pace {
  readonly perSecond: number;
  readonly burst: number;
  readonly clock: Clock;
}

/** Whether the pace allows one more now; if not, `resume` is called when it does. */
function createPacer({ perSecond, burst, clock }: Pace, resume: () => void): () => boolean {
  let tokens = burst;
  let filledMs = clock.nowMs();
  let paused = false;
  return () => {
    const nowMs = clock.nowMs();
    tokens = Math.min(burst, tokens + (Math.max(0, nowMs - filledMs) / 1000) * perSecond);
    filledMs = nowMs;
    if (paused) return false;
    if (tokens >= 1) {
      tokens -= 1;
      return true;
    }
    paused = true;
    setTimeout(
      () => {
        paused = false;
        resume();
      },
      Math.ceil(((1 - tokens) / perSecond) * 1000),
    );
    return false;
  };
}

/** Turns of those that go first, before one of the others has its own. */
const MAX_PREFERRED_IN_A_ROW = 4;

export interface FairQueueLimits {
  readonly concurrency: number;
  readonly total: number;
  readonly perOwner: number;
  readonly pace?: Pace;
}

/** Of those who wait the owner who holds most, the latest of several. */
function largestOf(waiting: ReadonlyMap<string, unknown>, held: ReadonlyMap<string, number>): string | undefined {
  let largest: string | undefined;
  for (const owner of waiting.keys()) {
    if (largest === undefined || held.get(owner)! >= held.get(largest)!) largest = owner;
  }
  return largest;
}

/**
 * Owners take turns (round robin), each in order of arrival; at most `concurrency` tasks run. When all `total` places are
 * taken, the owner who holds most loses the last of them to one who holds fewer, so that no flood from a few addresses
 * shuts out the others (longest-queue drop: Suter et al., INFOCOM 1998). Owners of whom it is asked go before all others but for
 * every fifth turn, and lose no place to them.
 */
export function createFairQueue(limits: FairQueueLimits): FairQueue {
  /** In order of their turns, those that go first apart. */
  const [preferred, ordinary] = [new Map<string, Waiting[]>(), new Map<string, Waiting[]>()];
  const held = new Map<string, number>();
  let running = 0;
  let size = 0;
  let inARow = 0;

  const count = (owner: string, change: 1 | -1): void => {
    size += change;
    const left = (held.get(owner) ?? 0) + change;
    if (left === 0) held.delete(owner);
    else held.set(owner, left);
  };
  const startNext = (): void => {
    while (running < limits.concurrency) {
      // Every fifth turn is an ordinary one's, as far as their pace goes: a known address must not shut out a new one.
      const isOrdinary = ordinary.size > 0 && (preferred.size === 0 || inARow >= MAX_PREFERRED_IN_A_ROW) && mayStart();
      const waiting = isOrdinary ? ordinary : preferred;
      const turn = waiting.entries().next();
      if (turn.done) return;
      inARow = isOrdinary ? 0 : inARow + 1;
      const [owner, tasks] = turn.value;
      waiting.delete(owner);
      const task = tasks.shift()!;
      if (tasks.length > 0) waiting.set(owner, tasks);
      running += 1;
      task.start();
    }
  };
  const mayStart = limits.pace ? createPacer(limits.pace, startNext) : () => true;
  /** Takes a waiting place from the owner who holds most, if that is more than `owner` would or `owner` goes first. */
  const displaceFor = (owner: string, first: boolean): boolean => {
    const waiting = first && ordinary.size === 0 ? preferred : ordinary;
    const largest = largestOf(waiting, held);
    const yields = first && waiting === ordinary;
    if (largest === undefined || (!yields && held.get(largest)! <= (held.get(owner) ?? 0) + 1)) return false;
    const tasks = waiting.get(largest)!;
    tasks.pop()!.drop();
    if (tasks.length === 0) waiting.delete(largest);
    count(largest, -1);
    return true;
  };

  return {
    run: async (owner, task, { first = false } = {}) => {
      if ((held.get(owner) ?? 0) >= limits.perOwner) return undefined;
      if (size >= limits.total && !displaceFor(owner, first)) return undefined;
      count(owner, 1);
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const place: Waiting = {
        start: () => {
          resolve(true);
        },
        drop: () => {
          resolve(false);
        },
      };
      const waiting = first ? preferred : ordinary;
      const tasks = waiting.get(owner);
      if (tasks) tasks.push(place);
      else waiting.set(owner, [place]);
      startNext();
      if (!(await promise)) return undefined;
      try {
        return await task();
      } finally {
        running -= 1;
        count(owner, -1);
        startNext();
      }
    },
    size: () => size,
  };
}
