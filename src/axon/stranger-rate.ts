import type { Clock } from "../clock.ts";
import { createTokenBucket, type Rate, type TokenBucket } from "./token-bucket.ts";

/** Of the senders whose rate is remembered; who is behind so many others begins anew. */
const MAX_SENDERS = 4096;

/**
 * How many requests a sender whom no validator's signature vouches for may make, known addresses apart: reading and refusing
 * one by its headers costs twice what saying 429 does. The function takes one of a sender's requests; false when it has none.
 */
export function createStrangerRate(rate: Rate, clock: Clock): (sender: string) => boolean {
  /** The one who asked last is the last. */
  const buckets = new Map<string, TokenBucket>();
  return (sender) => {
    const bucket = buckets.get(sender) ?? createTokenBucket(rate, clock);
    buckets.delete(sender);
    buckets.set(sender, bucket);
    const [oldest] = buckets.keys();
    if (buckets.size > MAX_SENDERS && oldest !== undefined) buckets.delete(oldest);
    return bucket.take();
  };
}
