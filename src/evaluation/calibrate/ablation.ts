import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EwmaCalibration } from "../../engines/ewma/calibration.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import type { BacktestSettings } from "../backtest/origin.ts";
import { planPrompts } from "../backtest/plan.ts";
import { defaultStride, rollingPrompts } from "../backtest/prompts.ts";
import type { Horizon } from "../backtest/report.ts";
import { runBacktest } from "../backtest/run.ts";
import type { PromptResult } from "../backtest/score-chunk.ts";
import { bootstrapInterval, type Interval95 } from "../backtest/stats.ts";
import { calibrate, type CalibrateOptions, type CalibrationStep } from "./calibrate.ts";

/** One step left out: fitted again without it, or switched off in the finished calibration. */
interface Variant {
  readonly name: string;
  readonly without?: CalibrationStep;
  readonly change?: (calibration: EwmaCalibration) => EwmaCalibration;
  readonly rankMatching?: false;
}

const VARIANTS: readonly Variant[] = [
  { name: "all steps" },
  { name: "weekly profile", without: "seasonality" },
  { name: "profile learnt offline", change: (full) => ({ ...full, profiles: { assets: {}, classes: {} } }) },
  { name: "several half-lives", without: "multiscale" },
  { name: "Student-t shocks", without: "student-t" },
  { name: "latent volatility", without: "latent" },
  { name: "variance ratios", without: "variance-ratios" },
  { name: "MA(1) noise", without: "ma-noise" },
  { name: "atom at zero", without: "zero-atom" },
  { name: "scheduled events", change: (full) => ({ ...full, events: null }) },
  { name: "rank matching", rankMatching: false },
];

export interface AblationOptions extends Omit<
  CalibrateOptions,
  "horizons" | "without" | "onNote" | "onProgress" | "to"
> {
  readonly horizon: Horizon;
  /** Calibrated on candles before, tested on prompts from a day later on. */
  readonly split: number;
  readonly to: number;
  readonly workers: number;
  readonly signal: AbortSignal;
  readonly onProgress: (share: number, text: string) => void;
}

/** Scores without a step over scores with all of them, on the same prompts: above 1, the step helps. */
export interface AblationRow {
  readonly name: string;
  readonly asset: AssetSymbol | "mean";
  readonly prompts: number;
  readonly priceRatio: number;
  readonly priceInterval: Interval95 | null;
  /** Null where the competition scores no volatility. */
  readonly volatilityRatio: number | null;
}

const EMBARGO_SECONDS = SECONDS_PER_DAY + 120;
const DRAWS = 2000;

/**
 * What each step brings: the calibration fitted before the split, then once more without each step in turn, all scored on
 * the same prompts after it. The mean is over assets; intervals resample calendar days.
 */
export async function ablate(options: AblationOptions): Promise<AblationRow[]> {
  const { horizon, split, to, dirs, minObserved, settings, seed } = options;
  const from = split + EMBARGO_SECONDS;
  const prompts = rollingPrompts(options.assets, {
    horizon,
    from,
    to,
    strideSeconds: defaultStride(horizon, { from, to }),
  });
  const plan = planPrompts(prompts, { dirs, minObserved });
  const folder = await mkdtemp(join(tmpdir(), "ablation-"));
  const scored = new Map<string, readonly PromptResult[]>();
  let full: EwmaCalibration | null = null;
  try {
    for (const [i, variant] of VARIANTS.entries()) {
      const progress = (share: number, text: string): void => {
        options.onProgress((i + share) / VARIANTS.length, `${i === 0 ? "" : "without "}${variant.name}: ${text}`);
      };
      const calibration: EwmaCalibration = await calibrationOf(variant, full, { ...options, progress });
      full ??= calibration;
      const path = join(folder, `${i}.json`);
      await writeFile(path, JSON.stringify(calibration));
      const own: BacktestSettings = {
        ...settings,
        calibration: path,
        rankMatching: variant.rankMatching ?? settings.rankMatching,
      };
      const outcome = await runBacktest({
        ...options,
        chunks: plan.chunks,
        contestants: ["ewma"],
        withOracle: false,
        settings: own,
        onProgress: (done, total) => {
          progress(0.5 + (0.5 * done) / total, "scoring");
        },
      });
      if (options.signal.aborted) break;
      scored.set(variant.name, outcome.results);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return VARIANTS.slice(1).flatMap(({ name }) => {
    const results = scored.get(name);
    return results ? compare(name, { results, full: scored.get(VARIANTS[0]!.name)!, seed }) : [];
  });
}

async function calibrationOf(
  { without, change }: Variant,
  full: EwmaCalibration | null,
  options: AblationOptions & { readonly progress: (share: number, text: string) => void },
): Promise<EwmaCalibration> {
  if (full !== null && without === undefined) return change ? change(full) : full;
  const shape = full?.horizons[options.horizon];
  return calibrate({
    ...options,
    horizons: [options.horizon],
    to: options.split,
    without: new Set(without === undefined ? [] : [without]),
    ...(shape && { shapes: { [options.horizon]: { nu: shape.nu, latent: shape.latent } } }),
    onNote: () => undefined,
    onProgress: (share, text) => {
      options.progress(0.5 * share, text);
    },
  });
}

type Sums = Map<number, { own: number; full: number }>;

function compare(
  name: string,
  { results, full, seed }: { results: readonly PromptResult[]; full: readonly PromptResult[]; seed: number },
): AblationRow[] {
  const pairs = results.map((own, i) => ({ own, full: full[i]! }));
  const byAsset = Map.groupBy(pairs, ({ own }) => own.prompt.asset);
  const days = [...new Set(pairs.map(({ own }) => dayOf(own)))];
  const daily = (asset: AssetSymbol): Sums => {
    const sums: Sums = new Map();
    for (const pair of byAsset.get(asset)!) {
      const day = sums.get(dayOf(pair.own)) ?? { own: 0, full: 0 };
      day.own += pair.own.scores[0]!.priceCrps;
      day.full += pair.full.scores[0]!.priceCrps;
      sums.set(dayOf(pair.own), day);
    }
    return sums;
  };
  const row = (asset: AssetSymbol | "mean", assets: readonly AssetSymbol[]): AblationRow => {
    const sums = assets.map(daily);
    const ratio = (drawn: ArrayLike<number>): number => meanRatio(sums, drawn, days);
    const own = assets.flatMap((each) => byAsset.get(each)!);
    const volatility = (side: "own" | "full"): number =>
      own.reduce((sum, pair) => sum + pair[side].scores[0]!.volatilityCrps, 0);
    return {
      name,
      asset,
      prompts: own.length,
      priceRatio: ratio(days.map((_, i) => i)),
      priceInterval: bootstrapInterval(days.length, ratio, { draws: DRAWS, seed: `ablation ${seed}` }),
      volatilityRatio: volatility("full") > 0 ? volatility("own") / volatility("full") : null,
    };
  };
  const assets = [...byAsset.keys()];
  return [...assets.map((asset) => row(asset, [asset])), row("mean", assets)];
}

/** Mean over assets of the ratio of sums over the drawn days. */
function meanRatio(assets: readonly Sums[], drawn: ArrayLike<number>, days: readonly number[]): number {
  let total = 0;
  for (const sums of assets) {
    let own = 0;
    let full = 0;
    for (let i = 0; i < drawn.length; i++) {
      const day = sums.get(days[drawn[i]!]!);
      own += day?.own ?? 0;
      full += day?.full ?? 0;
    }
    total += own / full;
  }
  return total / assets.length;
}

function dayOf({ prompt }: PromptResult): number {
  return Math.floor(prompt.start / SECONDS_PER_DAY);
}
