import type { Candle } from "../market/candle.ts";

/** A minute's |log return| beyond this is looked at twice: as feeds.price_max_jump does with a live price. */
const WILD_LOG_RETURN = Math.log(1.1);
/** Candles behind a jump that have to stay there before it is believed: what a true one waits, in minutes. */
const CONFIRMING_CANDLES = 2;

export interface TamedCandles {
  /** Without wild ticks, and without what is held back. */
  readonly candles: readonly Candle[];
  /** Bad prints: they jumped and came back. */
  readonly wild: readonly Candle[];
  /** Newest candles that jumped and may yet come back: the next update asks for them again. */
  readonly heldBack: number;
}

/**
 * Takes out single candles (at most CONFIRMING_CANDLES in a row) whose close jumps and comes back by more than half of
 * the jump. One bad print would otherwise be the price that paths start from, a new price level that throws all history
 * away, and the old level's return another one. `level`: the close before the first candle; null: none is known.
 */
export function tameCandles(candles: readonly Candle[], level: number | null): TamedCandles {
  const kept: Candle[] = [];
  const wild: Candle[] = [];
  let close = level;
  let index = 0;
  while (index < candles.length) {
    const candle = candles[index]!;
    const jump = close === null ? 0 : distance(candle.close, close);
    if (jump > WILD_LOG_RETURN) {
      const followers = candles.slice(index + 1, index + 1 + CONFIRMING_CANDLES);
      const isBack = (price: number): boolean => distance(price, close!) < jump / 2;
      const back = followers.findIndex((follower) => isBack(follower.close));
      // A market that trades its way back opens where it was: that jump was true (ETH 2025-02-03 02:07).
      if (back >= 0 && isBack(followers[back]!.open)) {
        wild.push(...candles.slice(index, index + 1 + back));
        index += 1 + back;
        continue;
      }
      if (back < 0 && followers.length < CONFIRMING_CANDLES) break;
    }
    kept.push(candle);
    close = candle.close;
    index += 1;
  }
  return { candles: kept, wild, heldBack: candles.length - index };
}

function distance(price: number, other: number): number {
  return Math.abs(Math.log(price / other));
}
