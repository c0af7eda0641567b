import type { Clock } from "../clock.ts";
import { createTokenBucket, type Rate, type TokenBucket } from "./token-bucket.ts";

export interface StrangerRates {
  /** Of one sender. */
  readonly each: Rate;
  /** Of all senders together, for what is beyond `newcomer`. */
  readonly all: Rate;
  /** Of one sender, whatever the others do: no flood may shut out who asks for the first time. */
  readonly newcomer: Rate;
}

/** Of the senders whose rates are remembered; who is behind so many others begins anew. */
const MAX_SENDERS = 4096;

/**
 * How many requests senders may make whom no validator's signature vouches for: reading and refusing one by its headers costs
 * twice what saying 429 does. The function takes one of a sender's requests; false when it has none.
 */
export function createStrangerRate(rates: StrangerRates, clock: Clock): (sender: string) => boolean {
  /** The one who asked last is the last. */
  const senders = new Map<string, { readonly own: TokenBucket; readonly first: TokenBucket }>();
  const all = createTokenBucket(rates.all, clock);
  return (sender) => {
    const { own, first } = senders.get(sender) ?? {
      own: createTokenBucket(rates.each, clock),
      first: createTokenBucket(rates.newcomer, clock),
    };
    senders.delete(sender);
    senders.set(sender, { own, first });
    const [oldest] = senders.keys();
    if (senders.size > MAX_SENDERS && oldest !== undefined) senders.delete(oldest);
    return own.take() && (first.take() || all.take());
  };
}
