import type { Clock } from "../clock.ts";

/**
 * Addresses that validators publish or that a valid signature of theirs came from: they go first where strangers could
 * crowd them out.
 */
export interface KnownAddresses {
  add(ip: string): void;
  has(ip: string): boolean;
}

/** Validators ask every minute; one that moved or was down is known again with its first request. */
const MAX_AGE_MS = 24 * 3600 * 1000;
/** Far more than there are validators. */
const MAX_ADDRESSES = 1024;

export function createKnownAddresses(clock: Clock, published: (ip: string) => boolean): KnownAddresses {
  /** Address → when it was last seen, the oldest first. */
  const seen = new Map<string, number>();
  return {
    add: (ip) => {
      seen.delete(ip);
      seen.set(ip, clock.nowMs());
      const [oldest] = seen.keys();
      if (seen.size > MAX_ADDRESSES && oldest !== undefined) seen.delete(oldest);
    },
    has: (ip) => {
      const atMs = seen.get(ip);
      return (atMs !== undefined && clock.nowMs() - atMs < MAX_AGE_MS) || published(ip);
    },
  };
}
