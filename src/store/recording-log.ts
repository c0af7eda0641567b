import { randomBytes } from "node:crypto";
import { mkdir, open, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Exchange } from "../axon/synapse-service.ts";
import { steadyClock, type Clock } from "../clock.ts";
import { describeError, isErrno } from "../errors.ts";
import type { Logger } from "../log.ts";
import { SECONDS_PER_DAY } from "../units.ts";
import {
  MAX_RECORD_BYTES,
  RECORDING_SCHEMA,
  SEGMENT_HEADER_BYTES,
  encodeFrame,
  encodePayload,
  encodeSegmentHeader,
  frameBytes,
} from "./recording-format.ts";
import type { SoftwareIdentity } from "./recording-identity.ts";
import { listSegments, segmentName, type Segment } from "./recording-reader.ts";

export interface RecordingLimits {
  /** Of all segments in the folder together. */
  readonly maxBytes: number;
  readonly maxAgeDays: number;
}

export interface RecordingStats {
  /** On disk (handed to the system) since the start. */
  readonly written: number;
  readonly writtenBytes: number;
  readonly queued: number;
  readonly queuedBytes: number;
  /** Lost: the queue was full, the record too large or not encodable. */
  readonly dropped: number;
  /** Failed attempts to write; the records stayed queued. */
  readonly failures: number;
  readonly lastError: string | null;
}

export interface RecordingLog {
  /** Queues the exchange and returns its id at once. Never throws: what cannot be kept is counted and logged. */
  append(exchange: Exchange): string;
  /** Resolves when the queue is empty or the disk refuses. */
  flush(): Promise<void>;
  /**
   * Resolves when what was appended has been handed to the system (it survives our death, not the machine's), the disk
   * refused, or RECORD_PATIENCE_MS are over. Never rejects.
   */
  recorded(): Promise<void>;
  /** Flushes, makes the segment durable and closes it. What the disk still refuses is lost and counted. */
  close(): Promise<void>;
  stats(): RecordingStats;
}

/** Enough for minutes of bursts, small beside the process. */
const MAX_QUEUE_BYTES = 16 * 1024 * 1024;
const MAX_BATCH_BYTES = 1024 * 1024;
const MAX_SEGMENT_TARGET_BYTES = 16 * 1024 * 1024;
/** Retention works in whole segments: eight of them keep at least 7/8 of the allowed size. */
const SEGMENTS_WITHIN_LIMIT = 8;
const DAY_MS = SECONDS_PER_DAY * 1000;
/** Ids go on from a clock that is set back by less; one that was further ahead was wrong, and what it dated goes first. */
const MAX_STEP_BACK_MS = DAY_MS;
/** While the disk refuses, one try in this time; the queue holds what arrives meanwhile. */
const RETRY_AFTER_MS = 5000;
const WARN_EVERY_MS = 60_000;
/**
 * What an answer waits at most to be on record before it leaves. A write takes a millisecond or two, on a starved machine
 * more than a second (measured); a sick disk may take for ever, and validators wait for 50 s.
 */
const RECORD_PATIENCE_MS = 4000;

interface Queued {
  readonly written: PromiseWithResolvers<undefined>;
  readonly date: string;
  readonly payload: Uint8Array;
}

interface OpenSegment {
  readonly handle: FileHandle;
  readonly path: string;
  readonly inode: number;
  readonly date: string;
  readonly salt: number;
  bytes: number;
}

export function createRecordingLog(options: {
  /** One folder for each axon; its only writer. */
  dir: string;
  limits: RecordingLimits;
  /** Of dates and ids. */
  clock: Clock;
  /** Of retries and waits; the process's own unless given. */
  steadyClock?: Clock;
  logger: Logger;
  identity: SoftwareIdentity;
}): RecordingLog {
  return new SegmentedLog(options);
}

class SegmentedLog implements RecordingLog {
  readonly #options: Parameters<typeof createRecordingLog>[0];
  /** A wall clock set back would hold off retries and warnings for as long. */
  readonly #steady: Clock;
  readonly #segmentBytes: number;
  readonly #maxPayloadBytes: number;
  readonly #queue: Queued[] = [];
  #queuedBytes = 0;
  /** When the write in progress began, about. */
  #writtenAtMs = 0;
  /** Segments dated ahead, by path: when this process first saw them, by the steady clock. */
  readonly #seenAhead = new Map<string, number>();
  #segment: OpenSegment | null = null;
  #draining: Promise<void> | null = null;
  #closed = false;
  #counter = 0;
  #lastMs = 0;
  #retryAtMs = 0;
  #warnedAtMs = -Infinity;
  #counts = { written: 0, writtenBytes: 0, dropped: 0, failures: 0 };
  #lastError: string | null = null;

