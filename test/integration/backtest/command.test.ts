import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, after, describe, it, type TestContext } from "node:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import type { Command } from "../../../src/commands/command.ts";
import { backtestCommand } from "../../../src/commands/backtest.ts";
import { crpsTestCommand } from "../../../src/commands/crps-test.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { UsageError } from "../../../src/errors.ts";
import { goldenSection } from "../../../src/evaluation/backtest/oracle.ts";
import { planPrompts } from "../../../src/evaluation/backtest/plan.ts";
import { rollingPrompts } from "../../../src/evaluation/backtest/prompts.ts";
import { backtestReportSchema, type BacktestReport } from "../../../src/evaluation/backtest/report.ts";
import { EXIT } from "../../../src/errors.ts";
import { runBacktest } from "../../../src/evaluation/backtest/run.ts";
import { createLogger } from "../../../src/log.ts";
import { backtestSettings, generatedMinutes, MONDAY, writeCandles } from "../../support/candle-folder.ts";
import { writeCalibration } from "../../support/ewma-calibration.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;
let data = "";
let calibration = "";
before(async () => {
  data = await mkdtemp(join(tmpdir(), "backtest-"));
  calibration = await writeCalibration(data);
  for (const asset of ["BTC", "ETH"] as const) {
    const candles = generatedMinutes(asset, MONDAY, MONDAY + 10 * DAY);
    await writeCandles(data, { asset, resolution: "1m", candles });
  }
});
after(async () => {
  await rm(data, { recursive: true });
});

async function run(
  command: Command,
  args: readonly string[],
  signal = new AbortController().signal,
): Promise<{ code: number; text: string }> {
  const { options, positionals } = command;
  const flags = [...args, "--engines.calibration", calibration];
  const loaded = loadConfig({ args: flags, env: {}, cwd: "/", options, positionals, configFiles: [] });
  const lines: string[] = [];
  const code = await command.run({
    ...loaded,
    logger: createLogger("warn"),
    signal,
    print: (text) => lines.push(text),
  });
  return { code, text: lines.join("\n") };
}

async function report(test: TestContext, args: readonly string[], signal?: AbortSignal): Promise<BacktestReport> {
  const json = join(await tempFolder(test), "deep", "report.json");
  await run(backtestCommand, ["--data", data, "--paths", "40", "--json", json, ...args], signal);
  return backtestReportSchema.parse(JSON.parse(await readFile(json, "utf8")));
}

const SPAN = ["--from", "2025-09-03", "--to", "2025-09-10", "--stride", "7h"];

