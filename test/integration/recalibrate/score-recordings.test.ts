import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import type { Command } from "../../../src/commands/command.ts";
import { inspectCommand } from "../../../src/commands/inspect.ts";
import { lockRecalibration, scoreRecordingsCommand } from "../../../src/commands/score-recordings.ts";
import { loadConfig, PACKAGE_ROOT } from "../../../src/config/load.ts";
import { encodeSimulation } from "../../../src/engines/encode.ts";
import { simulatePaths } from "../../../src/engines/forecast.ts";
import { OperationalError, UsageError } from "../../../src/errors.ts";
import { readAnswer } from "../../../src/evaluation/recalibrate/answer.ts";
import { silentLogger } from "../../../src/log.ts";
import { ASSETS } from "../../../src/market/assets.ts";
import { createRecordingLog } from "../../../src/store/recording-log.ts";
import { loadRecalibration, recalibrationPath, RecalibrationReader } from "../../../src/store/recalibration-store.ts";
import type { SimulationEvidence } from "../../../src/subnets/synth/evidence.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR, unixMillis } from "../../../src/units.ts";
import { acquireLock, type ProcessLock } from "../../../src/updater/process-lock.ts";
import {
  EWMA_VERSION_1_INPUT,
  RecordingClock,
  recordedExchange,
  testIdentity,
} from "../../support/recorded-exchange.ts";
import { CALIBRATION, ENGINE, MARKET_START, SimulatedMiner, startsOfDay } from "../../support/simulated-miner.ts";
import { eventually, SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

/** One day of answers of both horizons, ready to be scored at the end of the second day. */
async function minerWithADay(test: TestContext): Promise<SimulatedMiner> {
  const miner = new SimulatedMiner(await tempFolder(test), { sigmaRatio: 0.9, days: 9, seed: "a day" });
  await miner.answer(startsOfDay(0, SECONDS_PER_HOUR), SECONDS_PER_HOUR);
  await miner.answer(startsOfDay(0, 8 * SECONDS_PER_HOUR), SECONDS_PER_DAY, 120);
  await miner.updateTo(MARKET_START + 2 * SECONDS_PER_DAY);
  return miner;
}

async function run(command: Command, stateDir: string, ...args: string[]): Promise<string> {
  const lines: string[] = [];
  const { options, positionals } = command;
  const request = { args: ["--state-dir", stateDir, ...args], env: {}, cwd: stateDir, configFiles: [] };
  const loaded = loadConfig({ ...request, options, positionals });
  const signal = new AbortController().signal;
  assert.equal(await command.run({ ...loaded, logger: silentLogger, signal, print: (text) => lines.push(text) }), 0);
  return lines.join("\n");
}

/** What was learnt, without the time of writing. */
function learnt(stateDir: string): object {
  const loaded = loadRecalibration(stateDir);
  assert.ok(loaded.status === "ok");
  return { ...loaded.state, writtenAt: "" };
}

/** Each log counts from one: two appended at one instant would have one id. */
let appended = 0;

async function append(miner: SimulatedMiner, at: number, exchange: Parameters<typeof recordedExchange>[0]) {
  const dir = join(miner.stateDir, "recordings", "5Other");
  const clock = new RecordingClock(new Date(at * 1000 + (appended += 1)).toISOString());
  const limits = { maxBytes: 1e9, maxAgeDays: 365 };
  const log = createRecordingLog({ dir, limits, clock, logger: silentLogger, identity: testIdentity });
  log.append(recordedExchange({ receivedAtMs: unixMillis(at * 1000), ...exchange }));
  await log.close();
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof OperationalError && error.code === code;
}

describe("score-recordings", () => {
  it("scores each answer once, as soon as its last candle is known, with the right reference", async (t) => {
    const miner = await minerWithADay(t);
    await miner.updateTo(MARKET_START + 2 * SECONDS_PER_HOUR);
    assert.deepEqual([(await miner.score()).scored, (await miner.score()).scored], [1, 0]);
    await miner.updateTo(MARKET_START + SECONDS_PER_DAY + 3600);
    // 24 one-hour answers, one of them scored before, and the first of 24 hours.
    const day = await miner.score();
    assert.deepEqual([day.scored, day.counted, day.finished, [...day.skipped]], [24, 24, true, []]);
    await miner.updateTo(MARKET_START + 2 * SECONDS_PER_DAY);
    assert.equal((await miner.score()).scored, 2);
    const { rows } = day.table.rows("1h");
    assert.deepEqual(rows[0]!.slice(0, 3), ["BTC", "1h", "23"]);
    assert.ok(Number(rows[0]![4]) > 0.5 && Number(rows[0]![4]) < 1, "ratio to the reference miner");
    const before = learnt(miner.stateDir);
    // --since shows them again and counts none of them twice.
    const again = await miner.score({ since: MARKET_START });
    assert.deepEqual([again.scored, again.counted], [27, 0]);
    assert.equal(again.table.rows("24h").rows[0]![2], "3");
    assert.deepEqual(learnt(miner.stateDir), before);
  });

  it("gives the same state in one run, in many and after a killed one", async (t) => {
    const whole = await minerWithADay(t);
    await whole.score();
    const parts = await minerWithADay(t);
    for (let hour = 2; hour <= 48; hour += 5) {
      await parts.updateTo(MARKET_START + Math.min(hour, 48) * SECONDS_PER_HOUR);
      await parts.score();
    }
    await parts.updateTo(MARKET_START + 2 * SECONDS_PER_DAY);
    await parts.score();
    const sorted = (stateDir: string): unknown => JSON.parse(JSON.stringify(learnt(stateDir), roundNumbers));
    assert.deepEqual(sorted(parts.stateDir), sorted(whole.stateDir));

    const killed = await minerWithADay(t);
    const args = ["src/main.ts", "score-recordings", "--state-dir", killed.stateDir];
    for (const momentMs of fc.sample(fc.integer({ min: 300, max: 1800 }), { numRuns: 6, seed: 5 })) {
      const child = spawn(process.execPath, args, { cwd: PACKAGE_ROOT, stdio: "ignore" });
      const exited = once(child, "exit");
      // The moment is what is tested: before, between and inside saves.
      await delay(momentMs);
      child.kill("SIGKILL");
      await exited;
    }
    await killed.score();
    assert.deepEqual(sorted(killed.stateDir), sorted(whole.stateDir));
  });

  it("scores at most --max-per-hour answers of an hour, spread over it", async (t) => {
    const miner = new SimulatedMiner(await tempFolder(t), { sigmaRatio: 1, days: 2, seed: "cap" });
    await miner.answer(startsOfDay(0, 300).slice(0, 24), SECONDS_PER_HOUR, 120);
    await miner.updateTo(MARKET_START + SECONDS_PER_DAY);
    const result = await miner.score({ maxPerHour: 2 });
    // Ends from 01:00 to 02:55; slots of half an hour, of which the first ends at 01:00.
    assert.deepEqual([result.scored, result.skipped.get("over_cap")], [5, 19]);
  });

  it("begins no further span after its time, and the next run goes on", async (t) => {
    const miner = await minerWithADay(t);
    const first = await miner.score({ budgetMs: 0 });
    assert.deepEqual([first.finished, first.scored], [false, 0]);
    const aborted = await miner.score({ signal: AbortSignal.abort() });
    assert.deepEqual([aborted.finished, aborted.scored], [false, 0]);
    assert.equal((await miner.score()).scored, 27);
  });

  it("skips and counts what does not reproduce, is garbage, or has no prices", async (t) => {
    const miner = await minerWithADay(t);
    const start = MARKET_START + 10 * SECONDS_PER_HOUR + 1200;
    const good = await miner.evidenceOf(start, SECONDS_PER_HOUR, 120);
    const send = (evidence: unknown, digest: string) =>
      append(miner, start, { evidence, fieldDigests: { simulation_output: digest } });
    await send({ ...good, digest: "00" }, "00");
    await send(good, "another digest");
    await send({ nonsense: true }, "11");
    await append(miner, start, { status: 503, fieldDigests: {} });
    const other = await miner.evidenceOf(start, 2 * SECONDS_PER_HOUR, 120);
    await send(other, other.digest);
    const segment = join(miner.stateDir, "recordings", "5Other", "2026-10-02-0001.log");
    await writeFile(segment, "not a segment");
    const result = await miner.score();
    assert.equal(result.scored, 27);
    assert.deepEqual(Object.fromEntries(result.skipped), { irreproducible: 1, unreadable: 2, other_grid: 1 });
    assert.equal(result.damages.length, 1);

    const frozen = new SimulatedMiner(await tempFolder(t), { sigmaRatio: 1, days: 2, seed: "gap" });
    await frozen.answer([MARKET_START + 7200], SECONDS_PER_HOUR, 120);
    const gap = { from: MARKET_START + 3600, to: MARKET_START + 6 * 3600 };
    await frozen.updateWithGap(MARKET_START + SECONDS_PER_DAY, gap);
    assert.deepEqual([...(await frozen.score()).skipped], [["no_prices", 1]]);
  });

  it("takes an answer asked in the ten minutes before its start, by the competitions' grids and assets only", async (t) => {
    const miner = new SimulatedMiner(await tempFolder(t), { sigmaRatio: 1, days: 2, seed: "asked" });
    const start = MARKET_START + 2 * SECONDS_PER_HOUR;
    const good = await miner.evidenceOf(start, SECONDS_PER_HOUR, 120);
    const read = (askedAt: number, request: object = {}, realTime = true): unknown => {
      const evidence = { ...good, task: { ...good.task, request: { ...good.task.request, ...request } } };
      const asked = { receivedAtMs: unixMillis(askedAt * 1000), evidence };
      const exchange = recordedExchange({ ...asked, fieldDigests: { simulation_output: good.digest } });
      const answer = readAnswer({ schema: 1, id: "x", exchange, identity: testIdentity }, { realTime });
      return typeof answer === "string" ? answer : "taken";
    };
    for (const [askedAt, expected] of [
      [start - 601, "not_ahead"],
      [start - 600, "taken"],
      [start, "taken"],
      [start + 1, "not_ahead"],
      [start + 86_400, "not_ahead"],
    ] as const) {
      assert.equal(read(askedAt), expected, String(askedAt - start));
      // A rehearsal's recordings are stamped by another clock than its market's.
      assert.equal(read(askedAt, {}, false), "taken");
    }
    const day = { horizonSeconds: SECONDS_PER_DAY, stepSeconds: 300 };
    for (const [request, expected] of [
      [{ asset: "XAU" }, "taken"],
      [{ asset: "NVDAX" }, "other_grid"],
      [{ asset: "NVDAX", ...day }, "taken"],
      [{ asset: "SPYX", ...day }, "taken"],
      [{ asset: "BTC", ...day }, "taken"],
      [{ ...day, stepSeconds: 60 }, "other_grid"],
      [{ stepSeconds: 300 }, "other_grid"],
      [{ stepSeconds: 120 }, "other_grid"],
      [{ numSimulations: 99 }, "other_grid"],
    ] as const) {
      assert.equal(read(start - 60, request), expected, JSON.stringify(request));
    }
  });

  it("does not learn from what was asked when the prices were known, and tells", async (t) => {
    const miner = await minerWithADay(t);
    const start = MARKET_START + 10 * SECONDS_PER_HOUR + 1200;
    const late = await miner.evidenceOf(start, SECONDS_PER_HOUR, 120);
    await append(miner, start + 600, { evidence: late, fieldDigests: { simulation_output: late.digest } });
    const out = await run(scoreRecordingsCommand, miner.stateDir);
    assert.match(out, /27 answers scored, 27 of .*; 1 not asked for within ten minutes before their start/);
    assert.equal((await miner.score({ since: MARKET_START, realTime: false })).scored, 28);
  });

  it("skips answers of an engine's version that is gone", async (t) => {
    const miner = await minerWithADay(t);
    const start = MARKET_START + 10 * SECONDS_PER_HOUR + 1200;
    const own = await miner.evidenceOf(start, SECONDS_PER_HOUR, 120);
    const evidence = { ...own, engineVersion: 1, task: { ...own.task, inputs: [EWMA_VERSION_1_INPUT] } };
    await append(miner, start, { evidence, fieldDigests: { simulation_output: own.digest } });
    const { scored, skipped } = await miner.score();
    assert.deepEqual([scored, [...skipped]], [27, [["retired_engine", 1]]]);
  });

  it("reads a file of schema 1: its factors are of no calibration that answers", async (t) => {
    const miner = await minerWithADay(t);
    await miner.score();
    const { series, ...state } = JSON.parse(await readFile(recalibrationPath(miner.stateDir), "utf8")) as {
      series: Record<string, unknown>[];
    };
    const older = { ...state, schema: 1, series: series.map((one) => ({ ...one, calibration: undefined })) };
    await writeFile(recalibrationPath(miner.stateDir), JSON.stringify(older));
    assert.match(miner.reader.lookUp("BTC", "1h", CALIBRATION).reason!, /of another calibration/);
    assert.deepEqual((await miner.score()).notes, []);
  });

  it("reads any evidence without throwing", () => {
    const exchange = recordedExchange();
    fc.assert(
      fc.property(
        fc.object({ maxDepth: 4, key: fc.constantFrom("task", "request", "inputs", "engine", "digest") }),
        (evidence) => {
          const recording = {
            schema: 1,
            id: "x",
            exchange: { ...exchange, evidence },
            identity: testIdentity,
          } as const;
          return typeof readAnswer(recording, { realTime: true }) === "string";
        },
      ),
    );
  });

  it("does not let the last resort into the factors", async (t) => {
    const miner = new SimulatedMiner(await tempFolder(t), { sigmaRatio: 1, days: 2, seed: "baseline" });
    const { evidence, digest } = await baselineAnswer(miner, MARKET_START + 3600);
    await append(miner, MARKET_START + 3540, { evidence, fieldDigests: { simulation_output: digest } });
    await miner.updateTo(MARKET_START + SECONDS_PER_DAY);
    const result = await miner.score();
    assert.deepEqual([result.scored, result.counted], [1, 0]);
    // The baseline is the reference miner.
    assert.equal(result.table.rows("1h").rows[0]![4], "1.0000");
  });

  it("sets a corrupt file aside and learns again; a clock set back loses nothing", async (t) => {
    const miner = await minerWithADay(t);
    await miner.score();
    const before = learnt(miner.stateDir);
    await writeFile(recalibrationPath(miner.stateDir), '{"schema":1,');
    miner.clock.ms -= 5 * SECONDS_PER_DAY * 1000;
    const result = await miner.score();
    assert.match(result.notes.join(), /was corrupt .* learnt again/);
    assert.deepEqual(learnt(miner.stateDir), before);
    const names = (await readdir(miner.stateDir)).filter((name) => name.includes("corrupt-"));
    assert.equal(await readFile(join(miner.stateDir, names[0]!), "utf8"), '{"schema":1,');
  });

  it("waits its turn as long as it was told to, not longer, and not when it is stopped", async (t) => {
    const folder = await tempFolder(t);
    const clock = new SteppedClock(1000);
    const stop = new AbortController();
    const rival = await acquireLock(join(folder, "recalibration.lock"));
    const wait = { waitMinutes: 5, signal: stop.signal, clock };
    let outcome = "waiting";
    const settle = (lock: Promise<ProcessLock>): void => {
      void lock.then(
        () => (outcome = "held"),
        (error: unknown) => (outcome = String((error as { code?: unknown }).code)),
      );
    };
    const tick = (seconds: number): Promise<void> =>
      eventually(() => {
        if (outcome === "waiting") clock.advance(seconds);
        return outcome !== "waiting";
      }, "an outcome");
    settle(lockRecalibration(folder, wait));
    await tick(10);
    assert.equal(outcome, "recalibration/locked");
    assert.ok(clock.nowMs() >= 1_300_000, String(clock.nowMs()));

    outcome = "waiting";
    settle(lockRecalibration(folder, wait));
    await rival.release();
    await tick(0.02);
    assert.equal(outcome, "held");

    const stopped = lockRecalibration(folder, wait);
    stop.abort();
    await assert.rejects(stopped);
  });

  it("needs candles, and one at a time", async (t) => {
    const folder = await tempFolder(t);
    await assert.rejects(run(scoreRecordingsCommand, folder), hasCode("recalibration/no_candles"));
    const miner = await minerWithADay(t);
    const lock = await acquireLock(join(miner.stateDir, "recalibration.lock"));
    await assert.rejects(run(scoreRecordingsCommand, miner.stateDir), hasCode("recalibration/locked"));
    await lock.release();
    const out = await run(scoreRecordingsCommand, miner.stateDir);
    assert.match(out, /27 answers scored, 27 of them new in the factors/);
    assert.match(await run(scoreRecordingsCommand, miner.stateDir, "--since", "2026-10-01"), /27 answers scored, 0 of/);
    await assert.rejects(run(scoreRecordingsCommand, folder, "--since", "soon", "--max-per-hour", "7"), (error) => {
      return error instanceof UsageError && error.problems.length === 2;
    });
  });
});

describe("the factors' reader and inspect", () => {
  it("say what there is, or why there is none", async (t) => {
    const miner = await minerWithADay(t);
    const { stateDir, clock } = miner;
    const readerOf = (version: number, market = clock): RecalibrationReader =>
      new RecalibrationReader(stateDir, { engine: { ...ENGINE, version }, clocks: { market, wall: clock } });
    assert.match(readerOf(7).lookUp("BTC", "1h", CALIBRATION).reason!, /has not run yet/);
    assert.match(await run(inspectCommand, stateDir, "recalibration"), /is missing/);
    await miner.updateTo(MARKET_START + 2 * SECONDS_PER_HOUR);
    await miner.score();
    assert.match(readerOf(7).lookUp("BTC", "1h", CALIBRATION).reason!, /too few blocks scored yet: \d+ effective/);
    assert.match(await run(inspectCommand, stateDir, "recalibration"), /BTC +│ 1h +│ ewma 7 +│ 60 s +│ - +│ too_few/);
    await miner.updateTo(MARKET_START + 2 * SECONDS_PER_DAY);
    await miner.score();
    assert.match(readerOf(7).lookUp("ETH", "1h", CALIBRATION).reason!, /no answers of ewma for ETH 1h/);
    assert.match(readerOf(8).lookUp("BTC", "1h", CALIBRATION).reason!, /version 7 of ewma, this is version 8/);
    const later = new RecordingClock("2026-10-20T00:00:00Z");
    assert.match(readerOf(7, later).lookUp("BTC", "1h", CALIBRATION).reason!, /1[78] days ago/);
    const text = await run(inspectCommand, stateDir, "recalibration");
    assert.match(text, /BTC +│ 24h +│ ewma 7 +│ 300 s +│ 1\.\d{4} +│ own .*│ 0123456789abcdef/);
    assert.match(text, /120 s has no factor of its own/);
    const rows = (await run(inspectCommand, stateDir, "recalibration", "--json")).split("\n");
    assert.equal(rows.length, 10);

    const reader = readerOf(7);
    assert.deepEqual(
      reader.factorsOf("BTC", "24h", CALIBRATION).map(({ seconds }) => seconds),
      [300, 1800, 10_800, 86_400],
    );
    await writeFile(recalibrationPath(stateDir), "garbage");
    clock.ms += 10_000;
    assert.match(reader.lookUp("BTC", "1h", CALIBRATION).reason!, /corrupt/);
    assert.match(await run(inspectCommand, stateDir, "recalibration"), /is corrupt/);
    await rm(recalibrationPath(stateDir));
    clock.ms += 10_000;
    assert.match(reader.lookUp("BTC", "1h", CALIBRATION).reason!, /has not run yet/);
  });
});

/** Sums in another order differ in their last digits. */
function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(9)) : value;
}

async function baselineAnswer(
  miner: SimulatedMiner,
  start: number,
): Promise<{ evidence: SimulationEvidence; digest: string }> {
  const own = await miner.evidenceOf(start, SECONDS_PER_HOUR, 120);
  const { price: anchorPrice } = own.anchor;
  const input = { engine: "baseline", anchorPrice, sigmaPerHour: ASSETS.BTC.referenceSigmaPerHour } as const;
  const { request } = own.task;
  const { digest } = encodeSimulation(request, await simulatePaths(request, input));
  return { evidence: { ...own, task: { request, inputs: [input] }, engine: "baseline", digest }, digest };
}
