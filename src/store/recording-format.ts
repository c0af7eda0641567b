import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";
import { z } from "zod";
import type { Exchange } from "../axon/synapse-service.ts";
import { describeError } from "../errors.ts";
import { hotkey, unixMillis } from "../units.ts";
import type { SoftwareIdentity } from "./recording-identity.ts";

/**
 * A segment file: an 8-byte magic whose last byte is the format version, a random u32 salt, then frames
 * `[u32 length][u32 crc][payload]` (little endian; the payload is MessagePack). The CRC-32 covers length and payload
 * and starts from the salt, so that bytes inside a hostile request body cannot pass for a frame when a reader looks for
 * the next good one after damage.
 */
const MAGIC = Buffer.from("SYNREC\0\x01", "latin1");
const FRAME_HEADER_BYTES = 8;
export const SEGMENT_HEADER_BYTES = MAGIC.length + 4;
/** A body is at most 1 MiB by default; headers and evidence need far less than the rest. */
export const MAX_RECORD_BYTES = 8 * 1024 * 1024;
/** Segments are cut far below this; a larger file is not one of ours. */
export const MAX_SEGMENT_BYTES = 256 * 1024 * 1024;
/** Payload bytes checked at most while looking for the next good frame after one damage. */
const RESYNC_BUDGET_BYTES = 64 * 1024 * 1024;

/** Raised with every change of meaning or shape of a recording. */
export const RECORDING_SCHEMA = 1;

export interface Recording {
  readonly schema: typeof RECORDING_SCHEMA;
  /** UTC time and counter, e.g. `20261001T120501123Z-000001`; sorts in the order of recording. */
  readonly id: string;
  readonly exchange: Exchange;
  readonly identity: SoftwareIdentity;
}

/** Bytes that no recording could be read from. `lost` says what the reader did about it. */
export interface Damage {
  readonly kind: "damage";
  readonly segment: string;
  readonly offset: number;
  readonly bytes: number;
  readonly code: "torn_tail" | "bad_header" | "bad_frame" | "bad_payload" | "unreadable";
  readonly message: string;
}

export interface RecordedEntry {
  readonly kind: "recording";
  readonly segment: string;
  readonly recording: Recording;
}

export type RecordingEntry = RecordedEntry | Damage;

const branded = z.string().transform(hotkey);

const recordingSchema = z.strictObject({
  schema: z.literal(RECORDING_SCHEMA),
  id: z.string().min(1),
  exchange: z.strictObject({
    receivedAtMs: z.number().transform(unixMillis),
    remoteIp: z.string(),
    method: z.string(),
    path: z.string(),
    headers: z.record(z.string(), z.string()),
    body: z.instanceof(Uint8Array),
    synapse: z.string(),
    scheme: z.enum(["synapse", "btauth"]),
    sender: z.strictObject({ hotkey: branded, stake: z.number() }),
    receiver: branded,
    status: z.int(),
    message: z.string(),
    fieldDigests: z.record(z.string(), z.string()),
    responseBytes: z.int().min(0),
    evidence: z.unknown(),
    timings: z.strictObject({
      admissionMs: z.number(),
      queueMs: z.number(),
      runMs: z.number(),
      totalMs: z.number(),
    }),
  }),
  identity: z.strictObject({
    packageVersion: z.string(),
    gitCommit: z.string().nullable(),
    nodeVersion: z.string(),
    modelsSha256: z.string().nullable(),
  }),
});

/** Plain maps, so that each payload stands on its own; typed arrays keep their types (per-path checksums). */
const packr = new Packr({ useRecords: false, moreTypes: true, copyBuffers: true });

export function encodeSegmentHeader(salt: number): Uint8Array {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(salt, MAGIC.length);
  return header;
}

export function encodePayload(recording: Recording): Uint8Array {
  return packr.pack(recording);
}

export function frameBytes(payload: Uint8Array): number {
  return FRAME_HEADER_BYTES + payload.length;
}

export function encodeFrame(payload: Uint8Array, salt: number): Uint8Array {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.set(payload, FRAME_HEADER_BYTES);
  frame.writeUInt32LE(checksum(frame, { offset: 0, length: payload.length, salt }), 4);
  return frame;
}

