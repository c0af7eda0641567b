import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { OperationalError } from "../errors.ts";
import type { ForecastRequest } from "./engine.ts";

export interface EncodedSimulation {
  readonly simulationOutput: Uint8Array<ArrayBuffer>;
  readonly pathChecksums: Uint32Array;
  /** Hex SHA-256 of simulationOutput. */
  readonly digest: string;
}

/** Largest price whose str(float) has 8 digits (the trailing .0 counts): 9999999.9. */
export const MAX_ENCODED_PRICE = 9_999_999.9;
/** Far inside float32 and with a two-digit exponent, which is what the 8 characters of the old rule leave room for. */
export const MIN_ENCODED_PRICE = 1e-30;
/** Below it Python writes an exponent (`1.234e-05`), of whose 8 counted characters four are left for digits. */
const EXPONENT_BELOW = 1e-4;
const EXPONENT_DIGITS = 4;

const POWERS_OF_TEN = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7] as const;
const SCALES = Float64Array.from(POWERS_OF_TEN);
const EIGHT_DIGITS = 1e8;

const ZERO = 0x30;
const DOT = 0x2e;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;

/** ASCII of 0000 to 9999, four bytes each. */
const QUADS = new Uint8Array(40_000);
for (let i = 0; i < 10_000; i++) {
  QUADS[4 * i] = ZERO + Math.floor(i / 1000);
  QUADS[4 * i + 1] = ZERO + (Math.floor(i / 100) % 10);
  QUADS[4 * i + 2] = ZERO + (Math.floor(i / 10) % 10);
  QUADS[4 * i + 3] = ZERO + (i % 10);
}

/** Longest number written: `0.000001234`, 11 bytes, and a comma or bracket. */
const BYTES_PER_PRICE = 12;
/** Two brackets and a comma per path; the two integers at the front. */
const BYTES_PER_PATH = 3;
const BYTES_IN_FRONT = 64;

/** A prompt's text is 3 MB: the thread keeps that much between calls, larger requests bring their own. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;
let kept = new Uint8Array(0);

function scratch(bytes: number): Uint8Array {
  if (bytes <= kept.length) return kept;
  const buffer = new Uint8Array(bytes);
  if (bytes <= MAX_KEPT_BYTES) kept = buffer;
  return buffer;
}

function rejectPrice(price: number): never {
  throw new OperationalError(
    "encode/price_out_of_range",
    `expected prices from ${MIN_ENCODED_PRICE} to ${MAX_ENCODED_PRICE}, was ${price}`,
    { details: { price } },
  );
}

function writeAscii(out: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/**
 * Writes a price with eight digits in all, integer digits (at least one, a leading 0 counts) before decimals, and
 * without trailing zeros but for one decimal. Returns the position behind it.
 *
 * So both of the subnet's digit rules hold: at most 8 digits in Python's str(float), counting a leading 0 and a trailing
 * .0 (until July 2026), and at most 8 significant digits (since).
 */
function writePrice(out: Uint8Array, at: number, price: number): number {
  if (!(price >= EXPONENT_BELOW)) {
    if (!(price >= MIN_ENCODED_PRICE)) rejectPrice(price);
    return writeAscii(out, at, String(Number(price.toPrecision(EXPONENT_DIGITS))));
  }
  let integerDigits = 1;
  while (integerDigits < 8 && price >= SCALES[integerDigits]!) integerDigits++;
  let digits = integerDigits === 8 ? EIGHT_DIGITS : Math.round(price * SCALES[8 - integerDigits]!);
  if (digits >= EIGHT_DIGITS) {
    // Rounding carried into one more integer digit.
    digits = EIGHT_DIGITS / 10;
    integerDigits++;
    if (integerDigits > 7) rejectPrice(price);
  }
  const high = Math.floor(digits / 10_000);
  const low = digits - high * 10_000;
  // Eight digits one place to the right, then the integer digits move left to make room for the point.
  for (let i = 0; i < 4; i++) {
    out[at + 1 + i] = QUADS[4 * high + i]!;
    out[at + 5 + i] = QUADS[4 * low + i]!;
  }
  for (let i = 0; i < integerDigits; i++) out[at + i] = out[at + i + 1]!;
  out[at + integerDigits] = DOT;
  let end = at + 9;
  while (out[end - 1] === ZERO && end - 2 > at + integerDigits) end--;
  return end;
}

/**
 * JSON text of `[start_timestamp, time_increment, path_1, …, path_n]`.
 * `paths`: prices, row-major [path, point], as many as the request asks for. Throws OperationalError
 * `encode/price_out_of_range` on a price that no valid answer may hold (NaN, zero, negative, infinite, too large).
 */
export function encodeSimulation(request: ForecastRequest, paths: Float64Array): EncodedSimulation {
  const points = request.horizonSeconds / request.stepSeconds + 1;
  const { numSimulations } = request;
  if (paths.length !== numSimulations * points) {
    const message = `expected ${numSimulations} paths of ${points} points, was ${paths.length} prices`;
    throw new OperationalError("encode/shape", message);
  }
  const out = scratch(BYTES_IN_FRONT + numSimulations * BYTES_PER_PATH + paths.length * BYTES_PER_PRICE);
  const pathChecksums = new Uint32Array(numSimulations);
  let at = writeAscii(out, 0, `[${request.startTime},${request.stepSeconds}`);
  let price = 0;
  for (let path = 0; path < numSimulations; path++) {
    out[at++] = COMMA;
    const start = at;
    out[at++] = OPEN;
    for (let point = 0; point < points; point++) {
      at = writePrice(out, at, paths[price++]!);
      out[at++] = COMMA;
    }
    out[at - 1] = CLOSE;
    pathChecksums[path] = crc32(out.subarray(start, at));
  }
  out[at++] = CLOSE;
  const simulationOutput = out.slice(0, at);
  const digest = createHash("sha256").update(simulationOutput).digest("hex");
  return { simulationOutput, pathChecksums, digest };
}
