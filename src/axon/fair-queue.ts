/** Work of many owners that is done in turn. */
export interface FairQueue {
  /** Undefined when there was no place for it, or its place went to an owner who held fewer. */
  run<Result extends object | boolean>(owner: string, task: () => Promise<Result>): Promise<Result | undefined>;
  /** Tasks waiting and running. */
  size(): number;
}

interface Waiting {
  start(): void;
  drop(): void;
}

/**
 * Owners take turns (round robin), each in order of arrival; at most `concurrency` tasks run. When all `total` places are
 * taken, the owner who holds most loses the last of them to one who holds fewer, so that no flood from a few addresses
 * shuts out the others (longest-queue drop: Suter et al., INFOCOM 1998).
 */
export function createFairQueue(limits: { concurrency: number; total: number; perOwner: number }): FairQueue {
  /** In order of their turns. */
  const waiting = new Map<string, Waiting[]>();
  const held = new Map<string, number>();
  let running = 0;
  let size = 0;

  const count = (owner: string, change: 1 | -1): void => {
    size += change;
    const left = (held.get(owner) ?? 0) + change;
    if (left === 0) held.delete(owner);
    else held.set(owner, left);
  };
  const startNext = (): void => {
    while (running < limits.concurrency) {
      const turn = waiting.entries().next();
      if (turn.done) return;
      const [owner, tasks] = turn.value;
      waiting.delete(owner);
      const task = tasks.shift()!;
      if (tasks.length > 0) waiting.set(owner, tasks);
      running += 1;
      task.start();
    }
  };
  /** Takes a waiting place from the owner who holds most, if that is more than `owner` would. */
  const displaceFor = (owner: string): boolean => {
    let largest: string | undefined;
    for (const other of waiting.keys()) {
      if (largest === undefined || held.get(other)! > held.get(largest)!) largest = other;
    }
    if (largest === undefined || held.get(largest)! <= (held.get(owner) ?? 0) + 1) return false;
    const tasks = waiting.get(largest)!;
    tasks.pop()!.drop();
    if (tasks.length === 0) waiting.delete(largest);
    count(largest, -1);
    return true;
  };

  return {
    run: async (owner, task) => {
      if ((held.get(owner) ?? 0) >= limits.perOwner) return undefined;
      if (size >= limits.total && !displaceFor(owner)) return undefined;
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
