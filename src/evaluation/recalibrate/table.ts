import type { HorizonClass } from "../../engines/horizon.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../market/assets.ts";
import { coverage } from "../../scoring/pit.ts";
import type { ScoredAnswer } from "./answer.ts";

/** Central intervals whose coverage the table shows. */
const LEVELS = [0.5, 0.8, 0.95] as const;

interface Tally {
  prompts: number;
  total: number;
  reference: number;
  readonly parts: Map<string, number>;
  /** Blocks inside each of LEVELS, and their number. */
  readonly covered: number[];
  blocks: number;
}

/** Sums over scored answers, by asset and horizon. */
export class ScoreTable {
  readonly #tallies = new Map<string, Tally>();

  add({ score, reference, counted }: ScoredAnswer): void {
    const key = keyOf(counted.asset, counted.horizon);
    const tally = this.#tallies.get(key) ?? {
      prompts: 0,
      total: 0,
      reference: 0,
      parts: new Map<string, number>(),
      covered: LEVELS.map(() => 0),
      blocks: 0,
    };
    this.#tallies.set(key, tally);
    tally.prompts += 1;
    tally.total += score.total;
    tally.reference += reference.total;
    for (const [name, sum] of Object.entries(shownParts(score))) {
      tally.parts.set(name, (tally.parts.get(name) ?? 0) + sum);
    }
    const pits = counted.blocks.map(({ pit }) => pit);
    tally.blocks += pits.length;
    for (const [index, level] of LEVELS.entries()) tally.covered[index]! += coverage(pits, level) * pits.length;
  }

  /** One row per asset and horizon, in the order of the assets. */
  rows(horizon: HorizonClass): { readonly head: string[]; readonly rows: string[][] } {
    const tallies = ASSET_SYMBOLS.flatMap((asset) => {
      const tally = this.#tallies.get(keyOf(asset, horizon));
      return tally === undefined ? [] : [{ asset, tally }];
    });
    const parts = [...new Set(tallies.flatMap(({ tally }) => [...tally.parts.keys()]))];
    const coverages = LEVELS.map((level) => `in ${level * 100} %`);
    return {
      head: ["asset", "horizon", "prompts", "score", "/ reference", ...parts, ...coverages],
      rows: tallies.map(({ asset, tally }) => [
        asset,
        horizon,
        String(tally.prompts),
        (tally.total / tally.prompts).toFixed(2),
        (tally.total / tally.reference).toFixed(4),
        ...parts.map((name) => ((tally.parts.get(name) ?? 0) / tally.prompts).toFixed(2)),
        ...tally.covered.map((covered) => `${((100 * covered) / tally.blocks).toFixed(1)} %`),
      ]),
    };
  }
}

function keyOf(asset: AssetSymbol, horizon: HorizonClass): string {
  return `${asset} ${horizon}`;
}

/** Per interval; the twelve gaps and the volatility blocks as one column each. */
function shownParts({ priceCrpsByInterval, volatilityCrps }: ScoredAnswer["score"]): Record<string, number> {
  const parts: Record<string, number> = {};
  let gaps = 0;
  for (const [name, value] of Object.entries(priceCrpsByInterval)) {
    if (name.endsWith("_gaps")) gaps += value;
    else parts[name] = value;
  }
  if (gaps > 0) parts["gaps"] = gaps;
  if (volatilityCrps > 0) parts["volatility"] = volatilityCrps;
  return parts;
}