function checksum(file: Buffer, frame: { offset: number; length: number; salt: number }): number {
  const start = frame.offset + FRAME_HEADER_BYTES;
  const length = crc32(file.subarray(frame.offset, frame.offset + 4), frame.salt);
  return crc32(file.subarray(start, start + frame.length), length);
}

/** Length of the payload of an intact frame at `offset`, or null. */
function intactFrame(file: Buffer, offset: number, salt: number): number | null {
  const length = plausibleLength(file, offset);
  if (length === null) return null;
  return checksum(file, { offset, length, salt }) === file.readUInt32LE(offset + 4) ? length : null;
}

function plausibleLength(file: Buffer, offset: number): number | null {
  if (offset + FRAME_HEADER_BYTES > file.length) return null;
  const length = file.readUInt32LE(offset);
  if (length === 0 || length > MAX_RECORD_BYTES) return null;
  return offset + FRAME_HEADER_BYTES + length <= file.length ? length : null;
}

/** Offset of the next intact frame after `offset`; the end of the file where there is none. */
function nextFrame(file: Buffer, offset: number, salt: number): { offset: number; gaveUp: boolean } {
  let budget = RESYNC_BUDGET_BYTES;
  for (let next = offset + 1; next + FRAME_HEADER_BYTES < file.length; next++) {
    const length = plausibleLength(file, next);
    if (length === null) continue;
    budget -= length;
    if (budget < 0) return { offset: file.length, gaveUp: true };
    if (intactFrame(file, next, salt) !== null) return { offset: next, gaveUp: false };
  }
  return { offset: file.length, gaveUp: false };
}

export function isSegmentHeader(bytes: Uint8Array): boolean {
  return MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

/** Every recording and every damage of one segment, in file order. Never throws. */
export function* decodeSegment(bytes: Uint8Array, segment: string): Generator<RecordingEntry> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const damage = (offset: number, end: number, what: Pick<Damage, "code" | "message">): Damage => {
    return { kind: "damage", segment, offset, bytes: end - offset, ...what };
  };
  if (file.length < SEGMENT_HEADER_BYTES || !isSegmentHeader(file)) {
    yield damage(0, file.length, {
      code: file.length < SEGMENT_HEADER_BYTES ? "torn_tail" : "bad_header",
      message: "no recording header of a known version; the whole file is skipped",
    });
    return;
  }
  const salt = file.readUInt32LE(MAGIC.length);
  let offset = SEGMENT_HEADER_BYTES;
  while (offset < file.length) {
    const length = intactFrame(file, offset, salt);
    if (length === null) {
      const next = nextFrame(file, offset, salt);
      yield damage(offset, next.offset, describeGap(next, file.length));
      offset = next.offset;
      continue;
    }
    const end = offset + FRAME_HEADER_BYTES + length;
    const decoded = decodePayload(file.subarray(offset + FRAME_HEADER_BYTES, end));
    if (decoded.ok) yield { kind: "recording", segment, recording: decoded.recording };
    else yield damage(offset, end, { code: "bad_payload", message: decoded.message });
    offset = end;
  }
}

function describeGap(next: { offset: number; gaveUp: boolean }, end: number): Pick<Damage, "code" | "message"> {
  if (next.gaveUp) return { code: "bad_frame", message: "checksum mismatch; the rest of the file is skipped" };
  if (next.offset < end) {
    return { code: "bad_frame", message: "checksum mismatch; skipped to the next intact recording" };
  }
  return { code: "torn_tail", message: "the last recording is cut short, damaged or still being written" };
}

function decodePayload(payload: Uint8Array): { ok: true; recording: Recording } | { ok: false; message: string } {
  try {
    const parsed = recordingSchema.safeParse(packr.unpack(payload));
    if (!parsed.success) return { ok: false, message: z.prettifyError(parsed.error).replaceAll("\n", " ") };
    const { exchange } = parsed.data;
    return { ok: true, recording: { ...parsed.data, exchange: { ...exchange, body: new Uint8Array(exchange.body) } } };
  } catch (error) {
    return { ok: false, message: describeError(error) };
  }
}