  constructor(options: Parameters<typeof createRecordingLog>[0]) {
    this.#options = options;
    this.#steady = options.steadyClock ?? steadyClock;
    const { maxBytes } = options.limits;
    this.#segmentBytes = Math.min(MAX_SEGMENT_TARGET_BYTES, Math.ceil(maxBytes / SEGMENTS_WITHIN_LIMIT));
    this.#maxPayloadBytes = Math.min(MAX_RECORD_BYTES, maxBytes - SEGMENT_HEADER_BYTES - frameBytes(new Uint8Array()));
  }

  append(exchange: Exchange): string {
    // Ids sort in the order of appending even where the system clock is set back, unless it had been far off.
    const nowMs = this.#options.clock.nowMs();
    if (nowMs > this.#lastMs || this.#lastMs > nowMs + MAX_STEP_BACK_MS) this.#lastMs = nowMs;
    this.#counter += 1;
    const time = new Date(this.#lastMs).toISOString();
    const id = `${time.replaceAll(/[-:.]/g, "")}-${String(this.#counter).padStart(6, "0")}`;
    try {
      const { identity } = this.#options;
      this.#enqueue({
        written: Promise.withResolvers(),
        date: time.slice(0, 10),
        payload: encodePayload({ schema: RECORDING_SCHEMA, id, exchange, identity }),
      });
    } catch (error) {
      this.#drop(describeError(error));
    }
    if (this.#steady.nowMs() >= this.#retryAtMs) void this.#drain();
    return id;
  }

  #enqueue(record: Queued): void {
    const bytes = record.payload.length;
    if (this.#closed) this.#drop("the recording log is closed");
    else if (bytes > this.#maxPayloadBytes) {
      this.#drop(`expected at most ${this.#maxPayloadBytes} bytes, the recording has ${bytes}`);
    } else if (this.#queuedBytes + bytes > MAX_QUEUE_BYTES) {
      this.#drop(`the queue is full, last write error: ${this.#lastError ?? "none"}`);
    } else {
      this.#queue.push(record);
      this.#queuedBytes += bytes;
    }
  }

  flush(): Promise<void> {
    return this.#drain();
  }

  async recorded(): Promise<void> {
    const record = this.#queue.at(-1);
    if (this.#draining === null || record === undefined) return;
    // A disk that has hung for that long already is not waited for again.
    if (this.#steady.nowMs() - this.#writtenAtMs > RECORD_PATIENCE_MS) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, RECORD_PATIENCE_MS);
    });
    await Promise.race([record.written.promise, this.#draining, patience]);
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    await this.#closeSegment();
    if (this.#queue.length > 0) this.#drop("not written before the process ended", this.#queue.length);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }

  stats(): RecordingStats {
    return {
      ...this.#counts,
      queued: this.#queue.length,
      queuedBytes: this.#queuedBytes,
      lastError: this.#lastError,
    };
  }

  /** One writer at a time; callers share the run in progress, which ends with an empty queue. Never rejects. */
  #drain(): Promise<void> {
    if (this.#queue.length === 0) return this.#draining ?? Promise.resolve();
    return (this.#draining ??= this.#writeQueue());
  }

  async #writeQueue(): Promise<void> {
    this.#writtenAtMs = this.#steady.nowMs();
    try {
      while (this.#queue.length > 0) await this.#writeBatch();
      this.#retryAtMs = 0;
    } catch (error) {
      this.#counts.failures += 1;
      this.#retryAtMs = this.#steady.nowMs() + RETRY_AFTER_MS;
      this.#warn("Recording failed; answers go on, unrecorded once the queue is full", describeError(error));
    } finally {
      this.#draining = null;
    }
  }

  async #writeBatch(): Promise<void> {
    const first = this.#queue[0]!;
    const segment = await this.#segmentFor(first);
    const frames: Uint8Array[] = [];
    let bytes = 0;
    for (const record of this.#queue) {
      const size = frameBytes(record.payload);
      const fits = segment.bytes + bytes + size <= this.#segmentBytes && bytes + size <= MAX_BATCH_BYTES;
      if (frames.length > 0 && (record.date !== segment.date || !fits)) break;
      frames.push(encodeFrame(record.payload, segment.salt));
      bytes += size;
    }
    await this.#write(segment, Buffer.concat(frames, bytes));
    for (const record of this.#queue.splice(0, frames.length)) {
      this.#queuedBytes -= record.payload.length;
      record.written.resolve(undefined);
    }
    this.#writtenAtMs = this.#steady.nowMs();
    this.#counts.written += frames.length;
    this.#counts.writtenBytes += bytes;
  }

  /** All of `bytes` or none: a failed write is cut off again; where even that fails, a new segment follows the torn one. */
  async #write(segment: OpenSegment, bytes: Uint8Array): Promise<void> {
    try {
      await segment.handle.appendFile(bytes);
      segment.bytes += bytes.length;
    } catch (error) {
      await segment.handle.truncate(segment.bytes).catch(() => this.#closeSegment());
      throw error;
    }
  }

  async #segmentFor(record: Queued): Promise<OpenSegment> {
    const current = this.#segment;
    if (current !== null) {
      const fits = current.bytes + frameBytes(record.payload) <= this.#segmentBytes;
      if (record.date === current.date && fits && (await isInPlace(current))) return current;
      await this.#closeSegment();
    }
    await mkdir(this.#options.dir, { recursive: true });
    await this.#deleteOld(Math.max(this.#segmentBytes, SEGMENT_HEADER_BYTES + frameBytes(record.payload)));
    this.#segment = await openSegment(this.#options.dir, record.date);
    return this.#segment;
  }

  /**
   * Oldest segments go until a new one of `neededBytes` fits and the rest is young enough. One that cannot be deleted is no
   * reason to stop recording, until such ones fill the folder by themselves.
   */
  async #deleteOld(neededBytes: number): Promise<void> {
    const { dir, limits, clock } = this.#options;
    const nowMs = clock.nowMs();
    const oldestMs = nowMs - limits.maxAgeDays * DAY_MS;
    let keptBytes = neededBytes;
    let stuckBytes = 0;
    let full = false;
    for (const segment of newestFirst(await listSegments(dir), nowMs)) {
      const { size } = await stat(segment.path);
      full ||= keptBytes + size > limits.maxBytes;
      keptBytes += size;
      const isAhead = isAheadOf(segment, nowMs);
      if (!isAhead) this.#seenAhead.delete(segment.path); // the clock was behind
      const isOld = isAhead ? this.#isLongSeen(segment) : startMs(segment) + DAY_MS <= oldestMs;
      if (!full && !isOld) continue;
      try {
        await rm(segment.path, { force: true });
        this.#seenAhead.delete(segment.path);
      } catch (error) {
        stuckBytes += size;
        if (stuckBytes > limits.maxBytes) throw error;
        this.#warn("An old recording segment cannot be deleted", describeError(error));
      }
    }
  }

  /** Of a segment dated ahead, by a clock now or then: nothing tells its age, so that it counts from the first sight of it. */
  #isLongSeen({ path }: Segment): boolean {
    const nowMs = this.#steady.nowMs();
    const sinceMs = this.#seenAhead.get(path) ?? nowMs;
    this.#seenAhead.set(path, sinceMs);
    return nowMs - sinceMs >= this.#options.limits.maxAgeDays * DAY_MS;
  }

  async #closeSegment(): Promise<void> {
    const segment = this.#segment;
    this.#segment = null;
    if (segment === null) return;
    try {
      await segment.handle.datasync();
    } catch (error) {
      this.#warn("Recordings may not survive a power cut", describeError(error));
    } finally {
      await segment.handle.close().catch((error: unknown) => {
        this.#warn("Closing a recording segment failed", describeError(error));
      });
    }
  }

  #drop(reason: string, count = 1): void {
    this.#counts.dropped += count;
    this.#warn("A recording is lost", reason);
  }

  /** The counters tell the rest of the story. */
  #warn(message: string, reason: string): void {
    this.#lastError = reason;
    const nowMs = this.#steady.nowMs();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    const { written, dropped, failures, queued } = this.stats();
    this.#options.logger.warn({ dir: this.#options.dir, reason, written, dropped, failures, queued }, message);
  }
}

