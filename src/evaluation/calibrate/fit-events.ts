import type { AssetClass, AssetSymbol } from "../../market/assets.ts";
import type { EventKind } from "../../market/events.ts";
import {
  EVENT_EDGES,
  MAX_EVENT_FACTOR,
  MIN_EVENT_FACTOR,
  type EventBin,
  type EventKernels,
} from "../../volatility/event-kernel.ts";

/** One bar's |log return| near a scheduled event, and what level and weekly profile expected of it. */
export interface EventObservation {
  readonly kind: EventKind;
  readonly assetClass: AssetClass;
  readonly asset: AssetSymbol;
  /** Unix seconds of the event. */
  readonly eventTime: number;
  /** From the event to the bar's open; negative before it. */
  readonly secondsSinceEvent: number;
  readonly stepSeconds: number;
  readonly absReturn: number;
  /** Of the same mean as `absReturn` on days without events: E|r|, not a standard deviation. */
  readonly expectedAbsReturn: number;
}

/** Fewer events say nothing about the next one: the largest of five is a fifth of their mean. */
const MIN_EVENTS = 6;
/** Events of factor 1 that every bin starts with: a choice, about half of the fewest events that count. */
const PRIOR_EVENTS = 3;
/** A larger ratio is a bad print or a level of nothing, not news; the largest of 2025 was about 60 in one minute. */
const MAX_RATIO = 60;
/** The fit converges within a few rounds; where no bar spans two bins, in one. */
const MAX_ROUNDS = 100;
const TOLERANCE = 1e-9;

/** A bar's ratio |r| / E|r| and the shares of its time in the bins; what is left of 1 lies outside, at factor 1. */
interface Ratio {
  readonly eventTime: number;
  readonly ratio: number;
  readonly shares: readonly number[];
}

/**
 * The factors f_b of every class, kind and bin. A bar with the share s_b of its time in bin b is expected to be
 * sqrt(1 - Σ s_b + Σ s_b f_b²) =: p times its usual size; f_b is the fixed point at which the mean of u = |r| / E|r| over
 * p, with weights s_b f_b² / p² (the part of the bar's variance that is the bin's), is 1. For bars within one bin that is
 * the mean of u, whatever their length; five-minute bars tell two one-minute bins apart only with the help of others.
 * Events weigh the same, however many bars and assets saw each: their returns share the surprise. Then
 *
 *     factor = (n f + 3) / (n + 3),  n events,
 *
 * within [0.5, 8]. Fewer than six events in a bin: factor 1, and the reason in `fallback`.
 */
export function fitEventKernels(observations: readonly EventObservation[]): EventKernels {
  const kernelsOf = (assetClass: AssetClass): EventKernels[AssetClass] => {
    const kernel = (kind: EventKind): EventBin[] =>
      fitKernel(
        EVENT_EDGES[kind],
        observations.filter((own) => own.assetClass === assetClass && own.kind === kind),
      );
    return { cpi: kernel("cpi"), payrolls: kernel("payrolls"), fomc: kernel("fomc") };
  };
  return { crypto: kernelsOf("crypto"), equity: kernelsOf("equity"), commodity: kernelsOf("commodity") };
}

function fitKernel(edges: readonly number[], observations: readonly EventObservation[]): EventBin[] {
  const ratios = observations.flatMap((own) => ratioOf(own, edges));
  const counts = edges
    .slice(1)
    .map((_, b) => new Set(ratios.filter((own) => own.shares[b]! > 0).map((own) => own.eventTime)).size);
  const fitted = fixedPoint(ratios, counts);
  return counts.map((events, b) => {
    const shrunk = (events * fitted[b]! + PRIOR_EVENTS) / (events + PRIOR_EVENTS);
    const enough = events >= MIN_EVENTS;
    return {
      from: edges[b]!,
      to: edges[b + 1]!,
      factor: enough ? Math.min(Math.max(shrunk, MIN_EVENT_FACTOR), MAX_EVENT_FACTOR) : 1,
      events,
      fallback: enough ? null : `${String(events)} events with returns, fewer than ${String(MIN_EVENTS)}`,
    };
  });
}

/** Empty where the bar cannot tell: nothing was expected of it, it has no return, or it lies outside all bins. */
function ratioOf(own: EventObservation, edges: readonly number[]): Ratio[] {
  const ratio = own.absReturn / own.expectedAbsReturn;
  const from = own.secondsSinceEvent;
  const to = from + own.stepSeconds;
  const shares = edges
    .slice(1)
    .map((end, b) => Math.max(0, Math.min(to, end) - Math.max(from, edges[b]!)) / own.stepSeconds);
  if (!(own.expectedAbsReturn > 0 && Number.isFinite(ratio) && shares.some((share) => share > 0))) return [];
  return [{ eventTime: own.eventTime, ratio: Math.min(ratio, MAX_RATIO), shares }];
}

/** The unshrunk factors; 1 for bins that no fit is asked for. */
function fixedPoint(ratios: readonly Ratio[], counts: readonly number[]): readonly number[] {
  const byEvent = [...Map.groupBy(ratios, ({ eventTime }) => eventTime).values()];
  let factors = counts.map(() => 1);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const scales = factors.map((_, b) => (counts[b]! < MIN_EVENTS ? 1 : meanScale(byEvent, factors, b)));
    factors = factors.map((factor, b) => Math.max(factor * scales[b]!, Number.EPSILON));
    if (scales.every((scale) => Math.abs(scale - 1) < TOLERANCE)) break;
  }
  return factors;
}

/** Mean over the events of the weighted mean of u / p in bin `b`. */
function meanScale(byEvent: readonly (readonly Ratio[])[], factors: readonly number[], b: number): number {
  let sum = 0;
  let events = 0;
  for (const ratios of byEvent) {
    let weighted = 0;
    let weights = 0;
    for (const { ratio, shares } of ratios) {
      if (!(shares[b]! > 0)) continue;
      const outside = 1 - shares.reduce((a, share) => a + share, 0);
      const expected2 = shares.reduce((a, share, j) => a + share * factors[j]! ** 2, Math.max(outside, 0));
      const weight = (shares[b]! * factors[b]! ** 2) / expected2;
      weighted += (weight * ratio) / Math.sqrt(expected2);
      weights += weight;
    }
    if (weights === 0) continue;
    sum += weighted / weights;
    events++;
  }
  return events > 0 ? sum / events : 1;
}
