import type { Clock } from "../clock.ts";
import { createTokenBucket, type Rate, type TokenBucket } from "./token-bucket.ts";

/** Senders whom no validator's signature vouches for, and what they may ask. */
export interface Strangers {
  /** Takes one of a sender's requests; false when it has none. Reading one and refusing it by its headers costs twice that. */
  readonly mayAsk: (sender: string) => boolean;
  /** Hears nothing of a sender for as long as its burst takes to fill, nor of those who share its address or network. */
  readonly shun: (sender: string) => void;
  readonly isShunned: (sender: string) => boolean;
}

export interface StrangerRates {
  /** Of one sender. */
  readonly each: Rate;
  /** Of all senders together, for what is beyond `newcomer`. */
  readonly all: Rate;
  /** Of one sender, whatever the others do: no flood may shut out who asks for the first time. */
  readonly newcomer: Rate;
}

/** Of the senders who are remembered, those who were quiet longest being forgotten. */
const MAX_SENDERS = 4096;

interface Sender {
  readonly own: TokenBucket;
  readonly first: TokenBucket;
}

export function createStrangers(rates: StrangerRates, clock: Clock): Strangers {
  /** The one who asked last is the last. */
  const senders = new Map<string, Sender>();
  const all = createTokenBucket(rates.all, clock);
  /** Newcomers who make us forget others share what they have: senders who take turns would be new for ever. */
  const crowd = createTokenBucket(rates.all, clock);
  const create = (): Sender => ({
    own: createTokenBucket(rates.each, clock),
    first: senders.size < MAX_SENDERS ? createTokenBucket(rates.newcomer, clock) : crowd,
  });
  const touch = (name: string): Sender => {
    const sender = senders.get(name) ?? create();
    senders.delete(name);
    senders.set(name, sender);
    const [oldest] = senders.keys();
    if (senders.size > MAX_SENDERS && oldest !== undefined) senders.delete(oldest);
    return sender;
  };
  return {
    mayAsk: (name) => {
      const { own, first } = touch(name);
      return own.take() && (first.take() || all.take());
    },
    shun: (name) => {
      touch(name).own.drain();
    },
    isShunned: (name) => senders.has(name) && touch(name).own.isOwing(), // who goes on trying stays remembered
  };
}
