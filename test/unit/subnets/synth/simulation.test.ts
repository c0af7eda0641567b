import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseSimulation } from "../../../../src/subnets/synth/simulation.ts";
import { parseStartTime } from "../../../../src/subnets/synth/start-time.ts";
import { ASSET_SYMBOLS } from "../../../../src/market/assets.ts";
import { hotkey } from "../../../../src/units.ts";

const MINER = hotkey("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const PROMPT = {
  asset: "BTC",
  start_time: "2026-10-01T12:05:00+00:00",
  time_increment: 300,
  time_length: 86_400,
  num_simulations: 1000,
};
const NOON = Date.parse("2026-10-01T12:05:00Z") / 1000;

function codeOf(input: unknown): string {
  const parsed = parseSimulation(input, MINER);
  return parsed.ok ? "ok" : parsed.code;
}

describe("start_time", () => {
  it("reads what Python writes: Z, offsets, none, fractions, a space", () => {
    for (const [text, expected] of [
      ["2026-10-01T12:05:00Z", NOON],
      ["2026-10-01T12:05:00z", NOON],
      ["2026-10-01T12:05:00+00:00", NOON],
      ["2026-10-01T12:05:00-00:00", NOON],
      ["2026-10-01T12:05:00", NOON],
      ["2026-10-01 12:05:00", NOON],
      ["2026-10-01T12:05", NOON],
      ["2026-10-01T12:05:00.000001Z", NOON],
      ["2026-10-01T12:05:00.999999+00:00", NOON],
      [`2026-10-01T12:05:00.${"9".repeat(40)}Z`, NOON],
      ["2026-10-01T12:05:00.5", NOON],
      ["2026-10-01T14:05:00+02:00", NOON],
      ["2026-10-01T17:35:00+0530", NOON],
      ["2026-10-01T06:35:00-05:30", NOON],
      ["2026-10-01T12:05:07+00:00:07", NOON],
      ["2026-10-01T12:05:00.25+00:00:00.5", NOON - 1],
      ["2026-10-02T02:05:00+14:00", NOON],
      ["2026-10-01", NOON - 12 * 3600 - 300],
      ["2024-02-29T00:00:00Z", Date.parse("2024-02-29T00:00:00Z") / 1000],
    ] as const) {
      assert.equal(parseStartTime(text), expected, text);
    }
  });

  it("refuses what is no instant of 2000 to 2100", () => {
    for (const text of [
      ...["", "now", "1790856300", "2026-13-01T00:00:00Z", "2026-04-31T00:00:00Z", "2026-02-29T00:00:00Z"],
      ...["2026-10-01T24:00:00Z", "2026-10-01T12:60:00Z", "2026-10-01T12:05:60Z", "2026-10-01T12:05:00+24:00"],
      ...["2026-10-01T12:05:00+1", "1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "0000-00-00T00:00:00Z"],
      ...["2026-10-01T12:05:00Z ", "+2026-10-01T12:05:00Z", "2026-10-01Z", `2026-10-01T12:05:00.${"1".repeat(200)}`],
      "٢٠٢٦-10-01T12:05:00Z",
    ]) {
      assert.equal(parseStartTime(text), null, text);
    }
  });

  it("never throws, and gives whole seconds or null", () => {
    const pieces = fc.constantFrom("2026", "-", "10", "01", "T", " ", ":", "12", "+", "Z", ".", "5", "99", "é");
    const texts = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 20 }).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const seconds = parseStartTime(text);
        assert.ok(seconds === null || Number.isInteger(seconds));
      }),
      { seed: 1, numRuns: 2000 },
    );
  });

  const hasPython = spawnSync("python3", ["--version"]).status === 0;
  it("agrees with Python's isoformat and timestamp", { skip: hasPython ? false : "python3 is not installed" }, () => {
    const script = `
import json, random
from datetime import datetime, timedelta, timezone
random.seed(1)
out = []
for _ in range(2000):
    offset = random.choice([None, 0, random.randint(-86399, 86399)])
    zone = timezone.utc if offset is None else timezone(timedelta(seconds=offset))
    when = datetime(2020, 1, 1, tzinfo=zone) + timedelta(seconds=random.randint(0, 10**9), microseconds=random.choice([0, random.randint(0, 999999)]))
    text = (when.replace(tzinfo=None) if offset is None else when).isoformat(sep=random.choice("T "))
    out.append([text, int(when.timestamp())])
print(json.dumps(out))`;
    const { stdout } = spawnSync("python3", ["-c", script], { encoding: "utf8" });
    const cases = JSON.parse(stdout) as [string, number][];
    assert.equal(cases.length, 2000);
    for (const [text, expected] of cases) assert.equal(parseStartTime(text), expected, text);
  });
});

