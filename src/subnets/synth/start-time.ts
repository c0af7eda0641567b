import { unixSeconds, type UnixSeconds } from "../../units.ts";

/** What Python's datetime.isoformat writes and fromisoformat reads: date, `T` or a space, time, optional offset. */
const ISO_8601 = new RegExp(
  "^(?<year>\\d{4})-(?<month>\\d{2})-(?<day>\\d{2})" +
    "(?:[Tt ](?<hour>\\d{2}):(?<minute>\\d{2})(?::(?<second>\\d{2})(?:[.,](?<fraction>\\d+))?)?" +
    "(?:[Zz]|(?<sign>[+-])(?<offsetHour>\\d{2})(?::?(?<offsetMinute>\\d{2})" +
    "(?::?(?<offsetSecond>\\d{2})(?:\\.(?<offsetFraction>\\d+))?)?)?)?)?$",
);
const MAX_LENGTH = 128;
const MIN_YEAR = 2000;
const MAX_YEAR = 2100;

/** Digits behind the point as microseconds; further digits are cut off, as Python does. */
function microseconds(digits: string | undefined): number {
  return Number((digits ?? "").slice(0, 6).padEnd(6, "0"));
}

/**
 * Unix seconds at or before the instant; an instant without an offset is UTC. Null when the text is no such instant or
 * lies outside the years 2000 to 2100.
 */
export function parseStartTime(text: string): UnixSeconds | null {
  const groups = text.length <= MAX_LENGTH ? ISO_8601.exec(text)?.groups : undefined;
  if (groups === undefined) return null;
  const part = (name: string): number => Number(groups[name] ?? 0);
  const [year, month, day] = [part("year"), part("month"), part("day")];
  const date = new Date(Date.UTC(year, month - 1, day));
  // Date carries the 31st of April into May; such a day does not exist.
  if (year < MIN_YEAR || year > MAX_YEAR || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  if (part("hour") > 23 || part("minute") > 59 || part("second") > 59) return null;
  if (part("offsetHour") > 23 || part("offsetMinute") > 59 || part("offsetSecond") > 59) return null;

  const local = date.getTime() / 1000 + part("hour") * 3600 + part("minute") * 60 + part("second");
  const sign = groups["sign"] === "-" ? -1 : 1;
  const offset = sign * (part("offsetHour") * 3600 + part("offsetMinute") * 60 + part("offsetSecond"));
  const micros = microseconds(groups["fraction"]) - sign * microseconds(groups["offsetFraction"]);
  return unixSeconds(local - offset + Math.floor(micros / 1e6));
}
