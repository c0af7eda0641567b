import type { Clock } from "../clock.ts";

export interface Rate {
  readonly perSecond: number;
  /** How many at once after a rest. */
  readonly burst: number;
}

export interface TokenBucket {
  /** Takes a token; false when there is none. */
  take(): boolean;
  /** Milliseconds until there is a token. */
  waitMs(): number;
  /** Takes all tokens, and as many as it holds from the future. */
  drain(): void;
  /** Whether tokens of the future are still owed. */
  isOwing(): boolean;
}

/** A bucket of `burst` tokens, full at first, filled again by `perSecond`. A clock that goes back fills nothing. */
export function createTokenBucket({ perSecond, burst }: Rate, clock: Clock): TokenBucket {
  let tokens = burst;
  let filledMs = clock.nowMs();
  const fill = (): void => {
    const nowMs = clock.nowMs();
    tokens = Math.min(burst, tokens + (Math.max(0, nowMs - filledMs) / 1000) * perSecond);
    filledMs = nowMs;
  };
  return {
    take: () => {
      fill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    waitMs: () => {
      fill();
      return Math.max(0, Math.ceil(((1 - tokens) / perSecond) * 1000));
    },
    drain: () => {
      fill();
      tokens = -burst;
    },
    isOwing: () => {
      fill();
      return tokens < 0;
    },
  };
}
