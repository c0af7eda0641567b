import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../src/clock.ts";
import { runForecast } from "../../../src/engines/forecast.ts";
import { createSimulationPool, type SimulationPool } from "../../../src/engines/pool.ts";
import type { PatchTstInput } from "../../../src/engines/patchtst/patchtst.ts";
import type { ForecastResult, ForecastTask } from "../../../src/engines/task.ts";
import { OperationalError } from "../../../src/errors.ts";
import { unixMillis } from "../../../src/units.ts";
import { CORRECT, validateAnswer } from "../../../src/subnets/synth/validate-answer.ts";
import { ewmaInput, forecastRequest } from "../../support/forecast-inputs.ts";
import { eventually } from "../../support/stepped-clock.ts";

const BASELINE = { engine: "baseline", anchorPrice: 100_000, sigmaPerHour: 0.005 } as const;

function task(seed: string, numSimulations = 20): ForecastTask {
  return { request: forecastRequest({ seed, numSimulations }), inputs: [ewmaInput(), BASELINE] };
}

/** With a network in front whose file is not there: in the faulty threads the seed decides first. */
function threeRows(seed: string): ForecastTask {
  const patchtst: PatchTstInput = {
    engine: "patchtst",
    model: { name: "test", sha256: "0".repeat(64), file: "/nonexistent.onnx", knotSeconds: [300], ratioSeconds: [] },
    base: ewmaInput().model,
    fallbacks: [],
    sequence: "",
    features: [],
    calendar: [],
  };
  const { request, inputs } = task(seed);
  return { request, inputs: [patchtst, ...inputs] };
}

function codesOf({ handOvers }: Pick<ForecastResult, "handOvers">): string[] {
  return handOvers.map(({ engine, code }) => `${engine} ${code}`);
}

describe("simulation pool", () => {
  let pool: SimulationPool;
  before(async () => {
    pool = await createSimulationPool({ threads: 2, simulationTimeoutMs: 30_000 });
  });
  after(() => pool.close());

  it("answers with the bytes that the same task gives in this thread", async () => {
    const result = await pool.simulate(task("same", 1000));
    const local = await runForecast(task("same", 1000));
    assert.equal(result.engine, "ewma");
    assert.deepEqual(result.handOvers, []);
    assert.equal(result.digest, local.digest);
    assert.equal(createHash("sha256").update(result.simulationOutput).digest("hex"), local.digest);
    assert.deepEqual(result.pathChecksums, local.pathChecksums);
    const output: unknown = JSON.parse(Buffer.from(result.simulationOutput).toString());
    assert.equal(validateAnswer(output, task("same", 1000).request), CORRECT);
  });

  it("keeps answers apart under concurrency", async () => {
    const seeds = Array.from({ length: 24 }, (_, i) => `seed ${i}`);
    const results = await Promise.all(seeds.map((seed) => pool.simulate(task(seed))));
    for (const [i, seed] of seeds.entries()) assert.equal(results[i]!.digest, (await runForecast(task(seed))).digest);
  });

  it("rejects with the signal's reason when the caller has gone, before and during the work", async () => {
    const reason = new Error("client left");
    await assert.rejects(pool.simulate(task("gone"), { signal: AbortSignal.abort(reason) }), reason);
    const leaving = new AbortController();
    const pending = pool.simulate(task("leaving", 1000), { signal: leaving.signal });
    leaving.abort(reason);
    await assert.rejects(pending, reason);
    assert.equal((await pool.simulate(task("next"))).engine, "ewma");
  });

  it("tries the next row when an engine hands over, whose own code is on record", async () => {
    const result = await pool.simulate(threeRows("handed over"));
    const local = await runForecast(threeRows("handed over"));
    assert.deepEqual([result.engine, codesOf(result)], ["ewma", ["patchtst model/input"]]);
    assert.deepEqual([local.handOvers, local.digest], [result.handOvers, result.digest]);
  });

  it("names what every engine failed of", async () => {
    const { request } = task("none");
    const inputs = [ewmaInput({ anchorPrice: 2e7 }), { ...BASELINE, anchorPrice: 2e7 }];
    const code = "encode/price_out_of_range";
    await assert.rejects(pool.simulate({ request, inputs }), (error) => {
      assert.ok(error instanceof OperationalError && error.code === "engine/all_failed");
      const { handOvers } = error.details as Pick<ForecastResult, "handOvers">;
      assert.deepEqual(codesOf({ handOvers }), [`ewma ${code}`, `baseline ${code}`]);
      return true;
    });
  });

  it("fails by name when the deadline has passed", async () => {
    const late = pool.simulate(task("late"), { deadlineMs: unixMillis(systemClock.nowMs() - 1) });
    await assert.rejects(late, (error) => error instanceof OperationalError && error.code === "engine/all_failed");
    assert.equal((await pool.simulate(task("after"))).engine, "ewma");
  });

  it("says so when its threads cannot start", async () => {
    const options = { threads: 1, simulationTimeoutMs: 1000, workerFile: "/nonexistent/worker.ts" };
    await assert.rejects(createSimulationPool(options), { code: "engine/pool_start" });
  });
});

