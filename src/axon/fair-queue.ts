import type { Clock } from "../clock.ts";
import { createTokenBucket, type Rate } from "./token-bucket.ts";

/** Work of many owners that is done in turn. */
export interface FairQueue {
  /** Undefined when there was no place for it, its place went to an owner who held fewer, or the signal ended its wait. */
  run<Result extends object | boolean>(
    owner: string,
    task: () => Promise<Result>,
    options?: { readonly first?: boolean; readonly signal?: AbortSignal },
  ): Promise<Result | undefined>;
  /** Tasks waiting and running. */
  size(): number;
}

/** Ends a wait: with a turn, or without one. */
type Waiting = (hasTurn: boolean) => void;

/** How often those who do not go first may start. */
export interface Pace extends Rate {
  readonly clock: Clock;
}

/** Whether the pace allows one more now; if not, `resume` is called when it does. */
function createPacer(pace: Pace, resume: () => void): () => boolean {
  const bucket = createTokenBucket(pace, pace.clock);
  let paused = false;
  return () => {
    if (paused) return false;
    if (bucket.take()) return true;
    paused = true;
    setTimeout(() => {
      paused = false;
      resume();
    }, bucket.waitMs());
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

/** Tasks that wait, in turn by owner and for each owner in order of arrival. */
class Lane {
  readonly #waiting = new Map<string, Waiting[]>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  push(owner: string, place: Waiting): void {
    const places = this.#waiting.get(owner);
    if (places) places.push(place);
    else this.#waiting.set(owner, [place]);
  }

  /** Takes out the first of the owner whose turn it is; the owner is the last then. */
  shift(): Waiting | undefined {
    const turn = this.#waiting.entries().next();
    if (turn.done) return undefined;
    const [owner, places] = turn.value;
    this.#waiting.delete(owner);
    const place = places.shift();
    if (places.length > 0) this.#waiting.set(owner, places);
    return place;
  }

  /** False when it does not wait here (any more). */
  remove(owner: string, place: Waiting): boolean {
    const places = this.#waiting.get(owner) ?? [];
    const index = places.indexOf(place);
    if (index < 0) return false;
    places.splice(index, 1);
    if (places.length === 0) this.#waiting.delete(owner);
    return true;
  }

  last(owner: string): Waiting {
    return this.#waiting.get(owner)!.at(-1)!;
  }

  /** Of those who wait the owner who holds most, the latest of several. */
  largest(held: ReadonlyMap<string, number>): string | undefined {
    let largest: string | undefined;
    for (const owner of this.#waiting.keys()) {
      if (largest === undefined || held.get(owner)! >= held.get(largest)!) largest = owner;
    }
    return largest;
  }
}

/**
 * Owners take turns (round robin), each in order of arrival; at most `concurrency` tasks run. When all `total` places are
 * taken, the owner who holds most loses the last of them to one who holds fewer, so that no flood from a few addresses
 * shuts out the others (longest-queue drop: Suter et al., INFOCOM 1998). Owners of whom it is asked go before all others but for
 * every fifth turn, and lose no place to them.
 */
export function createFairQueue(limits: FairQueueLimits): FairQueue {
  const [preferred, ordinary] = [new Lane(), new Lane()];
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
      const isOrdinary = !ordinary.isEmpty && (preferred.isEmpty || inARow >= MAX_PREFERRED_IN_A_ROW) && mayStart();
      const place = (isOrdinary ? ordinary : preferred).shift();
      if (place === undefined) return;
      inARow = isOrdinary ? 0 : inARow + 1;
      running += 1;
      place(true);
    }
  };
  const mayStart = limits.pace ? createPacer(limits.pace, startNext) : () => true;
  const leave = (lane: Lane, owner: string, place: Waiting): void => {
    if (!lane.remove(owner, place)) return; // it has its turn already
    count(owner, -1);
    place(false);
  };
  /** Takes a waiting place from the owner who holds most, if that is more than `owner` would or `owner` goes first. */
  const displaceFor = (owner: string, first: boolean): boolean => {
    const lane = first && ordinary.isEmpty ? preferred : ordinary;
    const largest = lane.largest(held);
    const yields = first && lane === ordinary;
    if (largest === undefined || (!yields && held.get(largest)! <= (held.get(owner) ?? 0) + 1)) return false;
    leave(lane, largest, lane.last(largest));
    return true;
  };

  return {
    run: async (owner, task, { first = false, signal } = {}) => {
      if (signal?.aborted || (held.get(owner) ?? 0) >= limits.perOwner) return undefined;
      if (size >= limits.total && !displaceFor(owner, first)) return undefined;
      count(owner, 1);
      const lane = first ? preferred : ordinary;
      const { promise, resolve: place } = Promise.withResolvers<boolean>();
      const hangUp = (): void => {
        leave(lane, owner, place);
      };
      lane.push(owner, place);
      signal?.addEventListener("abort", hangUp, { once: true });
      startNext();
      const hasTurn = await promise;
      signal?.removeEventListener("abort", hangUp);
      if (!hasTurn) return undefined;
      try {
        // Its client may have gone between its turn and now.
        return signal?.aborted ? undefined : await task();
      } finally {
        running -= 1;
        count(owner, -1);
        startNext();
      }
    },
    size: () => size,
  };
}
