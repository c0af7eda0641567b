import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { encodeSimulation, MAX_ENCODED_PRICE, MIN_ENCODED_PRICE } from "../../../src/engines/encode.ts";
import { OperationalError } from "../../../src/errors.ts";
import { pythonFloatText } from "../../../src/subnets/synth/validate-answer.ts";
import { forecastRequest, START_TIME } from "../../support/forecast-inputs.ts";

function encode(paths: number[][]): string {
  const points = paths[0]!.length;
  const request = forecastRequest({ horizonSeconds: 300 * (points - 1), numSimulations: paths.length });
  return Buffer.from(encodeSimulation(request, Float64Array.from(paths.flat())).simulationOutput).toString();
}

/** Text of one price. */
function written(price: number): string {
  return encode([[price, price]])
    .slice(`[${START_TIME},300,[`.length)
    .split(",")[0]!;
}

function assertRejected(price: number): void {
  assert.throws(
    () => written(price),
    (error) => error instanceof OperationalError && error.code === "encode/price_out_of_range",
    `${price}`,
  );
}

/** Half a unit of the last digit that the old rule leaves at this size, and a rounding error. */
function tolerance(price: number): number {
  if (price < 1e-4) return price * 5.001e-4;
  const integerDigits = Math.max(1, Math.floor(Math.log10(price)) + 1);
  return 0.5001 * 10 ** -(8 - integerDigits) + price * 1e-15;
}

function assertValid(price: number): void {
  const text = written(price);
  const value = Number(text);
  assert.ok(value > 0, `${price} became ${text}`);
  assert.ok(Math.abs(value - price) <= tolerance(price), `${price} became ${text}`);
  assert.ok(pythonFloatText(value).replace(".", "").length <= 8, `old rule: ${price} became ${text}`);
  assert.equal(Number(value.toExponential(7)), value, `new rule: ${price} became ${text}`);
  assert.ok(Math.fround(value) > 0 && Number.isFinite(Math.fround(value)));
}

/** Prices spread evenly over the decades. */
const prices = (min: number, max: number): fc.Arbitrary<number> =>
  fc.double({ min: Math.log(min), max: Math.log(max), noNaN: true }).map((log) => Math.min(Math.exp(log), max));

describe("encoded prices", () => {
  it("are written with eight digits, the leading 0 included, and no trailing zeros but one decimal", () => {
    for (const [price, text] of [
      [1, "1.0"],
      [100_000, "100000.0"],
      [1_000_000, "1000000.0"],
      [0.51234567, "0.5123457"],
      [0.5, "0.5"],
      [0.0001, "0.0001"],
      [0.00012345678, "0.0001235"],
      [1.23456789, "1.2345679"],
      [88123.456789, "88123.457"],
      [9.99999996, "10.0"],
      [99999.9996, "100000.0"],
      [0.99999996, "1.0"],
      [999_999.996, "1000000.0"],
      [123_456.78, "123456.78"],
      [9_999_999.9, "9999999.9"],
      [10.05, "10.05"],
      [0.000012345, "0.00001234"],
      [9.9999e-5, "0.0001"],
      [1.2345678e-7, "1.235e-7"],
    ] as const) {
      assert.equal(written(price), text);
    }
  });

  it("are valid under both digit rules over the whole range, and never zero", () => {
    fc.assert(fc.property(prices(MIN_ENCODED_PRICE, MAX_ENCODED_PRICE), assertValid), { seed: 3, numRuns: 20_000 });
  });

  it("are valid around every power of ten", () => {
    for (let exponent = -29; exponent <= 6; exponent++) {
      const power = Number(`1e${exponent}`);
      for (const distance of [0, 1e-16, 1e-12, 4e-9, 5e-9, 6e-9, 4e-8, 5e-8, 6e-8, 1e-7, 1e-4, 5e-4]) {
        assertValid(power * (1 + distance));
        assertValid(power * (1 - distance));
      }
    }
  });

  it("are refused where no valid text exists", () => {
    for (const price of [0, -0, -1, NaN, Infinity, -Infinity, 9_999_999.96, 1e7, 1e8, 1e300, 9e-31, 5e-324]) {
      assertRejected(price);
    }
  });
});

describe("encoded simulation", () => {
  it("is the JSON text of start, increment and paths", () => {
    assert.equal(
      encode([
        [1, 2.5],
        [3, 4],
      ]),
      `[${START_TIME},300,[1.0,2.5],[3.0,4.0]]`,
    );
  });

  it("has the CRC-32 of each path's text and the SHA-256 of the whole", () => {
    const request = forecastRequest({ horizonSeconds: 300, numSimulations: 2 });
    const encoded = encodeSimulation(request, Float64Array.of(1, 2.5, 3, 4));
    assert.deepEqual(Array.from(encoded.pathChecksums), [crc32("[1.0,2.5]"), crc32("[3.0,4.0]")]);
    assert.equal(encoded.digest, createHash("sha256").update(encoded.simulationOutput).digest("hex"));
  });

  it("is refused when the number of prices is not the grid's", () => {
    assert.throws(() => encodeSimulation(forecastRequest({ numSimulations: 2 }), new Float64Array(10)), {
      code: "encode/shape",
    });
  });

  it("does not change when a larger answer used the buffer before", () => {
    const small = encode([[1, 2.5]]);
    encode([Array.from({ length: 1000 }, () => 88123.456)]);
    assert.equal(encode([[1, 2.5]]), small);
  });
});

/** The subnet's rule per point since July 2026, and the one before, in Python itself. */
const PYTHON_CHECK = `
import json, math, struct, sys
answer = json.load(sys.stdin)
bad = []
for price in (p for path in answer[2:] for p in path):
    if isinstance(price, bool) or not isinstance(price, (int, float)): bad.append(("type", price)); continue
    value = float(price)
    if not math.isfinite(value) or value <= 0: bad.append(("finite", price)); continue
    if struct.unpack("<f", struct.pack("<f", value))[0] == 0.0: bad.append(("float32", price))
    if float(f"{value:.7e}") != value: bad.append(("new digits", price))
    if len(str(price).replace(".", "")) > 8: bad.append(("old digits", price))
    if len(str(value).replace(".", "")) > 8: bad.append(("old digits as float", price))
print(json.dumps({"start": answer[0], "increment": answer[1], "int": type(answer[0]) is int, "paths": len(answer) - 2, "bad": bad[:5]}))
`;

describe("encoded simulation in Python", () => {
  const hasPython = spawnSync("python3", ["--version"]).status === 0;

  it("passes the subnet's checks on 60,000 prices", { skip: hasPython ? false : "python3 is not installed" }, () => {
    const sample = fc.sample(prices(1e-4, 1e6), { seed: 5, numRuns: 40_000 });
    const extremes = fc.sample(prices(MIN_ENCODED_PRICE, MAX_ENCODED_PRICE), { seed: 6, numRuns: 20_000 });
    const all = [...sample, ...extremes];
    const paths = Array.from({ length: 60 }, (_, i) => all.slice(i * 1000, (i + 1) * 1000));
    const { stdout, stderr } = spawnSync("python3", ["-c", PYTHON_CHECK], { input: encode(paths), encoding: "utf8" });
    assert.equal(stderr, "");
    assert.deepEqual(JSON.parse(stdout), { start: START_TIME, increment: 300, int: true, paths: 60, bad: [] });
  });
});
