import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { unpack } from "msgpackr";
import { unixSeconds } from "../../../src/units.ts";
import { decodeState, encodeState } from "../../../src/volatility/state-codec.ts";
import type { CandleColumns, SeasonalityStats, VolatilityState } from "../../../src/volatility/state.ts";
import { AUGUST, scriptedState } from "../../support/volatility-fixture.ts";

const state = scriptedState("ETH", 30);
const bytes = encodeState(state);

function refused(changed: unknown): string {
  const decoded = decodeState(encodeState(changed as VolatilityState));
  assert.equal(decoded.ok, false);
  return decoded.reason;
}

function withColumn(name: keyof CandleColumns, edit: (column: Float64Array) => Float64Array): VolatilityState {
  return { ...state, candles: { ...state.candles, [name]: edit(state.candles[name].slice()) } };
}

function withSeasonality(changes: Partial<SeasonalityStats>): VolatilityState {
  return { ...state, seasonality: { ...state.seasonality, ...changes } };
}

function withCell(name: keyof CandleColumns, index: number, value: number): VolatilityState {
  return withColumn(name, (column) => column.with(index, value));
}

describe("encodeState and decodeState", () => {
  it("return the same state", () => {
    assert.deepStrictEqual(decodeState(bytes), { ok: true, state });
    // Off an 8-byte boundary too: columns must not need alignment.
    const shifted = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
    assert.deepStrictEqual(decodeState(shifted), { ok: true, state });
  });

  it("write what any MessagePack library reads, with the schema version inside", () => {
    const plain = unpack(bytes) as { schema: number; asset: string; sha256: Buffer; candles: { close: Buffer } };
    assert.equal(plain.schema, 2);
    assert.equal(plain.asset, "ETH");
    assert.equal(plain.candles.close.readDoubleLE(8), state.candles.close[1]);
    assert.deepEqual(plain.sha256, createHash("sha256").update(bytes.subarray(0, -32)).digest());
  });

  it("refuse every truncation and every flipped bit", () => {
    for (let length = 0; length < bytes.length; length += 1)
      assert.equal(decodeState(bytes.subarray(0, length)).ok, false);
    for (let index = 0; index < bytes.length; index += 1) {
      const flipped = Buffer.from(bytes);
      flipped[index]! ^= 1 << (index % 8);
      assert.equal(decodeState(flipped).ok, false, `bit ${index % 8} of byte ${index}`);
    }
    assert.equal(decodeState(Buffer.concat([bytes, Buffer.alloc(1)])).ok, false);
    assert.equal(decodeState(Buffer.alloc(bytes.length)).ok, false);
  });

  it("never throw, whatever the bytes, also with a checksum that fits", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (content, sign) => {
        const digest = createHash("sha256").update(content).digest();
        assert.equal(decodeState(sign ? Buffer.concat([content, digest]) : content).ok, false);
      }),
      { seed: 3, numRuns: 500 },
    );
  });

  it("refuse a state that breaks an invariant, though its checksum fits", () => {
    const broken: [unknown, RegExp][] = [
      [{ ...state, schema: 1 }, /schema/],
      [{ ...state, schema: 3 }, /schema/],
      [{ ...state, seasonality: {} }, /seasonality/],
      [withSeasonality({ weekSum: new Float64Array(2015) }), /seasonality\.weekSum/],
      [withSeasonality({ weekWeight: new Float64Array(2017) }), /seasonality\.weekWeight/],
      [withSeasonality({ minuteSum: new Float64Array(60).fill(-1) }), /seasonality\.minuteSum/],
      [withSeasonality({ minuteWeight: new Float64Array(60).with(59, Infinity) }), /seasonality\.minuteWeight/],
      [withSeasonality({ weekSum: new Float64Array(2016).with(3, NaN) }), /seasonality\.weekSum/],
      [withSeasonality({ levelMinute: { value: 1, mass: 1.1 } }), /seasonality\.levelMinute/],
      [withSeasonality({ until: -1 }), /seasonality\.until/],
      [{ ...state, asset: "DOGE" }, /asset/],
      [{ ...state, extra: 1 }, /extra/],
      [{ ...state, sigma2Minute: { value: NaN, mass: 0.5 } }, /sigma2Minute/],
      [{ ...state, sigma2Minute: { value: -1, mass: 0.5 } }, /sigma2Minute/],
      [{ ...state, sigma2FiveMinute: { value: 1, mass: 1.1 } }, /sigma2FiveMinute/],
      [{ ...state, sigma2FiveMinute: { value: Infinity, mass: 1 } }, /sigma2FiveMinute/],
      [{ ...state, warmFrom: unixSeconds(AUGUST + 60) }, /warmFrom/],
      [{ ...state, candleCount: 29 }, /more candles/],
      [{ ...state, lastFiveMinute: { openTime: AUGUST + 60, close: 1 } }, /lastFiveMinute/],
      [withColumn("close", (column) => column.subarray(1)), /length/],
      [withCell("openTime", 5, state.candles.openTime[4]!), /does not open after/],
      [withCell("openTime", 5, state.candles.openTime[5]! + 1), /off the minute/],
      [withCell("openTime", 5, NaN), /off the minute/],
      [withCell("close", 5, NaN), /no valid bar/],
      [withCell("close", 5, Infinity), /no valid bar/],
      [withCell("low", 5, 0), /no valid bar/],
      [withCell("low", 5, -1), /no valid bar/],
      [withCell("high", 5, state.candles.low[5]! * 0.9), /no valid bar/],
      [withCell("volume", 5, -1), /volume/],
    ];
    for (const [changed, reason] of broken) assert.match(refused(changed), reason);
    const empty = new Float64Array();
    const none = { openTime: empty, open: empty, high: empty, low: empty, close: empty, volume: empty };
    refused({ ...state, candles: none });
  });

  it("keep an unknown volume unknown", () => {
    const decoded = decodeState(encodeState(withCell("volume", 3, NaN)));
    assert.ok(decoded.ok);
    assert.ok(Number.isNaN(decoded.state.candles.volume[3]));
  });
});
