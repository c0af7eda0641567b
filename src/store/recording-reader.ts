import { open, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { describeError, isErrno } from "../errors.ts";
import { MAX_SEGMENT_BYTES, decodeSegment, type RecordingEntry } from "./recording-format.ts";

/** A segment file as its name tells it: `2026-10-01-0003.log`. */
export interface Segment {
  readonly path: string;
  /** UTC date of every recording in it. */
  readonly date: string;
  readonly number: number;
}

export interface RecordingFilter {
  /** Dates as in the ids: only recordings with `from <= id` and `id < to` (any prefix of an id). */
  readonly from?: string;
  readonly to?: string;
  /** Ids or prefixes of ids. */
  readonly ids?: readonly string[];
  readonly newestFirst?: boolean;
}

export function segmentName(date: string, number: number): string {
  return `${date}-${String(number).padStart(4, "0")}.log`;
}

function parseSegment(path: string): Segment | null {
  const match = /^(\d{4}-\d{2}-\d{2})-(\d{1,9})\.log$/.exec(basename(path));
  return match === null ? null : { path, date: match[1]!, number: Number(match[2]) };
}

/** Segments of one folder, oldest first; empty where the folder does not exist. */
export async function listSegments(dir: string): Promise<Segment[]> {
  const names = await namesIn(dir);
  return names
    .map((name) => parseSegment(join(dir, name)))
    .filter((segment) => segment !== null)
    .sort((a, b) => (a.date === b.date ? a.number - b.number : a.date < b.date ? -1 : 1));
}

/** The folders under `<stateDir>/recordings`, one for each axon (hotkey) that ever recorded there. */
export async function listRecordingFolders(stateDir: string): Promise<string[]> {
  const root = join(stateDir, "recordings");
  return (await namesIn(root)).sort().map((name) => join(root, name));
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR")) return [];
    throw error;
  }
}

/** Every recording and damage of one file. An unreadable file is a damage too: the rest of the folder still counts. */
export async function readSegment(path: string): Promise<RecordingEntry[]> {
  try {
    const bytes = await readBounded(path);
    // Deleted between listing and reading: retention at work, not damage.
    return bytes === null ? [] : [...decodeSegment(bytes, path)];
  } catch (error) {
    return [{ kind: "damage", segment: path, offset: 0, bytes: 0, code: "unreadable", message: describeError(error) }];
  }
}

async function readBounded(path: string): Promise<Uint8Array | null> {
  let handle;
  try {
    handle = await open(path, "r");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
  try {
    const { size } = await handle.stat();
    if (size > MAX_SEGMENT_BYTES) throw new RangeError(`expected at most ${MAX_SEGMENT_BYTES} bytes, found ${size}`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** Recordings of one folder in order of time, and every damage met on the way. One segment is in memory at a time. */
export async function* readRecordings(dir: string, filter: RecordingFilter = {}): AsyncGenerator<RecordingEntry> {
  const segments = (await listSegments(dir)).filter((segment) => mayHold(segment, filter));
  if (filter.newestFirst === true) segments.reverse();
  for (const segment of segments) {
    const entries = await readSegment(segment.path);
    if (filter.newestFirst === true) entries.reverse();
    for (const entry of entries) {
      if (entry.kind === "damage" || isWanted(entry.recording.id, filter)) yield entry;
    }
  }
}

/** Ids begin with the segment's date, so most segments need not be opened. */
function mayHold(segment: Segment, filter: RecordingFilter): boolean {
  const day = segment.date.replaceAll("-", "");
  const sameDay = (id: string): boolean => id.startsWith(day) || day.startsWith(id);
  if (filter.from !== undefined && day < filter.from.slice(0, day.length)) return false;
  if (filter.to !== undefined && day > filter.to.slice(0, day.length)) return false;
  return filter.ids?.some(sameDay) ?? true;
}

function isWanted(id: string, filter: RecordingFilter): boolean {
  if (filter.from !== undefined && id < filter.from) return false;
  if (filter.to !== undefined && id >= filter.to) return false;
  return filter.ids?.some((wanted) => id.startsWith(wanted)) ?? true;
}
