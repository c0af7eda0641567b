import { setImmediate } from "node:timers/promises";
import {
  EWMA_CALIBRATION_SCHEMA,
  type AssetCalibration,
  type EwmaCalibration,
  type HorizonCalibration,
} from "../../engines/ewma/calibration.ts";
import type { ScaleBasis } from "../../engines/ewma/scale.ts";
import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import type { ScheduledEvent } from "../../market/events.ts";
import type { EventKernels } from "../../volatility/event-kernel.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";
import type { BacktestSettings } from "../backtest/origin.ts";
import type { Horizon } from "../backtest/report.ts";
import { eventObservations } from "./event-samples.ts";
import { fitEventKernels } from "./fit-events.ts";
import { fitNoise, type NoiseFit, type NoiseFits } from "./fit-noise.ts";
import { fitScale } from "./fit-scale.ts";
import { fitShape } from "./fit-shape.ts";
import type { AssetScale, ScaleFit, ScaleSamples, Shape, ShapeGrid } from "./fit-types.ts";
import { learnProfiles } from "./profiles.ts";
import { collectSamples } from "./samples.ts";

/** Parts of the model that an ablation can leave out. */
export const CALIBRATION_STEPS = [
  "seasonality",
  "multiscale",
  "student-t",
  "latent",
  "variance-ratios",
  "ma-noise",
  "zero-atom",
  "events",
] as const;
export type CalibrationStep = (typeof CALIBRATION_STEPS)[number];

export interface CalibrateOptions {
  readonly dirs: readonly string[];
  readonly assets: readonly AssetSymbol[];
  readonly horizons: readonly Horizon[];
  /** Unix seconds: candles behind the fit close in between. */
  readonly from: number;
  readonly to: number;
  readonly minObserved: number;
  readonly settings: BacktestSettings;
  readonly seed: number;
  readonly without: ReadonlySet<CalibrationStep>;
  /** Taken as given instead of searched; what `without` leaves out is left out of it, too. */
  readonly shapes?: Partial<Record<Horizon, Shape>>;
  readonly codeVersion: string;
  /** Scheduled events, sorted by time. */
  readonly events: readonly ScheduledEvent[];
  /** Aborted: the work ends with an AbortError at the next asset or fit. */
  readonly signal: AbortSignal;
  /** What was not estimated, and why. */
  readonly onNote: (text: string) => void;
  /** `share` of the whole, 0 to 1, and what is being done. */
  readonly onProgress: (share: number, text: string) => void;
}

const MINUTE = 60;

interface Design {
  readonly basis: Omit<ScaleBasis, "seasonal">;
  readonly ratioSeconds: readonly number[];
  readonly strideSeconds: number;
  readonly start: Shape;
  readonly grid: ShapeGrid;
}

