import { ASSETS } from "../../market/assets.ts";
import { SECONDS_PER_HOUR } from "../../units.ts";
import type { PromptResult } from "./score-chunk.ts";

/**
 * Paths per prompt while the oracle's constant is searched; its scores then take as many as everybody's. An ensemble of
 * n shrinks the best sigma by about 2/n, so 250 in place of 1000 move it by 0.6 %, which costs 1e-5 of the score.
 */
export const SEARCH_PATHS = 250;
/** The bracket is 2.3 wide in ln sigma: 12 cuts leave 0.7 %. */
const CUTS = 12;
export const SEARCH_EVALUATIONS = CUTS + 1;

const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * The positive argument at which a unimodal `f` is smallest, by golden section in its logarithm: SEARCH_EVALUATIONS
 * calls, within 0.4 % where the bracket spans a factor of ten.
 */
export async function goldenSection(
  f: (value: number) => Promise<number>,
  bracket: { readonly low: number; readonly high: number },
): Promise<number> {
  let low = Math.log(bracket.low);
  let high = Math.log(bracket.high);
  let left = high - GOLDEN * (high - low);
  let right = low + GOLDEN * (high - low);
  let [atLeft, atRight] = [await f(Math.exp(left)), await f(Math.exp(right))];
  for (let cut = 1; cut < CUTS; cut++) {
    if (atLeft <= atRight) {
      [high, right, atRight] = [right, left, atLeft];
      left = high - GOLDEN * (high - low);
      atLeft = await f(Math.exp(left));
    } else {
      [low, left, atLeft] = [left, right, atRight];
      right = low + GOLDEN * (high - low);
      atRight = await f(Math.exp(right));
    }
  }
  return Math.exp((low + high) / 2);
}

/** Where the best constant lies: the realised returns' root mean square per hour, chased up by outliers, is above it. */
export function sigmaBracket(results: readonly PromptResult[]): { readonly low: number; readonly high: number } {
  let squares = 0;
  let seconds = 0;
  for (const { prompt, realised } of results) {
    for (let i = 1; i < realised.length; i++) {
      const logReturn = Math.log(realised[i]! / realised[i - 1]!);
      if (Number.isNaN(logReturn)) continue;
      squares += logReturn * logReturn;
      seconds += prompt.stepSeconds;
    }
  }
  const sigma = Math.sqrt((squares * SECONDS_PER_HOUR) / seconds);
  const centre = sigma > 0 ? sigma : ASSETS[results[0]!.prompt.asset].referenceSigmaPerHour;
  return { low: centre / 5, high: centre * 2 };
}
