import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CORRECT, pythonFloatText, validateAnswer } from "../../../../src/subnets/synth/validate-answer.ts";
import { forecastRequest, START_TIME } from "../../../support/forecast-inputs.ts";

const REQUEST = forecastRequest({ horizonSeconds: 600, numSimulations: 2 });
const GOOD = [START_TIME, 300, [1, 2.5, 3], [1, 2, 0.5123456]];

function withPrice(price: unknown): unknown {
  return [START_TIME, 300, [1, 2, price], [1, 2, 3]];
}

describe("the validator's check", () => {
  it("accepts a correct answer", () => {
    assert.equal(validateAnswer(GOOD, REQUEST), CORRECT);
  });

  it("names what is wrong with the form, in the validator's words", () => {
    for (const [output, message] of [
      [null, "Response is empty"],
      [undefined, "Response is empty"],
      [[], "Response is empty"],
      [{}, "Response format is incorrect"],
      [["1", 300], "Start time format is incorrect"],
      [[true, 300], "Start time format is incorrect"],
      [[START_TIME + 0.5, 300], "Start time format is incorrect"],
      [[START_TIME], "Time increment format is incorrect"],
      [[START_TIME + 1, 300, [1, 2, 3], [1, 2, 3]], "Start time timestamp is incorrect"],
      [[START_TIME, 60, [1, 2, 3], [1, 2, 3]], "Time increment is incorrect"],
      [[START_TIME, 300, [1, 2, 3]], "Number of paths is incorrect: expected 2, got 1"],
      [[START_TIME, 300, [1, 2, 3], 5], "Path format is incorrect"],
      [[START_TIME, 300, [1, 2, 3], [1, 2]], "Number of time points is incorrect: expected 3, got 2"],
    ] as const) {
      assert.ok(validateAnswer(output, REQUEST).startsWith(message), `${message}: ${validateAnswer(output, REQUEST)}`);
    }
  });

  it("refuses every kind of bad price", () => {
    for (const price of [true, "1", null, [1], NaN, Infinity, 0, -1, 1e39, 1e-50, 1.23456789, 123456.789, 0.51234567]) {
      assert.notEqual(validateAnswer(withPrice(price), REQUEST), CORRECT, String(price));
    }
    // Eight digits, but the old rule counts the leading 0, the trailing .0 and the exponent.
    assert.match(validateAnswer(withPrice(0.51234567), REQUEST), /old rule/);
    assert.match(validateAnswer(withPrice(12345678), REQUEST), /old rule/);
    assert.match(validateAnswer(withPrice(1.2345e-5), REQUEST), /old rule/);
    assert.match(validateAnswer(withPrice(1.23456789), REQUEST), /too many digits 1\.23456789$/);
  });
});

describe("Python's str of a float", () => {
  it("is what CPython writes", () => {
    for (const [value, text] of [
      [1, "1.0"],
      [0, "0.0"],
      [0.0001, "0.0001"],
      [0.00001, "1e-05"],
      [1.5e-7, "1.5e-07"],
      [1e15, "1000000000000000.0"],
      [1e16, "1e+16"],
      [1.5e300, "1.5e+300"],
      [-2.5, "-2.5"],
      [9999999.9, "9999999.9"],
      [0.1 + 0.2, "0.30000000000000004"],
    ] as const) {
      assert.equal(pythonFloatText(value), text);
    }
  });

  const hasPython = spawnSync("python3", ["--version"]).status === 0;
  it("agrees with python3 on 5,000 doubles", { skip: hasPython ? false : "python3 is not installed" }, () => {
    const values = fc.sample(fc.double({ noNaN: true, noDefaultInfinity: true }), { seed: 4, numRuns: 5000 });
    const script = "import json, sys\nprint(json.dumps([str(float(v)) for v in json.load(sys.stdin)]))";
    // JSON has no negative zero that survives JSON.stringify.
    const positive = values.filter((value) => value !== 0);
    const { stdout } = spawnSync("python3", ["-c", script], { input: JSON.stringify(positive), encoding: "utf8" });
    assert.deepEqual(positive.map(pythonFloatText), JSON.parse(stdout));
  });
});
