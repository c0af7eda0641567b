import { ASSETS, type AssetClass, type AssetSymbol } from "../../market/assets.ts";
import type { Candle } from "../../market/candle.ts";
import { unixSeconds } from "../../units.ts";

/**
 * A made-up market that looks like one. Every number is a function of (seed, asset, time) by hashing, so any minute can
 * be asked for in any order, from any process, and is the same.
 *
 * Log level at the start of day d: X_d = Σ_j φ^j ε_{d-1-j}, stationary, so the price stays around its reference level.
 * Within a day the minute returns r_i = sqrt(v_i) z_i, z Student-t(4) with unit variance, are bridged in business time to
 * the day's change: r_i += (X_{d+1} - X_d - Σ r) v_i / Σ v. The variances v_i are the day's variance (slow noise ×
 * weekend) spread by intraday season × noise at 4 h and 30 min, which gives clustering. The extremes of a minute are those
 * of a Brownian bridge from its open to its close: max = (r + sqrt(r² - 2 v ln U)) / 2.
 */
const MINUTES_PER_DAY = 1440;
const COLUMNS = 5;
/** A shock to the level halves in a month; the sum is cut off where its weight is below 0.6 %. */
const LEVEL_DECAY = 0.98;
const LEVEL_DAYS = 256;
const CACHED_DAYS = 8;
/** Own numbering of the random streams of one asset. */
const STREAM = { dayShock: 1, dayNoise: 2, weekNoise: 3, hoursNoise: 4, minutesNoise: 5, minutes: 6 } as const;

/** Standard deviation outside the busy hours and at weekends, as a share of the usual; traded notional per minute, USD. */
const CHARACTER: Readonly<Record<AssetClass, { busy: number; quiet: number; weekend: number; notional: number }>> = {
  crypto: { busy: 1.35, quiet: 0.9, weekend: 0.7, notional: 1_500_000 },
  equity: { busy: 1.7, quiet: 0.6, weekend: 0.3, notional: 60_000 },
  commodity: { busy: 1.5, quiet: 0.8, weekend: 0.3, notional: 80_000 },
};
/** 13:30 to 20:00 UTC, the US session in summer time; close enough for a made-up market. */
const BUSY_MINUTES = { from: 810, to: 1200 };