describe("simulation pool with faulty threads", () => {
  let pool: SimulationPool;
  before(async () => {
    const workerFile = fileURLToPath(new URL("../../support/faulty-simulation-worker.ts", import.meta.url));
    pool = await createSimulationPool({ threads: 2, simulationTimeoutMs: 10_000, workerFile });
  });
  after(() => pool.close());

  for (const [fault, code] of [
    ["hang", "engine/timeout"],
    ["exit", "engine/worker_failed"],
    ["throw", "engine/worker_failed"],
    ["out of memory", "engine/worker_failed"],
  ] as const) {
    it(`${fault}: the next row answers, and the failure is on record`, async () => {
      // Only the hanging thread needs the deadline; the others fail by themselves.
      const deadline = fault === "hang" ? { deadlineMs: unixMillis(systemClock.nowMs() + 1200) } : {};
      const result = await pool.simulate(task(`${fault} ewma`), deadline);
      assert.deepEqual([result.engine, codesOf(result)], ["baseline", [`ewma ${code}`]]);
      assert.equal((await pool.simulate(task("sound"))).engine, "ewma");
    });
  }

  for (const [fault, code] of [
    ["hang", "engine/timeout"],
    ["exit", "engine/worker_failed"],
  ] as const) {
    it(`${fault} in the first of three rows: the second answers`, async () => {
      const deadlineMs = unixMillis(systemClock.nowMs() + 4000);
      const result = await pool.simulate(threeRows(`${fault} patchtst`), { deadlineMs });
      assert.deepEqual([result.engine, codesOf(result)], ["ewma", [`patchtst ${code}`]]);
      assert.equal(result.digest, (await runForecast(task(`${fault} patchtst`))).digest);
    });

    it(`${fault} in two of three rows: the last answers in time, and both are named`, async () => {
      const deadlineMs = unixMillis(systemClock.nowMs() + 4000);
      const result = await pool.simulate(threeRows(`${fault} patchtst ewma`), { deadlineMs });
      assert.ok(systemClock.nowMs() < deadlineMs);
      assert.deepEqual([result.engine, codesOf(result)], ["baseline", [`patchtst ${code}`, `ewma ${code}`]]);
    });
  }

  it("goes straight to the last row when a hanging one leaves too little for another", async () => {
    const { timeouts } = pool.stats();
    const result = await pool.simulate(threeRows("hang patchtst"), {
      deadlineMs: unixMillis(systemClock.nowMs() + 1200),
    });
    assert.deepEqual(
      [result.engine, codesOf(result)],
      ["baseline", ["patchtst engine/timeout", "ewma engine/timeout"]],
    );
    assert.equal(pool.stats().timeouts, timeouts + 1);
  });

  it("tries no further row when the caller has gone", async () => {
    const { completed, workerFailures } = pool.stats();
    const leaving = new AbortController();
    const pending = pool.simulate(threeRows("exit patchtst"), { signal: leaving.signal });
    leaving.abort(new Error("client left"));
    await assert.rejects(pending, /client left/);
    await eventually(() => pool.stats().workerFailures === workerFailures + 1, "its thread is gone");
    assert.equal((await pool.simulate(task("sound"))).engine, "ewma");
    assert.equal(pool.stats().completed, completed + 1);
  });

  it("tries a row that is alone twice", async () => {
    const { request } = task("exit baseline");
    await assert.rejects(pool.simulate({ request, inputs: [BASELINE] }), (error) => {
      assert.ok(error instanceof OperationalError);
      const { handOvers } = error.details as Pick<ForecastResult, "handOvers">;
      assert.deepEqual(codesOf({ handOvers }), ["baseline engine/worker_failed", "baseline engine/worker_failed"]);
      return true;
    });
  });

  it("settles when the baseline fails too, and goes on afterwards", async () => {
    for (const fault of ["throw all", "exit all", "hang all"]) {
      const deadline = fault === "hang all" ? { deadlineMs: unixMillis(systemClock.nowMs() + 1200) } : {};
      await assert.rejects(pool.simulate(task(fault), deadline), (error) => {
        assert.ok(error instanceof OperationalError);
        assert.equal(error.code, "engine/all_failed");
        return true;
      });
    }
    assert.equal((await pool.simulate(task("sound"))).engine, "ewma");
    const stats = pool.stats();
    assert.ok(stats.timeouts >= 3 && stats.workerFailures >= 7 && stats.completed >= 9);
  });
});
