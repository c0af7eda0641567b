import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../units.ts";

/**
 * The regular session of the New York stock exchanges: 09:30 to 16:00 America/New_York on trading days. The UTC offset
 * follows the US rule in force since 2007 (second Sunday of March to first Sunday of November); both changes fall on
 * Sundays, so no session straddles one.
 */
const OPEN_SECONDS = 9.5 * SECONDS_PER_HOUR;
const CLOSE_SECONDS = 16 * SECONDS_PER_HOUR;
const EARLY_CLOSE_SECONDS = 13 * SECONDS_PER_HOUR;

/** NYSE holidays, 2025 to 2028, as the exchange publishes them; other years count every weekday. */
const HOLIDAYS: ReadonlySet<string> = new Set([
  ...["2025-01-01", "2025-01-09", "2025-01-20", "2025-02-17", "2025-04-18", "2025-05-26", "2025-06-19", "2025-07-04"],
  ...["2025-09-01", "2025-11-27", "2025-12-25"],
  ...["2026-01-01", "2026-01-19", "2026-02-16", "2026-04-03", "2026-05-25", "2026-06-19", "2026-07-03", "2026-09-07"],
  ...["2026-11-26", "2026-12-25"],
  ...["2027-01-01", "2027-01-18", "2027-02-15", "2027-03-26", "2027-05-31", "2027-06-18", "2027-07-05", "2027-09-06"],
  ...["2027-11-25", "2027-12-24"],
  ...["2028-01-17", "2028-02-21", "2028-04-14", "2028-05-29", "2028-06-19", "2028-07-04", "2028-09-04", "2028-11-23"],
  ...["2028-12-25"],
]);

/** Days that close at 13:00. */
const EARLY_CLOSES: ReadonlySet<string> = new Set([
  ...["2025-07-03", "2025-11-28", "2025-12-24", "2026-11-27", "2026-12-24", "2027-11-26", "2028-07-03", "2028-11-24"],
]);

/**
 * New York's offset from UTC, seconds (negative). By UTC day: the hours around the change fall on a Sunday night. The last
 * day is remembered, because bars come in order.
 */
export function newYorkOffsetSeconds(time: number): number {
  const day = Math.floor(time / SECONDS_PER_DAY);
  if (day !== lastOffset.day) {
    const date = new Date(day * SECONDS_PER_DAY * 1000);
    const daylight = isDaylightTime(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate());
    lastOffset = { day, seconds: (daylight ? -4 : -5) * SECONDS_PER_HOUR };
  }
  return lastOffset.seconds;
}

let lastOffset = { day: NaN, seconds: 0 };

/** A half-open span of UTC seconds, `[open, close)`. */
interface Session {
  readonly open: number;
  readonly close: number;
}

/** Day of the month of the n-th Sunday. */
function nthSunday(year: number, month: number, n: number): number {
  const firstWeekday = new Date(Date.UTC(year, month, 1)).getUTCDay();
  return 1 + ((7 - firstWeekday) % 7) + 7 * (n - 1);
}

function isDaylightTime(year: number, month: number, dayOfMonth: number): boolean {
  if (month === 2) return dayOfMonth >= nthSunday(year, 2, 2);
  if (month === 10) return dayOfMonth < nthSunday(year, 10, 1);
  return month > 2 && month < 10;
}

/** The session of a calendar day (days since 1970-01-01); null on weekends and holidays. */
function computeSession(day: number): Session | null {
  const date = new Date(day * SECONDS_PER_DAY * 1000);
  const weekday = date.getUTCDay();
  const name = date.toISOString().slice(0, 10);
  if (weekday === 0 || weekday === 6 || HOLIDAYS.has(name)) return null;
  const daylight = isDaylightTime(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate());
  const midnight = day * SECONDS_PER_DAY + (daylight ? 4 : 5) * SECONDS_PER_HOUR;
  return {
    open: midnight + OPEN_SECONDS,
    close: midnight + (EARLY_CLOSES.has(name) ? EARLY_CLOSE_SECONDS : CLOSE_SECONDS),
  };
}

const MAX_CACHED_DAYS = 512;
const cache = new Map<number, Session | null>();

function sessionOfDay(day: number): Session | null {
  const known = cache.get(day);
  if (known !== undefined) return known;
  if (cache.size >= MAX_CACHED_DAYS) cache.clear();
  const session = computeSession(day);
  cache.set(day, session);
  return session;
}

/**
 * Share of `[from, to)` (UTC seconds, from < to) that lies in the regular US session, 0 to 1. The session lies within
 * one UTC day in both halves of the year, so UTC days can be walked.
 */
export function usSessionShare(from: number, to: number): number {
  let inside = 0;
  const lastDay = Math.floor((to - 1) / SECONDS_PER_DAY);
  for (let day = Math.floor(from / SECONDS_PER_DAY); day <= lastDay; day++) {
    const session = sessionOfDay(day);
    if (session === null) continue;
    inside += Math.max(0, Math.min(to, session.close) - Math.max(from, session.open));
  }
  return inside / (to - from);
}

/** The Monday of a week without holidays, 00:00 in New York. */
const ORDINARY_MONDAY = Date.UTC(2026, 4, 4, 4) / 1000;

/** Share of each five minutes of an ordinary New York week, Monday 00:00 first, that lies in the regular session. */
export const weekSessionShares = memoise((): Float64Array =>
  Float64Array.from({ length: (7 * SECONDS_PER_DAY) / 300 }, (_, bin) =>
    usSessionShare(ORDINARY_MONDAY + bin * 300, ORDINARY_MONDAY + (bin + 1) * 300),
  ),
);

function memoise<T>(compute: () => T): () => T {
  let known: { readonly value: T } | null = null;
  return () => (known ??= { value: compute() }).value;
}