/** FNV-1a, 32 bit. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** MurmurHash3's finaliser over two words. */
function mix(left: number, right: number): number {
  let hash = Math.imul(left ^ Math.imul(right, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Uniform in (0, 1). */
function unit(hash: number): number {
  return (hash + 0.5) / 4294967296;
}

/** mulberry32. */
function generatorOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return unit((word ^ (word >>> 14)) >>> 0);
  };
}

function gaussian(first: number, second: number): number {
  return Math.sqrt(-2 * Math.log(first)) * Math.cos(2 * Math.PI * second);
}

export class CandleGenerator {
  readonly #asset: AssetSymbol;
  readonly #key: number;
  readonly #scale: number;
  readonly #days = new Map<number, Float64Array>();

  constructor(options: { seed: number; asset: AssetSymbol }) {
    this.#asset = options.asset;
    this.#key = hashText(`${options.seed}:${options.asset}`);
    // Seven significant digits at the reference level.
    this.#scale = 10 ** (6 - Math.floor(Math.log10(ASSETS[options.asset].referencePrice)));
  }

  /** Every minute bar that opens in `[from, to)`, unix seconds. */
  range(from: number, to: number): Candle[] {
    const candles: Candle[] = [];
    for (let minute = Math.ceil(from / 60); minute * 60 < to; minute += 1) {
      const day = Math.floor(minute / MINUTES_PER_DAY);
      const columns = this.#day(day);
      const at = (minute - day * MINUTES_PER_DAY) * COLUMNS;
      candles.push({
        openTime: unixSeconds(minute * 60),
        open: columns[at]!,
        high: columns[at + 1]!,
        low: columns[at + 2]!,
        close: columns[at + 3]!,
        volume: columns[at + 4]!,
      });
    }
    return candles;
  }

  #day(day: number): Float64Array {
    const known = this.#days.get(day);
    if (known) return known;
    const columns = this.#generateDay(day);
    this.#days.set(day, columns);
    // Maps keep insertion order: the first key is the oldest.
    if (this.#days.size > CACHED_DAYS) this.#days.delete(this.#days.keys().next().value!);
    return columns;
  }

  #normal(stream: number, index: number): number {
    const hash = mix(mix(this.#key, stream), index);
    return gaussian(unit(hash), unit(mix(hash, 1)));
  }

  /** Unit-variance noise with memory of about one period: normals at knots, joined on a circle so the variance is even. */
  #noise(stream: number, position: number): number {
    const knot = Math.floor(position);
    const angle = ((position - knot) * Math.PI) / 2;
    return Math.cos(angle) * this.#normal(stream, knot) + Math.sin(angle) * this.#normal(stream, knot + 1);
  }

  #dayVariance(day: number): number {
    const { referenceSigmaPerHour, assetClass } = ASSETS[this.#asset];
    // 1970-01-01 was a Thursday.
    const isWeekend = ((((day + 4) % 7) + 7) % 7) % 6 === 0;
    const noise = 0.5 * this.#noise(STREAM.weekNoise, day / 6) + 0.35 * this.#normal(STREAM.dayNoise, day);
    const usual = 24 * referenceSigmaPerHour ** 2 * Math.exp(noise - (0.5 ** 2 + 0.35 ** 2) / 2);
    return isWeekend ? usual * CHARACTER[assetClass].weekend ** 2 : usual;
  }

  /** Log of price / referencePrice at the start of the day. */
  #level(day: number): number {
    let level = 0;
    let weight = 1;
    for (let back = 1; back <= LEVEL_DAYS; back += 1) {
      level += weight * Math.sqrt(this.#dayVariance(day - back)) * this.#normal(STREAM.dayShock, day - back);
      weight *= LEVEL_DECAY;
    }
    return level;
  }

  /** Variance of each minute's log return; sums to the day's variance. */
  #minuteVariances(day: number): Float64Array {
    const { busy, quiet } = CHARACTER[ASSETS[this.#asset].assetClass];
    const variances = new Float64Array(MINUTES_PER_DAY);
    let sum = 0;
    for (let minute = 0; minute < MINUTES_PER_DAY; minute += 1) {
      const time = day * MINUTES_PER_DAY + minute;
      const season = minute >= BUSY_MINUTES.from && minute < BUSY_MINUTES.to ? busy : quiet;
      const noise =
        0.7 * this.#noise(STREAM.hoursNoise, time / 240) + 0.6 * this.#noise(STREAM.minutesNoise, time / 30);
      variances[minute] = season ** 2 * Math.exp(noise);
      sum += variances[minute]!;
    }
    const factor = this.#dayVariance(day) / sum;
    return variances.map((weight) => weight * factor);
  }

  #generateDay(day: number): Float64Array {
    const { referencePrice, assetClass } = ASSETS[this.#asset];
    const start = this.#level(day);
    const change = this.#level(day + 1) - start;
    const variances = this.#minuteVariances(day);
    const uniform = generatorOf(mix(mix(this.#key, STREAM.minutes), day));
    const returns = variances.map((variance) => Math.sqrt(variance) * studentT4(uniform));
    const missing = (change - returns.reduce((sum, value) => sum + value, 0)) / this.#dayVariance(day);
    const typicalVolume = CHARACTER[assetClass].notional / referencePrice;
    const meanVariance = this.#dayVariance(day) / MINUTES_PER_DAY;
    const columns = new Float64Array(MINUTES_PER_DAY * COLUMNS);
    let level = start;
    for (let minute = 0; minute < MINUTES_PER_DAY; minute += 1) {
      const variance = variances[minute]!;
      const move = returns[minute]! + missing * variance;
      const up = (move + Math.sqrt(move ** 2 - 2 * variance * Math.log(uniform()))) / 2;
      const down = (move - Math.sqrt(move ** 2 - 2 * variance * Math.log(uniform()))) / 2;
      // The last close is the next day's first open to the last bit.
      const close = minute === MINUTES_PER_DAY - 1 ? start + change : level + move;
      const activity = Math.sqrt(variance / meanVariance) * (0.4 + Math.abs(move) / Math.sqrt(variance));
      columns.set(
        [
          this.#price(level),
          this.#price(Math.max(level + up, close)),
          this.#price(Math.min(level + down, close)),
          this.#price(close),
          Number((typicalVolume * activity * Math.exp(0.5 * gaussian(uniform(), uniform()))).toPrecision(6)),
        ],
        minute * COLUMNS,
      );
      level = close;
    }
    return columns;
  }

  #price(level: number): number {
    return Math.round(ASSETS[this.#asset].referencePrice * Math.exp(level) * this.#scale) / this.#scale;
  }
}

/** Student's t with four degrees of freedom, scaled to unit variance; chi²(4) = -2 ln(U U'). */
function studentT4(uniform: () => number): number {
  const normal = gaussian(uniform(), uniform());
  const chiSquare = -2 * Math.log(uniform() * uniform());
  return (normal / Math.sqrt(chiSquare / 4)) * Math.SQRT1_2;
}