describe("backtest", () => {
  it("reports every prompt by every engine and baseline, and aggregates that follow from them", async (test) => {
    const found = await report(test, [...SPAN, "--engines", "ewma,patchtst"]);
    const engines = ["ewma", "patchtst", "reference", "trailing3d", "oracle"];
    const prompts = Math.floor((6 * 24) / 7) + 1;
    assert.equal(found.metadata.partial, false);
    assert.ok(found.metadata.commandLine.includes(`--engines.calibration ${calibration} `), found.metadata.commandLine);
    assert.deepEqual(found.metadata.prompts, { planned: 2 * prompts, scored: 2 * prompts, skipped: [] });
    assert.equal(found.prompts.length, 2 * prompts * engines.length);
    for (const asset of ["BTC", "ETH"] as const) {
      const own = found.aggregates.filter((each) => each.asset === asset);
      assert.deepEqual(
        own.map(({ engine }) => engine),
        engines,
      );
      for (const { engine, meanScore, comparisons, calibration, splits } of own) {
        const totals = found.prompts.filter((p) => p.asset === asset && p.engine === engine).map(({ total }) => total);
        const mean = totals.reduce((a, b) => a + b, 0) / totals.length;
        assert.ok(Math.abs(meanScore! / mean - 1) < 1e-12);
        for (const { baseline, ratio, ratioLow, ratioHigh } of comparisons) {
          assert.ok(Math.abs(ratio! / (mean / own.find((o) => o.engine === baseline)!.meanScore!) - 1) < 1e-12);
          assert.ok(ratioLow! <= ratio! && ratio! <= ratioHigh!);
        }
        assert.equal(calibration.change.observations, prompts * (288 + 48 + 8));
        assert.equal(calibration.absolute.observations, prompts);
        assert.equal(
          calibration.change.pitHistogram.reduce((a, b) => a + b, 0),
          calibration.change.observations,
        );
        const size = (name: string): number => splits.find(({ split }) => split === name)!.prompts;
        assert.equal(size("weekday") + size("weekend"), prompts);
        assert.equal(size("volatility_low") + size("volatility_middle") + size("volatility_high"), prompts);
        const onWeekends = found.prompts.filter(
          (p) => p.asset === asset && p.engine === engine && [0, 6].includes(new Date(p.start).getUTCDay()),
        );
        const weekend = splits.find(({ split }) => split === "weekend")!;
        const sum = onWeekends.reduce((total, prompt) => total + prompt.total, 0);
        assert.ok(Math.abs((weekend.meanScore! * onWeekends.length) / sum - 1) < 1e-12);
        assert.ok(onWeekends.length > 0);
      }
      const { meanScore } = own[0]!;
      assert.equal(own[1]!.meanScore, meanScore);
      assert.deepEqual(Object.values(own[1]!.handOvers), [prompts]);
      // In sample no constant does better than the oracle, but for the smaller ensemble of its search.
      assert.ok(own[4]!.meanScore! <= own[2]!.meanScore! * 1.001);
      assert.ok(own[4]!.sigmaPerHour! > 0);
    }
    const total = found.totals.find(({ engine }) => engine === "ewma")!;
    const [btc, eth] = found.aggregates.filter(({ engine }) => engine === "ewma");
    const eths = 0.7064366394033871;
    const weighted = (btc!.meanScore! + eths * eth!.meanScore!) / (1 + eths);
    assert.ok(Math.abs(total.weightedScore! / weighted - 1) < 1e-12);
    assert.equal(found.examples.length, 2);
    assert.ok(
      found.examples.every(({ total: score, asset, start }) =>
        found.prompts.some(
          (p) =>
            p.engine === "ewma" && p.asset === asset && p.total === score && Date.parse(p.start) === Date.parse(start),
        ),
      ),
    );
  });

  it("gives the same scores whatever the number of workers, and others with another seed", async (test) => {
    const args = [...SPAN, "--assets", "BTC"];
    const one = await report(test, [...args, "--workers", "1"]);
    const three = await report(test, [...args, "--workers", "3"]);
    assert.deepEqual(three.prompts, one.prompts);
    assert.deepEqual(three.aggregates, one.aggregates);
    const other = await report(test, [...args, "--seed", "2"]);
    assert.notDeepEqual(other.prompts, one.prompts);
  });

  it("takes prompts from a file, of both horizons, and counts bad ones", async (test) => {
    const file = join(await tempFolder(test), "prompts.csv");
    const rows = [
      "BTC,2025-09-05T00:00:00Z,3600,60",
      "ETH,2025-09-05T00:00:00Z,86400,300",
      "DOGE,2025-09-05T00:00:00Z,3600,60",
    ];
    await writeFile(file, ["asset,start_time,time_length,time_increment", ...rows, ""].join("\n"));
    const found = await report(test, ["--prompts", file]);
    assert.deepEqual(
      found.prompts
        .filter(({ engine }) => engine === "ewma")
        .map(({ asset, horizon, start }) => [asset, horizon, start]),
      [
        ["BTC", "1h", "2025-09-05T00:00:00Z"],
        ["ETH", "24h", "2025-09-05T00:00:00Z"],
      ],
    );
    assert.deepEqual(found.metadata.prompts.skipped, [
      { asset: "DOGE", horizon: "?", reason: "bad_prompt", prompts: 1 },
    ]);
    const hour = found.prompts.find(({ engine }) => engine === "ewma")!;
    assert.ok(hour.volatilityCrps > 0 && Math.abs(hour.total - hour.priceCrps - hour.volatilityCrps) < 1e-9);
  });

  it("interrupted, leaves a partial report of what was scored", async (test) => {
    const aborted = AbortSignal.abort(new Error("stop"));
    const found = await report(test, SPAN, aborted);
    assert.equal(found.metadata.partial, true);
    assert.equal(found.metadata.prompts.scored, 0);
    const { code, text } = await run(backtestCommand, ["--data", data, "--paths", "40", ...SPAN], aborted);
    assert.equal(code, EXIT.INTERRUPTED);
    assert.match(text, /PARTIAL/);
  });

  it("interrupted half-way, keeps the finished chunks", async () => {
    const controller = new AbortController();
    const prompts = rollingPrompts(["BTC"], {
      horizon: "24h",
      from: MONDAY + 2 * DAY,
      to: MONDAY + 9 * DAY,
      strideSeconds: 3600,
    });
    const { chunks } = planPrompts(prompts, { dirs: [data], minObserved: 0.5 });
    const { results, oracles, partial } = await runBacktest({
      chunks,
      contestants: ["ewma"],
      withOracle: true,
      settings: backtestSettings(),
      workers: 1,
      signal: controller.signal,
      onProgress: () => {
        controller.abort();
      },
    });
    assert.equal(partial, true);
    assert.equal(results.length, chunks[0]!.starts.length);
    assert.deepEqual(oracles, []);
  });

  it("says all that is wrong with its flags at once", async () => {
    const args = ["--data", "/nowhere", "--assets", "DOGE", "--engines", "magic", "--stride", "soon", "--from", "x"];
    await assert.rejects(run(backtestCommand, args), (error) => {
      assert.ok(error instanceof UsageError);
      assert.deepEqual(
        error.problems.map((problem) => problem.split(":")[0]),
        ["--data", "--engines", "--stride", "--assets", "--from"],
      );
      return true;
    });
  });
});

describe("crps-test", () => {
  it("prints CRPS per asset and day", async () => {
    const args = ["--start-day", "2025-09-05", "--num-days", "2", "--data", data, "--paths", "40", "--horizon", "1h"];
    const { code, text } = await run(crpsTestCommand, [...args, "--engines", "ewma,baseline"]);
    assert.equal(code, 0);
    for (const asset of ["BTC", "ETH"]) {
      for (const day of ["2025-09-05", "2025-09-06"])
        assert.match(text, new RegExp(`${asset} +│ ${day} │ +24 │ +[\\d.]+ │ +[\\d.]+ │`));
    }
    assert.match(text, /CRPS ewma +│ +CRPS baseline/);
  });
});

describe("golden section", () => {
  it("finds the minimum of a convex function of ln x to 0.4 %", async () => {
    for (const target of [0.21, 0.5, 1, 1.9]) {
      const found = await goldenSection((x) => Promise.resolve(Math.log(x / target) ** 2), { low: 0.2, high: 2 });
      assert.ok(Math.abs(Math.log(found / target)) < 0.004, `${found} for ${target}`);
    }
  });
});
