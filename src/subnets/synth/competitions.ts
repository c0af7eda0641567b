import type { AssetSymbol } from "../../market/assets.ts";
import { COMPETITION_RULES, type ScoringRules } from "../../scoring/intervals.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";

export interface Competition extends ScoringRules {
  readonly name: "crypto-1h" | "crypto-24h" | "equities-24h";
  /** Assets whose prompts count now. */
  readonly assets: readonly AssetSymbol[];
  /** Assets that were asked before and stay answerable. */
  readonly formerAssets: readonly AssetSymbol[];
  readonly horizonSeconds: number;
  readonly stepSeconds: number;
  readonly numSimulations: number;
  /** About how long before the start time a validator asks. */
  readonly leadSeconds: number;
  /** Leaderboard: rolling window and softmax. */
  readonly windowDays: number;
  readonly softmaxBeta: number;
}

const CRYPTO: readonly AssetSymbol[] = ["BTC", "ETH", "SOL", "XRP", "HYPE"];

const DAY_PROMPT = {
  horizonSeconds: SECONDS_PER_DAY,
  stepSeconds: 300,
  numSimulations: 1000,
  leadSeconds: 110,
  ...COMPETITION_RULES["24h"],
  windowDays: 10,
  softmaxBeta: -0.15,
} as const;

/** The competitions scored on the subnet, autumn 2026 (docs: synth-subnet.md). */
export const COMPETITIONS: readonly Competition[] = [
  {
    name: "crypto-1h",
    assets: CRYPTO,
    formerAssets: ["XAU"],
    horizonSeconds: SECONDS_PER_HOUR,
    stepSeconds: 60,
    numSimulations: 1000,
    leadSeconds: 50,
    ...COMPETITION_RULES["1h"],
    windowDays: 5,
    softmaxBeta: -0.3,
  },
  { name: "crypto-24h", assets: CRYPTO, formerAssets: [], ...DAY_PROMPT },
  {
    name: "equities-24h",
    assets: ["XAU", "NVDAX", "GOOGLX", "TSLAX", "AAPLX", "WTIOIL", "SPCX", "SP500"],
    formerAssets: ["SPYX"],
    ...DAY_PROMPT,
  },
];
