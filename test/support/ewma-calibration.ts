import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import type {
  AssetCalibration,
  EwmaCalibration,
  HorizonCalibration,
  ProfileData,
} from "../../src/engines/ewma/calibration.ts";
import type { EwmaChoices } from "../../src/engines/ewma/plain.ts";
import type { EngineDeps } from "../../src/engines/route.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../src/market/assets.ts";
import { MINUTE_BINS, WEEK_BINS } from "../../src/volatility/seasonality.ts";

/** Two half-lives and two knots: sigma is the geometric mean of both levels, whatever the lead. */
export function scaleOf(changes: Partial<AssetCalibration> = {}): AssetCalibration {
  return {
    intercepts: [0, 0],
    betas: [
      [0.5, 0.5],
      [0.5, 0.5],
    ],
    varianceRatios: [{ seconds: 3600, ratio: 0.9 }],
    origins: 1000,
    fitRatio: 0.95,
    ...changes,
  };
}

export function horizonOf(stepSeconds: number, changes: Partial<HorizonCalibration> = {}): HorizonCalibration {
  return {
    stepSeconds,
    halfLifeSeconds: [1800, 86_400],
    knotSeconds: [0, 43_200],
    seasonal: true,
    nu: 5,
    latent: { tau: 0.35, halfLifeSeconds: 10_800 },
    zeroAtom: true,
    assets: { BTC: scaleOf() },
    classes: { crypto: scaleOf(), equity: scaleOf() },
    ...changes,
  };
}

/** A rhythm of `factor(bin)` by five minutes of the week that eight weeks of live data would outweigh. */
export function profileData(factor: (bin: number) => number = () => 1): ProfileData {
  return {
    week: Array.from({ length: WEEK_BINS }, (_, bin) => factor(bin)),
    weekWeight: new Array<number>(WEEK_BINS).fill(8),
    minute: new Array<number>(MINUTE_BINS).fill(1),
    minuteWeight: 1000,
  };
}

/** A calibration made by hand: of BTC, and of the classes crypto and equity; commodities have none. */
export function handMadeCalibration(
  day: Partial<HorizonCalibration> = {},
  changes: Partial<EwmaCalibration> = {},
): EwmaCalibration {
  return {
    schema: 1,
    codeVersion: "made by hand",
    seed: 1,
    window: { from: "2025-01-01T00:00:00Z", to: "2026-01-01T00:00:00Z" },
    events: null,
    horizons: { "1h": horizonOf(60, { knotSeconds: [0, 3600] }), "24h": horizonOf(300, day) },
    profiles: { assets: { BTC: profileData() }, classes: { crypto: profileData(), equity: profileData() } },
    ...changes,
  };
}

/** What engines are created with: the plain EWMA with one choice for all assets, unless told otherwise. */
export function engineDeps(changes: Partial<EngineDeps> = {}, choices: Partial<EwmaChoices> = {}): EngineDeps {
  const own: EwmaChoices = { nu: 6, sigmaScale: 0.85, offHoursMultiplier: 1, ...choices };
  return {
    choices: Object.fromEntries(ASSET_SYMBOLS.map((symbol) => [symbol, own])) as Record<AssetSymbol, EwmaChoices>,
    calibration: null,
    rankMatching: false,
    recalibration: null,
    events: [],
    ...changes,
  };
}

/** Writes it into the folder; the path of the file. */
export async function writeCalibration(dir: string, calibration: unknown = handMadeCalibration()): Promise<string> {
  const path = join(dir, "calibration.json");
  await writeFile(path, JSON.stringify(calibration));
  return path;
}
