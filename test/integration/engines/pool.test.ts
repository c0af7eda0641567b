import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../src/clock.ts";
import { runForecast } from "../../../src/engines/forecast.ts";
import { createSimulationPool, type SimulationPool } from "../../../src/engines/pool.ts";
import type { ForecastTask } from "../../../src/engines/task.ts";
import { OperationalError } from "../../../src/errors.ts";
import { unixMillis } from "../../../src/units.ts";
import { CORRECT, validateAnswer } from "../../../src/subnets/synth/validate-answer.ts";
import { ewmaInput, forecastRequest } from "../../support/forecast-inputs.ts";

function task(seed: string, numSimulations = 20): ForecastTask {
  return {
    request: forecastRequest({ seed, numSimulations }),
    inputs: [ewmaInput(), { engine: "baseline", anchorPrice: 100_000, sigmaPerHour: 0.005 }],
  };
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
    pool = await createSimulationPool({ threads: 2, simulationTimeoutMs: 3000, workerFile });
  });
  after(() => pool.close());

  for (const [fault, code] of [
    ["hang", "engine/timeout"],
    ["exit", "engine/worker_failed"],
    ["throw", "engine/worker_failed"],
    ["out of memory", "engine/worker_failed"],
  ] as const) {
    it(`${fault}: the baseline answers from a fresh attempt, and the failure is on record`, async () => {
      // Only the hanging thread needs the deadline; the others fail by themselves.
      const deadline = fault === "hang" ? { deadlineMs: unixMillis(systemClock.nowMs() + 1200) } : {};
      const result = await pool.simulate(task(fault), deadline);
      assert.equal(result.engine, "baseline");
      assert.deepEqual(
        result.handOvers.map((one) => [one.engine, one.code]),
        [["ewma", code]],
      );
      assert.equal((await pool.simulate(task("sound"))).engine, "ewma");
    });
  }

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
