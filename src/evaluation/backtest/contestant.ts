import { resolve } from "node:path";
import { ENGINE_NAMES, type EngineName, type ForecastRequest, type Prepared } from "../../engines/engine.ts";
import { handOverFrom, simulatePaths } from "../../engines/forecast.ts";
import { horizonClass } from "../../engines/horizon.ts";
import { withChoices, type LgbmChoices } from "../../engines/lgbm/lgbm.ts";
import { openEngines } from "../../engines/load.ts";
import { ROUTES, type Engines } from "../../engines/route.ts";
import type { EngineInput } from "../../engines/task.ts";
import { OperationalError } from "../../errors.ts";
import { ASSETS } from "../../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";
import type { VolatilityState } from "../../volatility/state.ts";
import type { BacktestSettings, Origin } from "./origin.ts";

/** LightGBM without one of its parts, to see what the part brings. */
const LGBM_VARIANTS = {
  "lgbm/no-centre": { centre: false, residual: true },
  "lgbm/no-residual": { centre: true, residual: false },
} as const satisfies Record<string, LgbmChoices>;
type LgbmVariant = keyof typeof LGBM_VARIANTS;

/** What a backtest can be asked about. */
export type Competitor = EngineName | LgbmVariant;
export const COMPETITORS = [...ENGINE_NAMES, ...(Object.keys(LGBM_VARIANTS) as LgbmVariant[])];

/** Who forecasts with what was known: an engine by name, or a baseline. (The oracle is not here: it has hindsight.) */
export type Contestant = Competitor | "reference" | "trailing3d";

/** Engines by their settings; a thread reads their files once. */
const opened = new Map<string, Engines>();

/** Throws OperationalError `backtest/engines` when a file that the engines need cannot be read: a score of the fallback would mislead. */
export function enginesOf({ ewma, lgbm, calibration, rankMatching, models }: BacktestSettings): Engines {
  const key = JSON.stringify([ewma, lgbm, calibration, rankMatching, models]);
  const known = opened.get(key);
  if (known) return known;
  const problems: string[] = [];
  const files = models === undefined ? {} : { manifest: resolve(models) };
  const config = { engines: { ewma, lgbm, calibration, rankMatching } };
  const engines = openEngines(config, (problem) => problems.push(problem), null, files);
  if (problems.length > 0) throw new OperationalError("backtest/engines", problems.join("; "));
  opened.set(key, engines);
  return engines;
}

export interface Forecast {
  /** Prices, row-major [path, point]; the caller may release them. */
  readonly paths: Float64Array;
  readonly answeredBy: Contestant;
  /** Codes of those that handed over before, as "engine: code". */
  readonly handOvers: readonly string[];
}

const TRAILING_SECONDS = 3 * SECONDS_PER_DAY;
/** Fewer returns than half an hour of minutes give no standard deviation worth the name. */
const MIN_TRAILING_RETURNS = 30;

/**
 * The contestant's paths, or those of the next in its route where it hands over: an engine's own route, and the
 * reference behind the trailing Gaussian. The last one never hands over.
 */
export async function forecast(contestant: Contestant, origin: Origin, engines: Engines): Promise<Forecast> {
  const handOvers: string[] = [];
  for (const name of routeFrom(contestant, origin.request)) {
    if (!isBaseline(name)) await engines[engineOf(name)].whenReady?.();
    const prepared = prepare(name, origin, engines);
    if (!prepared.ok) {
      handOvers.push(`${name}: ${prepared.handOver.code}`);
      continue;
    }
    try {
      return { paths: await simulatePaths(origin.request, prepared.input), answeredBy: name, handOvers };
    } catch (error) {
      handOvers.push(`${name}: ${handOverFrom(prepared.input, error).code}`);
    }
  }
  throw new Error(`no engine could answer: ${handOvers.join(", ")}`);
}

function routeFrom(contestant: Contestant, request: ForecastRequest): readonly Contestant[] {
  if (contestant === "reference") return ["reference"];
  if (contestant === "trailing3d") return ["trailing3d", "reference"];
  const route = ROUTES[request.asset][horizonClass(request.horizonSeconds)];
  const place = ENGINE_NAMES.indexOf(engineOf(contestant));
  return [contestant, ...route.filter((name) => ENGINE_NAMES.indexOf(name) > place)];
}

function isBaseline(name: Contestant): name is "reference" | "trailing3d" {
  return name === "reference" || name === "trailing3d";
}

function isVariant(name: Contestant): name is LgbmVariant {
  return name in LGBM_VARIANTS;
}

function engineOf(name: Competitor): EngineName {
  return isVariant(name) ? "lgbm" : name;
}

function prepare(name: Contestant, { request, snapshot, state }: Origin, engines: Engines): Prepared<EngineInput> {
  if (!isBaseline(name)) {
    const prepared = engines[engineOf(name)].prepare(request, snapshot);
    if (!isVariant(name) || !prepared.ok || prepared.input.engine !== "lgbm") return prepared;
    return { ok: true, input: withChoices(prepared.input, LGBM_VARIANTS[name]) };
  }
  const anchorPrice = snapshot.anchor.price;
  const sigmaPerHour =
    name === "reference" ? ASSETS[request.asset].referenceSigmaPerHour : trailingSigma(state, request.stepSeconds);
  if (sigmaPerHour !== null) return { ok: true, input: { engine: "baseline", anchorPrice, sigmaPerHour } };
  const message = `fewer than ${MIN_TRAILING_RETURNS} returns in three days, or all zero`;
  return { ok: false, handOver: { engine: "baseline", code: "trailing/too_few", message } };
}

/**
 * Sample standard deviation (ddof 1) of the log returns of the last three days known, per hour; null without enough.
 * Returns over five minutes for grids of five minutes and more, over one minute for finer ones, and only between closes
 * exactly one such step apart.
 */
export function trailingSigma(state: VolatilityState, stepSeconds: number): number | null {
  const step = stepSeconds < 300 ? MINUTE_STEP_SECONDS : 300;
  const { openTime, close } = state.candles;
  const oldest = (openTime.at(-1) ?? 0) - TRAILING_SECONDS;
  let previous = -1;
  let count = 0;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < openTime.length; i++) {
    const closeTime = openTime[i]! + MINUTE_STEP_SECONDS;
    if (openTime[i]! < oldest || closeTime % step !== 0) continue;
    if (previous >= 0 && openTime[i]! - openTime[previous]! === step) {
      const logReturn = Math.log(close[i]! / close[previous]!);
      count++;
      sum += logReturn;
      squares += logReturn * logReturn;
    }
    previous = i;
  }
  if (count < MIN_TRAILING_RETURNS) return null;
  const variance = (squares - (sum * sum) / count) / (count - 1);
  return variance > 0 ? Math.sqrt((variance * SECONDS_PER_HOUR) / step) : null;
}
