/** One piece of work's place in the order of all. */
export interface Turn {
  /** Higher goes first. */
  readonly priority: number;
  /** To be called when the work begins. */
  begin(): void;
  /** To be called when it has ended without an answer: what never began was no share of its owner's. */
  giveBack(): void;
}

export interface FairShares {
  turn(owner: string, work: { readonly weight: number; readonly cost: number }): Turn;
}

/** Owners who are idle are forgotten when there are this many. */
const MAX_OWNERS = 1024;

/**
 * Self-clocked fair queueing (Golestani, INFOCOM 1994): while several owners have work waiting, each gets a share of the
 * service in proportion to its weight; one who asks little overtakes one who asks much, and of two who ask the same the
 * heavier goes first. A piece of work is tagged `max(now, the owner's last tag) + cost / weight`, lower tags go first, and
 * `now` is the tag of what began last.
 */
export function createFairShares(): FairShares {
  const lastTags = new Map<string, number>();
  let now = 0;
  const forgetIdle = (): void => {
    if (lastTags.size <= MAX_OWNERS) return;
    for (const [owner, tag] of lastTags) if (tag <= now) lastTags.delete(owner);
  };
  return {
    turn: (owner, { weight, cost }) => {
      const length = cost / Math.max(weight, 1);
      const tag = Math.max(now, lastTags.get(owner) ?? 0) + length;
      lastTags.set(owner, tag);
      forgetIdle();
      let begun = false;
      return {
        priority: -tag,
        begin: () => {
          begun = true;
          now = Math.max(now, tag);
        },
        giveBack: () => {
          if (!begun) lastTags.set(owner, (lastTags.get(owner) ?? length) - length);
        },
      };
    },
  };
}
