import type { EwmaCalibration, ProfileData } from "../../engines/ewma/calibration.ts";
import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { weightAt, WEEK_BINS, MINUTE_BINS } from "../../volatility/seasonality.ts";
import type { SeasonalityStats } from "../../volatility/state.ts";
import { sourcesOf } from "../backtest/data.ts";
import type { BacktestSettings } from "../backtest/origin.ts";
import { longRunSeasonality } from "./samples.ts";

/** A prior is worth this many weeks at most, so that live data overrules it within two months. */
const MAX_WEEKS = 8;
/** Hours of minutes, likewise. */
const MAX_HOURS = 1000;

type Profiles = EwmaCalibration["profiles"];

/** The weekly rhythm of every asset, and of every class (the mean of its assets), from all candles that close by `to`. */
export function learnProfiles(
  assets: readonly AssetSymbol[],
  options: { readonly dirs: readonly string[]; readonly settings: BacktestSettings; readonly to: number },
): Profiles {
  const learned = assets.flatMap((asset) => {
    const sources = sourcesOf(asset, options.dirs);
    const [week, minutes] = (["5m", "1m"] as const).map((resolution) => {
      const source = sources.find((each) => each.resolution === resolution);
      return source && longRunSeasonality(asset, { ...options, source });
    });
    const stats = week ?? minutes;
    return stats && stats.until > 0 ? [[asset, profileData(stats, minutes ?? stats)] as const] : [];
  });
  const classes = Map.groupBy(learned, ([asset]) => ASSETS[asset].assetClass);
  return {
    assets: Object.fromEntries(learned),
    classes: Object.fromEntries([...classes].map(([name, own]) => [name, meanProfile(own.map(([, data]) => data))])),
  };
}

function profileData(week: SeasonalityStats, minutes: SeasonalityStats): ProfileData {
  const [weekNow, minutesNow] = [weightAt(week.until), weightAt(minutes.until)];
  const hours = minutes.minuteWeight.reduce((sum, weight) => sum + weight, 0) / MINUTE_BINS / minutesNow;
  return {
    week: Array.from(week.weekSum, (sum, bin) => rounded(sum > 0 ? sum / week.weekWeight[bin]! : 1)),
    weekWeight: Array.from(week.weekWeight, (weight) => rounded(Math.min(weight / weekNow, MAX_WEEKS))),
    minute: Array.from(minutes.minuteSum, (sum, minute) => rounded(sum > 0 ? sum / minutes.minuteWeight[minute]! : 1)),
    minuteWeight: rounded(Math.min(hours, MAX_HOURS)),
  };
}

function meanProfile(profiles: readonly ProfileData[]): ProfileData {
  const mean = (values: readonly number[], weights: readonly number[]): number => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return total > 0 ? values.reduce((sum, value, i) => sum + weights[i]! * value, 0) / total : 1;
  };
  const equal = profiles.map(() => 1);
  return {
    week: Array.from({ length: WEEK_BINS }, (_, bin) =>
      rounded(
        mean(
          profiles.map(({ week }) => week[bin]!),
          profiles.map(({ weekWeight }) => weekWeight[bin]!),
        ),
      ),
    ),
    weekWeight: Array.from({ length: WEEK_BINS }, (_, bin) =>
      rounded(
        mean(
          profiles.map(({ weekWeight }) => weekWeight[bin]!),
          equal,
        ),
      ),
    ),
    minute: Array.from({ length: MINUTE_BINS }, (_, minute) =>
      rounded(
        mean(
          profiles.map((each) => each.minute[minute]!),
          profiles.map(({ minuteWeight }) => minuteWeight),
        ),
      ),
    ),
    minuteWeight: rounded(
      mean(
        profiles.map(({ minuteWeight }) => minuteWeight),
        equal,
      ),
    ),
  };
}

/** Three digits: the file is read by people and kept in git. */
function rounded(value: number): number {
  return Math.max(Number(value.toPrecision(3)), 0);
}
