import type { HorizonCalibration } from "../../engines/ewma/calibration.ts";
import { knowledgeOf, profileOf, stepSigmas } from "../../engines/ewma/scale.ts";
import { ownOrClass } from "../../engines/ewma/calibration.ts";
import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import type { ScheduledEvent } from "../../market/events.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { EVENT_REACH_SECONDS } from "../../volatility/event-kernel.ts";
import { realisedPrices } from "../backtest/data.ts";
import { originsOf } from "../backtest/origin.ts";
import { planPrompts } from "../backtest/plan.ts";
import type { EventObservation } from "./fit-events.ts";
import type { SampleOptions } from "./samples.ts";

const { before, after } = EVENT_REACH_SECONDS;
/** The same time of day around an event, weeks before and after: what is usual there. */
const CONTROL_DAYS = [-14, -7, 7, 14];
const HISTORY_SECONDS = 60 * SECONDS_PER_DAY;

/** One bar of a prompt that was asked before the event: its size, and the sigma that was forecast for it. */
interface Bar {
  readonly anchor: number;
  readonly secondsSince: number;
  readonly absReturn: number;
  readonly sigma: number;
}

/**
 * Returns around the events as the fitted scale expected them half an hour before, with one-minute bars where they were
 * recorded. What is expected of |r| is sigma times the mean ratio of the two at the same time of other weeks.
 */
export function eventObservations(
  asset: AssetSymbol,
  events: readonly ScheduledEvent[],
  options: Omit<SampleOptions, "horizon" | "strideSeconds" | "basis"> & {
    readonly scales: readonly (HorizonCalibration | null)[];
  },
): EventObservation[] {
  const found = new Map<ScheduledEvent, readonly EventObservation[]>();
  for (const scale of options.scales) {
    if (scale === null) continue;
    const missing = events.filter(
      (event) => !found.has(event) && event.time - before >= options.from && event.time + after <= options.to,
    );
    const controls = missing.flatMap(({ time }) => CONTROL_DAYS.map((days) => time + days * SECONDS_PER_DAY));
    const quiet = controls.filter((time) => events.every((event) => Math.abs(event.time - time) > before + after));
    const bars = barsAround(asset, [...missing.map(({ time }) => time), ...quiet], { ...options, scale });
    const usual = bars.filter(({ anchor }) => quiet.includes(anchor));
    const ratio = sum(usual.map(({ absReturn }) => absReturn)) / sum(usual.map(({ sigma }) => sigma));
    if (!(ratio > 0)) continue;
    for (const event of missing) {
      const own = bars.filter(({ anchor }) => anchor === event.time);
      if (own.length === 0) continue;
      found.set(
        event,
        own.map(({ secondsSince, absReturn, sigma }) => ({
          kind: event.kind,
          assetClass: ASSETS[asset].assetClass,
          asset,
          eventTime: event.time,
          secondsSinceEvent: secondsSince,
          stepSeconds: scale.stepSeconds,
          absReturn,
          expectedAbsReturn: sigma * ratio,
        })),
      );
    }
  }
  return [...found.values()].flat();
}

function barsAround(
  asset: AssetSymbol,
  anchors: readonly number[],
  options: Parameters<typeof eventObservations>[2] & { readonly scale: HorizonCalibration },
): Bar[] {
  const { scale, settings, dirs, minObserved } = options;
  const { stepSeconds } = scale;
  const fitted = ownOrClass(scale, asset);
  if (fitted === null) return [];
  const prompts = [...new Set(anchors)].map((anchor) => ({
    asset,
    start: anchor - before,
    horizonSeconds: before + after,
    stepSeconds,
  }));
  const plan = planPrompts(prompts, {
    dirs,
    minObserved,
    resolution: stepSeconds < 300 ? "1m" : "5m",
    historySeconds: HISTORY_SECONDS,
  });
  const { offHoursMultiplier } = settings.ewma[asset];
  return plan.chunks.flatMap((chunk) =>
    [...originsOf(chunk, settings)].flatMap(({ request, state }) => {
      const knowledge = knowledgeOf(state, scale, {
        weekly: profileOf(state, null, offHoursMultiplier),
        offHoursMultiplier,
      });
      if ("code" in knowledge) return [];
      const sigmas = stepSigmas(request, knowledge, {
        basis: scale,
        scale: fitted.value,
        offHoursMultiplier,
        factorAt: () => 1,
      });
      const points = sigmas.length + 1;
      const realised = realisedPrices(chunk.source, { start: request.startTime, stepSeconds, points });
      return sigmas.flatMap((sigma, step): Bar[] => {
        const absReturn = Math.abs(Math.log(realised[step + 1]! / realised[step]!));
        const anchor = request.startTime + before;
        return Number.isNaN(absReturn) ? [] : [{ anchor, secondsSince: step * stepSeconds - before, absReturn, sigma }];
      });
    }),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