describe("simulation_input", () => {
  it("becomes a request, for every asset, and further fields do no harm", () => {
    for (const asset of ASSET_SYMBOLS) {
      const parsed = parseSimulation({ ...PROMPT, asset, new_field: { a: 1 } }, MINER);
      assert.ok(parsed.ok);
      const { seed, ...request } = parsed.request;
      assert.match(seed, /^[0-9a-f]{64}$/);
      assert.deepEqual(request, {
        asset,
        startTime: NOON,
        horizonSeconds: 86_400,
        stepSeconds: 300,
        numSimulations: 1000,
      });
    }
  });

  it("has one seed per request and miner, however the start time is spelt", () => {
    const seed = (changes: object, miner = MINER): string => {
      const parsed = parseSimulation({ ...PROMPT, ...changes }, miner);
      assert.ok(parsed.ok);
      return parsed.request.seed;
    };
    assert.equal(seed({}), seed({ start_time: "2026-10-01T14:05:00.25+02:00" }));
    const others = [
      seed({ asset: "ETH" }),
      seed({ start_time: "2026-10-01T12:06:00Z" }),
      seed({ time_increment: 60 }),
      seed({ time_length: 3600 }),
      seed({ num_simulations: 999 }),
      seed({}, hotkey("5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty")),
    ];
    assert.equal(new Set([seed({}), ...others]).size, 7);
  });

  it("answers sane grids that no competition asks for", () => {
    for (const changes of [
      { num_simulations: 1 },
      { num_simulations: 100 },
      { time_increment: 1, time_length: 10 },
      { time_increment: 86_400 },
      { time_increment: 3600, time_length: 30 * 86_400 },
      { num_simulations: 10_000, time_increment: 300 },
    ]) {
      assert.equal(codeOf({ ...PROMPT, ...changes }), "ok", JSON.stringify(changes));
    }
  });

  it("refuses everything else with a code", () => {
    const cases: [unknown, string][] = [
      [undefined, "simulation/bad_input"],
      [null, "simulation/bad_input"],
      ["BTC", "simulation/bad_input"],
      [[], "simulation/bad_input"],
      [{}, "simulation/unknown_asset"],
      ...(["btc", "DOGE", "", "__proto__", "constructor", 1, null, ["BTC"]] as const).map(
        (asset): [unknown, string] => [{ ...PROMPT, asset }, "simulation/unknown_asset"],
      ),
      ...([undefined, null, 1_790_000_000, "", "tomorrow", {}] as const).map((start_time): [unknown, string] => [
        { ...PROMPT, start_time },
        "simulation/bad_start_time",
      ]),
      ...([0, -1, 1.5, "300", true, null, 1e300, Infinity, NaN, undefined, [300], {}] as const).flatMap(
        (value): [unknown, string][] => [
          [{ ...PROMPT, time_increment: value }, "simulation/bad_input"],
          [{ ...PROMPT, time_length: value }, "simulation/bad_input"],
          [{ ...PROMPT, num_simulations: value }, "simulation/bad_input"],
        ],
      ),
      [{ ...PROMPT, num_simulations: 10_001 }, "simulation/bad_input"],
      [{ ...PROMPT, time_length: 31 * 86_400 }, "simulation/bad_input"],
      [{ ...PROMPT, time_increment: 7 }, "simulation/uneven_grid"],
      [{ ...PROMPT, time_increment: 300, time_length: 299 }, "simulation/uneven_grid"],
      [{ ...PROMPT, time_increment: 1 }, "simulation/too_large"],
    ];
    for (const [input, code] of cases) assert.equal(codeOf(input), code, JSON.stringify(input));
  });

  it("says what was expected, what it was, for every wrong field at once, in bounded words", () => {
    const parsed = parseSimulation(
      { asset: "x".repeat(100_000), start_time: 5, time_increment: 1e300, time_length: true, num_simulations: 0 },
      MINER,
    );
    assert.ok(!parsed.ok);
    for (const symbol of ASSET_SYMBOLS) assert.ok(parsed.message.includes(symbol));
    for (const field of Object.keys(PROMPT)) assert.ok(parsed.message.includes(`simulation_input.${field}: expected`));
    assert.ok(parsed.message.length < 1500);
  });

  it("never throws, deep structures included", () => {
    const deep = JSON.parse("[".repeat(100_000) + "]".repeat(100_000)) as unknown;
    for (const key of Object.keys(PROMPT)) assert.notEqual(codeOf({ ...PROMPT, [key]: deep }), "ok");
    fc.assert(
      fc.property(fc.record({ ...PROMPT_MODEL }, { requiredKeys: [] }), (input) => {
        parseSimulation(input, MINER);
      }),
      { seed: 2, numRuns: 1000 },
    );
  });
});

const PROMPT_MODEL = {
  asset: fc.anything(),
  start_time: fc.anything(),
  time_increment: fc.oneof(fc.anything(), fc.integer()),
  time_length: fc.oneof(fc.anything(), fc.integer()),
  num_simulations: fc.oneof(fc.anything(), fc.integer()),
};