/** Half-lives from thirty minutes (in minutes: ten) to seven days; strides are coprime with the day. */
const DESIGNS: Readonly<Record<Horizon, Design>> = {
  "24h": {
    basis: {
      stepSeconds: 5 * MINUTE,
      halfLifeSeconds: [
        30 * MINUTE,
        2 * SECONDS_PER_HOUR,
        6 * SECONDS_PER_HOUR,
        SECONDS_PER_DAY,
        3 * SECONDS_PER_DAY,
        7 * SECONDS_PER_DAY,
      ],
      knotSeconds: [0, 1800, 7200, 21_600, 43_200, 86_100],
    },
    ratioSeconds: [1800, 10_800, 86_400],
    strideSeconds: 53 * 300,
    start: { nu: 5, latent: { tau: 0.35, halfLifeSeconds: 3 * SECONDS_PER_HOUR } },
    grid: {
      nu: [4, 5, 6, 8, 12],
      tau: [0, 0.2, 0.3, 0.4, 0.5, 0.6],
      halfLifeSeconds: [1800, SECONDS_PER_HOUR, 3 * SECONDS_PER_HOUR, 8 * SECONDS_PER_HOUR, SECONDS_PER_DAY],
    },
  },
  "1h": {
    basis: {
      stepSeconds: MINUTE,
      halfLifeSeconds: [
        10 * MINUTE,
        30 * MINUTE,
        2 * SECONDS_PER_HOUR,
        6 * SECONDS_PER_HOUR,
        SECONDS_PER_DAY,
        7 * SECONDS_PER_DAY,
      ],
      knotSeconds: [0, 900, 3540],
    },
    ratioSeconds: [300, 900, 1800, 3600],
    strideSeconds: 127 * MINUTE,
    start: { nu: 5, latent: { tau: 0.4, halfLifeSeconds: 30 * MINUTE } },
    grid: {
      nu: [4, 5, 6, 8, 12],
      tau: [0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
      halfLifeSeconds: [5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, 80 * MINUTE],
    },
  },
};

const GAUSSIAN_NU = 1000;
/** Fewer independent prompts of all assets together say nothing of a tail. */
const MIN_SHAPE_ORIGINS = 100;

/** Fits everything of the EWMA engine. The samples and the fit are functions of candles, options and seed. */
export async function calibrate(options: CalibrateOptions): Promise<EwmaCalibration> {
  const share = 1 / options.horizons.length;
  const horizons: Record<Horizon, HorizonCalibration | null> = { "1h": null, "24h": null };
  for (const [i, horizon] of options.horizons.entries()) {
    horizons[horizon] = await calibrateHorizon(horizon, {
      ...options,
      onProgress: (done, text) => {
        options.onProgress((i + 0.95 * done) * share, `${horizon} ${text}`);
      },
    });
  }
  options.onProgress(0.95, "scheduled events");
  const events = options.without.has("events") ? null : kernelsOf(horizons, options);
  options.onProgress(0.97, "weekly profiles");
  return {
    schema: EWMA_CALIBRATION_SCHEMA,
    codeVersion: options.codeVersion,
    seed: options.seed,
    window: { from: isoDate(options.from), to: isoDate(options.to) },
    horizons,
    events,
    profiles: learnProfiles(options.assets, options),
  };
}

function kernelsOf(
  horizons: Readonly<Record<Horizon, HorizonCalibration | null>>,
  options: CalibrateOptions,
): EventKernels {
  // Minutes first: five of them tell more of an event than one bar.
  const scales = [horizons["1h"], horizons["24h"]];
  return fitEventKernels(
    options.assets.flatMap((asset) => eventObservations(asset, options.events, { ...options, scales })),
  );
}

/** Lets signals and progress through between two long computations. */
async function breathe({ signal }: CalibrateOptions): Promise<void> {
  await setImmediate();
  signal.throwIfAborted();
}

async function calibrateHorizon(horizon: Horizon, options: CalibrateOptions): Promise<HorizonCalibration | null> {
  const { without, seed } = options;
  const design = designOf(horizon, options);
  const assets = options.assets.filter((asset) => isAsked(asset, horizon));
  const samples: ScaleSamples[] = [];
  for (const [i, asset] of assets.entries()) {
    await breathe(options);
    const onProgress = (done: number, total: number): void => {
      options.onProgress((0.5 * (i + done / total)) / assets.length, `features of ${asset}`);
    };
    const own = collectSamples(asset, { ...options, ...design, horizon }, onProgress);
    if (own.count > 0) samples.push(own);
  }
  if (samples.length === 0) return null;
  const fitOptions = {
    knotSeconds: design.basis.knotSeconds,
    ratioSeconds: design.ratioSeconds,
    seed,
    onProgress: (iteration: number) => {
      options.onProgress(0.5 + 0.5 * (1 - 1 / (1 + iteration / 20)), `fit, iteration ${iteration}`);
    },
  };
  await breathe(options);
  const search = { ...fitOptions, shape: design.start, grid: design.grid, minOrigins: MIN_SHAPE_ORIGINS };
  const found = options.shapes?.[horizon] ? { shape: design.start, fallback: null } : fitShape(samples, search);
  const { shape, fallback } = found;
  if (fallback !== null) options.onNote(`${horizon}: shape not searched, ${fallback}`);
  await breathe(options);
  const fit = fitScale(samples, { ...fitOptions, shape });
  const noise: NoiseFits = without.has("ma-noise") ? new Map() : fitNoise(samples, fit, { ...fitOptions, shape });
  if (noise.size > 0) options.onNote(`${horizon}: ${noiseNote(noise)}`);
  return horizonOf(design, { noise, fit, shape, without });
}

function noiseNote(noise: NoiseFits): string {
  const found = [...noise].map(([asset, fit]) => {
    if (fit === null) return `${asset} too few prompts`;
    const { estimate, lagOneAutocorrelation: own } = fit;
    return `${asset} ${estimate.ratio.toFixed(4)} ± ${estimate.standardError.toFixed(4)} (kept ${(1 + own).toFixed(4)})`;
  });
  return `variance ratio of two steps ${found.join(", ")}`;
}

/** No validator asks for an hour of shares. */
function isAsked(asset: AssetSymbol, horizon: Horizon): boolean {
  return horizon === "24h" || ASSETS[asset].assetClass !== "equity";
}

function designOf(
  horizon: Horizon,
  { without, shapes }: Pick<CalibrateOptions, "without" | "shapes">,
): Design & { readonly basis: ScaleBasis } {
  const design = DESIGNS[horizon];
  const start = shapes?.[horizon] ?? design.start;
  const { halfLifeSeconds, ...basis } = design.basis;
  const gaussian = without.has("student-t");
  const constant = without.has("latent");
  return {
    ...design,
    basis: {
      ...basis,
      halfLifeSeconds: without.has("multiscale")
        ? [halfLifeSeconds[Math.floor(halfLifeSeconds.length / 2) - 1]!]
        : halfLifeSeconds,
      seasonal: !without.has("seasonality"),
    },
    ratioSeconds: without.has("variance-ratios") ? [] : design.ratioSeconds,
    start: {
      nu: gaussian ? GAUSSIAN_NU : start.nu,
      latent: constant ? { ...start.latent, tau: 0 } : start.latent,
    },
    grid: {
      ...design.grid,
      nu: gaussian ? [GAUSSIAN_NU] : design.grid.nu,
      tau: constant ? [0] : design.grid.tau,
    },
  };
}

function horizonOf(
  design: ReturnType<typeof designOf>,
  fitted: {
    readonly noise: NoiseFits;
    readonly fit: ScaleFit;
    readonly shape: Shape;
    readonly without: ReadonlySet<CalibrationStep>;
  },
): HorizonCalibration {
  const { noise, fit, shape, without } = fitted;
  const toRecord = <Key extends string>(scales: ReadonlyMap<Key, AssetScale>): Partial<Record<Key, AssetCalibration>> =>
    Object.fromEntries(
      [...scales].map(([name, scale]) => [name, assetCalibration(scale, noise.get(name as AssetSymbol) ?? null)]),
    ) as Partial<Record<Key, AssetCalibration>>;
  const { basis } = design;
  return {
    stepSeconds: basis.stepSeconds,
    halfLifeSeconds: [...basis.halfLifeSeconds],
    knotSeconds: [...basis.knotSeconds],
    seasonal: basis.seasonal,
    nu: shape.nu,
    latent: { ...shape.latent },
    zeroAtom: !without.has("zero-atom"),
    assets: toRecord(fit.assets),
    classes: toRecord(fit.classes),
  };
}

function assetCalibration(
  { intercepts, betas, varianceRatios, origins, loss }: AssetScale,
  noise: NoiseFit | null,
): AssetCalibration {
  return {
    intercepts: intercepts.map(rounded),
    betas: betas.map((row) => row.map(rounded)),
    varianceRatios: varianceRatios.map(({ seconds, ratio }) => ({ seconds, ratio: rounded(ratio) })),
    ...(noise && { lagOneAutocorrelation: rounded(noise.lagOneAutocorrelation) }),
    origins,
    fitRatio: rounded(loss),
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(5));
}

function isoDate(time: number): string {
  return new Date(time * 1000).toISOString();
}