function startMs(segment: Segment): number {
  return Date.parse(`${segment.date}T00:00:00Z`);
}

/** Whether a clock that was ahead dated the segment. */
function isAheadOf(segment: Segment, nowMs: number): boolean {
  return startMs(segment) > nowMs + MAX_STEP_BACK_MS;
}

/** What a clock that was ahead dated comes last: else it would outlive, for years, all that is written since. */
function newestFirst(segments: readonly Segment[], nowMs: number): Segment[] {
  const newest = segments.toReversed();
  const ahead = newest.filter((segment) => isAheadOf(segment, nowMs));
  return [...newest.filter((segment) => !isAheadOf(segment, nowMs)), ...ahead];
}

/** A segment that the operator deleted or moved away is not written to any more. */
async function isInPlace(segment: OpenSegment): Promise<boolean> {
  try {
    return (await stat(segment.path)).ino === segment.inode;
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR")) return false;
    throw error;
  }
}

/** Always a new file: the tail of an older one may be torn. */
async function openSegment(dir: string, date: string): Promise<OpenSegment> {
  const newest = (await listSegments(dir)).findLast((segment) => segment.date === date);
  const path = join(dir, segmentName(date, (newest?.number ?? 0) + 1));
  const handle = await open(path, "ax", 0o600);
  const salt = randomBytes(4).readUInt32LE();
  try {
    const { ino } = await handle.stat();
    await handle.appendFile(encodeSegmentHeader(salt));
    return { handle, path, inode: ino, date, salt, bytes: SEGMENT_HEADER_BYTES };
  } catch (error) {
    await handle.close();
    await rm(path, { force: true });
    throw error;
  }
}
