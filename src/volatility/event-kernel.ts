import { z } from "zod";
import type { AssetClass } from "../market/assets.ts";
import { EVENT_KINDS, firstEventFrom, type EventKind, type ScheduledEvent } from "../market/events.ts";

/**
 * What scheduled news does to volatility: factors on the standard deviation of a return, by seconds since the event,
 * relative to level and weekly profile (which already hold the mean day's 08:30 and 14:00). Piecewise constant; outside
 * the bins the factor is 1. Fitted by evaluation/calibrate/fit-events.ts.
 */
export const MIN_EVENT_FACTOR = 0.5;
export const MAX_EVENT_FACTOR = 8;

const MINUTE = 60;

/** Quiet before, the minute of the news, and its echo. */
const RELEASE_EDGES = [-30, 0, 1, 5, 15, 30, 60, 120];
/** The press conference begins at +30 min: its opening words, the statement's end and the first questions, the rest. */
const FOMC_EDGES = [-30, 0, 1, 5, 15, 30, 35, 45, 60, 90, 120];

/** Edges of a kind's bins, seconds since the event. */
export const EVENT_EDGES: Readonly<Record<EventKind, readonly number[]>> = {
  cpi: RELEASE_EDGES.map((minutes) => minutes * MINUTE),
  payrolls: RELEASE_EDGES.map((minutes) => minutes * MINUTE),
  fomc: FOMC_EDGES.map((minutes) => minutes * MINUTE),
};

/** How far any kernel reaches before and after its event; the schema refuses bins beyond. */
export const EVENT_REACH_SECONDS = { before: 30 * MINUTE, after: 120 * MINUTE } as const;

const eventBin = z.strictObject({
  /** Seconds since the event, `[from, to)`. */
  from: z.int().min(-EVENT_REACH_SECONDS.before),
  to: z.int().max(EVENT_REACH_SECONDS.after),
  factor: z.number().min(MIN_EVENT_FACTOR).max(MAX_EVENT_FACTOR),
  /** Events with a return in this bin. */
  events: z.int().min(0),
  /** Why the factor is 1 and not fitted; null where it is fitted. */
  fallback: z.string().nullable(),
});

/** Bins in order, without overlap. */
const eventKernel = z
  .array(eventBin)
  .max(32)
  .refine(
    (bins) => bins.every(({ from, to }, i) => from < to && (i === 0 || bins[i - 1]!.to <= from)),
    "expected bins in ascending order, without overlap",
  );

const kernelsByKind = z.record(z.enum(EVENT_KINDS), eventKernel);

export const eventKernels = z.record(z.enum(["crypto", "equity", "commodity"]), kernelsByKind);

export type EventBin = z.infer<typeof eventBin>;
export type EventKernels = z.infer<typeof eventKernels>;

/** An event whose kernel a span touches, and how far the span's start lies after it (negative: before). */
export interface NearEvent {
  readonly kind: EventKind;
  readonly eventTime: number;
  readonly secondsSinceEvent: number;
}

/** The events whose reach overlaps `[from, to)`, oldest first. `events`: sorted by time. */
export function eventsNear(events: readonly ScheduledEvent[], from: number, to: number): readonly NearEvent[] {
  const near: NearEvent[] = [];
  for (let i = firstEventFrom(events, from - EVENT_REACH_SECONDS.after + 1); i < events.length; i++) {
    const { kind, time } = events[i]!;
    if (time - EVENT_REACH_SECONDS.before >= to) break;
    near.push({ kind, eventTime: time, secondsSinceEvent: from - time });
  }
  return near;
}

/** What an asset's steps are multiplied by: kernels, the asset's class, and the known events, sorted by time. */
export interface EventEffect {
  readonly kernels: EventKernels;
  readonly assetClass: AssetClass;
  readonly events: readonly ScheduledEvent[];
  /** Unix seconds up to which the levels know the market: what they hold of the news needs no factor any more. */
  readonly knownUntil: number;
  /** Unix seconds of point 0: news is fresh until it is a part of the path's past. */
  readonly startTime: number;
}

/** Of the kernel's logarithm: for news before the start that no candle shows yet, … */
const UNSEEN_WEIGHT = 0.5;
/** … and for what the candles show, halving in ten minutes (fast levels take in what is left). */
const SEEN_WEIGHT = 0.2;
const SEEN_HALF_LIFE_SECONDS = 600;
/** The press conference is news of its own. */
const PRESS_CONFERENCE_SECONDS = 1800;

/**
 * How much of a bin's factor is still to come, 0 to 1. On BTC and ETH minutes of 2025 (15 events) the full kernel would
 * make prompts that start a minute after the news 40 % too wide, none of it 60 % too narrow.
 */
function weightOf(
  { knownUntil, startTime }: EventEffect,
  kind: EventKind,
  bin: { eventTime: number; from: number },
): number {
  const isConference = kind === "fomc" && bin.from >= PRESS_CONFERENCE_SECONDS;
  const newsTime = bin.eventTime + (isConference ? PRESS_CONFERENCE_SECONDS : 0);
  if (newsTime >= startTime) return 1;
  if (newsTime >= knownUntil) return UNSEEN_WEIGHT;
  return SEEN_WEIGHT * 2 ** (-(knownUntil - newsTime) / SEEN_HALF_LIFE_SECONDS);
}

/**
 * The factor on the standard deviation of a return over `[fromTime, toTime)` (unix seconds, from < to): the root of the
 * time-average of the squared factor. Where several events reach, the largest of their factors counts. 1 far from any.
 */
export function eventFactor(effect: EventEffect, fromTime: number, toTime: number): number {
  const { kernels, assetClass, events } = effect;
  const bins = eventsNear(events, fromTime, toTime).flatMap(({ kind, eventTime }) =>
    kernels[assetClass][kind].map(({ from, to, factor }) => ({
      from: eventTime + from,
      to: eventTime + to,
      factor: factor ** weightOf(effect, kind, { eventTime, from }),
    })),
  );
  if (bins.length === 0) return 1;
  const cuts = new Set([fromTime, toTime]);
  for (const { from, to } of bins) {
    for (const edge of [from, to]) if (edge > fromTime && edge < toTime) cuts.add(edge);
  }
  const edges = [...cuts].sort((a, b) => a - b);
  let variance = 0;
  for (let i = 1; i < edges.length; i++) {
    const [start, end] = [edges[i - 1]!, edges[i]!];
    const covering = bins.filter(({ from, to }) => from <= start && end <= to).map(({ factor }) => factor);
    variance += (end - start) * (covering.length > 0 ? Math.max(...covering) : 1) ** 2;
  }
  return Math.sqrt(variance / (toTime - fromTime));
}
