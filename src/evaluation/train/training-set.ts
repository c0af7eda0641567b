import type { AssetSymbol } from "../../market/assets.ts";
import { realisedPrices } from "../backtest/data.ts";
import { enginesOf } from "../backtest/contestant.ts";
import type { Horizon } from "../backtest/report.ts";
import { observedOrigins, type OriginOptions } from "../calibrate/samples.ts";
import type { Origin } from "../backtest/origin.ts";
import {
  lgbmInput,
  trainingInput,
  type BaseInput,
  type LgbmInput,
  type TrainingBasis,
  type TrainingInput,
} from "./training-row.ts";

/** The three shared networks, by the names that users know. */
export const TRAINED_MODELS = {
  HF: { horizon: "1h", strideSeconds: 67 * 60, assets: ["BTC", "ETH", "SOL", "XRP", "HYPE", "XAU"] },
  "LF-crypto": { horizon: "24h", strideSeconds: 53 * 300, assets: ["BTC", "ETH", "SOL", "XRP", "HYPE", "XAU"] },
  "LF-equity": {
    horizon: "24h",
    strideSeconds: 53 * 300,
    assets: ["NVDAX", "GOOGLX", "TSLAX", "AAPLX", "SP500", "WTIOIL"],
  },
} as const satisfies Record<
  string,
  { readonly horizon: Horizon; readonly strideSeconds: number; readonly assets: readonly AssetSymbol[] }
>;
export type TrainedModel = keyof typeof TRAINED_MODELS;

const HF_ASSETS = ["BTC", "ETH", "SOL", "XRP", "HYPE", "XAU"] as const;
const LF_ASSETS = [
  ...HF_ASSETS,
  ...(["NVDAX", "GOOGLX", "TSLAX", "AAPLX", "WTIOIL", "SP500", "SPYX"] as const),
] as const satisfies readonly AssetSymbol[];
/** The boosters have a model for each asset; their prompts overlap more. */
const LGBM = {
  HF: { horizon: "1h", strideSeconds: 19 * 60 },
  LF: { horizon: "24h", strideSeconds: 19 * 300 },
} as const;

/** A model of boosters, `HF-BTC` or the like. */
export type LgbmModel = `HF-${(typeof HF_ASSETS)[number]}` | `LF-${(typeof LF_ASSETS)[number]}`;
export const LGBM_MODELS: readonly LgbmModel[] = [
  ...HF_ASSETS.map((asset) => `HF-${asset}` as const),
  ...LF_ASSETS.map((asset) => `LF-${asset}` as const),
];

export interface ModelPlan {
  readonly horizon: Horizon;
  readonly strideSeconds: number;
  readonly assets: readonly AssetSymbol[];
}

export function isLgbmModel(name: TrainedModel | LgbmModel): name is LgbmModel {
  return !(name in TRAINED_MODELS);
}

export function planOf(name: TrainedModel | LgbmModel): ModelPlan {
  if (!isLgbmModel(name)) return TRAINED_MODELS[name];
  return { ...LGBM[name.slice(0, 2) as keyof typeof LGBM], assets: [name.slice(3) as AssetSymbol] };
}

/** Which prompt a row is of, and what happened. */
interface RowOutcome {
  readonly asset: AssetSymbol;
  /** Unix seconds of point 0. */
  readonly start: number;
  /** ln(price / first observed price) at each point of the grid; NaN where none was observed. */
  readonly logPrices: Float32Array;
}
export type TrainingRow = TrainingInput & RowOutcome;
export type LgbmRow = LgbmInput & RowOutcome;

/** Calibration and horizon. */
export type RowBasis = Omit<TrainingBasis, "engines" | "offHoursMultiplier">;
export type OnProgress = (done: number, total: number) => void;

/** Origins of one asset at which the EWMA engine would have answered from its calibration, and what happened. */
export function collectRows(
  asset: AssetSymbol,
  options: OriginOptions,
  basis: RowBasis,
  onProgress: OnProgress,
): TrainingRow[] {
  return rowsOf({ asset, options, basis, onProgress }, trainingInput);
}

/** The same for boosters. */
export function collectLgbmRows(
  asset: AssetSymbol,
  options: OriginOptions,
  basis: RowBasis,
  onProgress: OnProgress,
): LgbmRow[] {
  return rowsOf({ asset, options, basis, onProgress }, lgbmInput);
}

function rowsOf<Input extends BaseInput>(
  walk: {
    readonly asset: AssetSymbol;
    readonly options: OriginOptions;
    readonly basis: RowBasis;
    readonly onProgress: OnProgress;
  },
  inputOf: (origin: Origin, basis: TrainingBasis) => Input | null,
): (Input & RowOutcome)[] {
  const { asset, options, basis, onProgress } = walk;
  const { settings } = options;
  const { offHoursMultiplier } = settings.ewma[asset];
  const own = { ...basis, engines: enginesOf(settings), offHoursMultiplier };
  const rows: (Input & RowOutcome)[] = [];
  for (const { chunk, origin } of observedOrigins(asset, options, onProgress)) {
    const input = inputOf(origin, own);
    if (input === null) continue;
    const { startTime, stepSeconds, horizonSeconds } = origin.request;
    const grid = { start: startTime, stepSeconds, points: horizonSeconds / stepSeconds + 1 };
    const prices = realisedPrices(chunk.source, grid);
    const first = prices.find(Number.isFinite) ?? NaN;
    const logPrices = Float32Array.from(prices, (price) => Math.log(price / first));
    rows.push({ ...input, asset, start: startTime, logPrices });
  }
  return rows;
}
