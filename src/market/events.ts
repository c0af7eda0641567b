import { readFileSync } from "node:fs";
import { z } from "zod";
import { describeError, OperationalError } from "../errors.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR, unixSeconds, type UnixSeconds } from "../units.ts";
import { newYorkOffsetSeconds } from "./session.ts";

/**
 * Scheduled US news that moves markets at a known minute: the consumer price index and the Employment Situation of the
 * Bureau of Labor Statistics, and the statement of the Federal Open Market Committee (its press conference follows half
 * an hour later). The dates are a table that people keep: config/events.json.
 */
export const EVENT_KINDS = ["cpi", "payrolls", "fomc"] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export interface ScheduledEvent {
  readonly kind: EventKind;
  readonly time: UnixSeconds;
}

/** Time of day in New York, seconds after midnight. */
const RELEASE_SECONDS: Readonly<Record<EventKind, number>> = {
  cpi: 8.5 * SECONDS_PER_HOUR,
  payrolls: 8.5 * SECONDS_PER_HOUR,
  fomc: 14 * SECONDS_PER_HOUR,
};

/** A kind is due about every five weeks (every eight at most), and BLS publishes a year's dates in its last months. */
const ENDING_SOON_SECONDS = 60 * SECONDS_PER_DAY;

const eventRow = z
  .strictObject({ kind: z.enum(EVENT_KINDS), time: z.iso.datetime({ abort: true }) })
  .transform(({ kind, time }) => ({
    kind,
    time: unixSeconds(Date.parse(time) / 1000),
  }));

const eventTable = z.strictObject({
  /** Where the dates come from, the day they were last looked up, and what is left out or unsure. */
  source: z.string().min(1),
  checked: z.iso.date(),
  notes: z.array(z.string()),
  events: z.array(eventRow).superRefine((events, context) => {
    events.forEach((event, index) => {
      for (const message of rowProblems(event, events[index - 1])) {
        context.addIssue({ code: "custom", path: [index, "time"], message });
      }
    });
  }),
});

function rowProblems({ kind, time }: ScheduledEvent, previous: ScheduledEvent | undefined): string[] {
  const problems: string[] = [];
  const local = new Date((time + newYorkOffsetSeconds(time)) * 1000);
  const clock = local.toISOString().slice(11, 19);
  const expected = new Date(RELEASE_SECONDS[kind] * 1000).toISOString().slice(11, 19);
  if (clock !== expected) problems.push(`expected ${expected} in New York for ${kind}, found ${clock}`);
  if (local.getUTCDay() % 6 === 0) problems.push("expected a weekday, found a weekend");
  if (previous && previous.time > time) problems.push("expected a time after the row before it (sorted)");
  if (previous?.time === time && previous.kind >= kind) {
    problems.push("expected each event once, rows of one time sorted by kind");
  }
  return problems;
}

/**
 * The events of a table, sorted by time.
 * @throws OperationalError `events/bad_table` that names every row of a wrong form or, where all have the form, every one
 * of a wrong time or place.
 */
export function parseEvents(json: unknown): readonly ScheduledEvent[] {
  const parsed = eventTable.safeParse(json);
  if (parsed.success) return parsed.data.events;
  throw new OperationalError("events/bad_table", `The table of events: ${z.prettifyError(parsed.error)}`);
}

/** @throws OperationalError `events/unreadable` (no file, no JSON) or `events/bad_table`. */
export function readEvents(path: string): readonly ScheduledEvent[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    const message = `Expected a table of events at ${path}: ${describeError(cause)}`;
    throw new OperationalError("events/unreadable", message, { details: { path }, cause });
  }
  return parseEvents(json);
}

/** Index of the first event at or after `time`, by binary search; `events.length` when there is none. */
export function firstEventFrom(events: readonly ScheduledEvent[], time: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (events[middle]!.time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Time of the last known event of a kind: what comes later, the table does not know. Null without any. */
export function coversUntil(events: readonly ScheduledEvent[], kind: EventKind): UnixSeconds | null {
  return events.findLast((event) => event.kind === kind)?.time ?? null;
}

/** One sentence for every kind whose dates end within 60 days of `now`, for the operator. */
export function coverageWarnings(events: readonly ScheduledEvent[], now: UnixSeconds): readonly string[] {
  return EVENT_KINDS.flatMap((kind) => {
    const until = coversUntil(events, kind);
    if (until !== null && until - now > ENDING_SOON_SECONDS) return [];
    const end = until === null ? "has none" : `ends on ${new Date(until * 1000).toISOString().slice(0, 10)}`;
    return [`The table of ${kind} events ${end}: add the published dates to config/events.json`];
  });
}
