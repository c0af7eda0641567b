import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { horizonClass } from "../../../src/engines/horizon.ts";
import { createEngines, planForecast, ROUTES } from "../../../src/engines/route.ts";
import { runForecast, simulatePaths } from "../../../src/engines/forecast.ts";
import { OperationalError } from "../../../src/errors.ts";
import { ASSETS, ASSET_SYMBOLS } from "../../../src/market/assets.ts";
import { engineDeps } from "../../support/ewma-calibration.ts";
import {
  ewmaInput,
  forecastRequest,
  freshSnapshot,
  marketSnapshot,
  volatilityState,
} from "../../support/forecast-inputs.ts";

const engines = createEngines(engineDeps());

describe("route", () => {
  it("has both horizons of every asset, trained models first and the baseline last", () => {
    for (const symbol of ASSET_SYMBOLS) {
      for (const row of Object.values(ROUTES[symbol])) {
        assert.equal(row[0], "patchtst");
        assert.equal(row.at(-1), "baseline");
        assert.equal(row.at(-2), "ewma");
        assert.equal(new Set(row).size, row.length);
      }
    }
  });

  it("puts any horizon with the nearer of 1 h and 24 h, by ratio", () => {
    assert.deepEqual([60, 3600, 4 * 3600, 5 * 3600, 86_400, 30 * 86_400].map(horizonClass), [
      "1h",
      "1h",
      "1h",
      "24h",
      "24h",
      "24h",
    ]);
  });

  it("plans EWMA with the baseline behind it, and names the models that are not there", () => {
    const plan = planForecast(forecastRequest(), marketSnapshot(freshSnapshot(volatilityState())), engines);
    assert.deepEqual(
      plan.task.inputs.map(({ engine }) => engine),
      ["ewma", "baseline"],
    );
    assert.deepEqual(
      plan.handOvers.map(({ engine, code }) => [engine, code]),
      [
        ["patchtst", "model/not_installed"],
        ["lgbm", "model/not_installed"],
      ],
    );
  });

  it("always has the baseline, for every asset, horizon and without any state", async () => {
    for (const asset of ASSET_SYMBOLS) {
      for (const grid of [
        { horizonSeconds: 3600, stepSeconds: 60 },
        { horizonSeconds: 86_400, stepSeconds: 300 },
      ]) {
        const request = forecastRequest({ asset, ...grid, numSimulations: 2 });
        const plan = planForecast(request, marketSnapshot({ status: "missing" }, asset, 5), engines);
        assert.deepEqual(plan.task.inputs, [
          {
            engine: "baseline",
            anchorPrice: 5,
            sigmaPerHour: ASSETS[asset].referenceSigmaPerHour,
            rankMatched: false,
          },
        ]);
        assert.equal(plan.handOvers.at(-1)?.code, "state/missing");
        assert.equal((await runForecast(plan.task)).engine, "baseline");
      }
    }
  });
});

describe("forecast", () => {
  it("lets the next input answer when prices cannot be encoded, and records why", async () => {
    const request = forecastRequest({ numSimulations: 3 });
    const result = await runForecast({
      request,
      inputs: [ewmaInput({ anchorPrice: 20_000_000 }), { engine: "baseline", anchorPrice: 10, sigmaPerHour: 0.01 }],
    });
    assert.equal(result.engine, "baseline");
    assert.deepEqual(
      result.handOvers.map(({ engine, code }) => [engine, code]),
      [["ewma", "encode/price_out_of_range"]],
    );
  });

  it("fails by name when no input can answer", async () => {
    const task = { request: forecastRequest({ numSimulations: 1 }), inputs: [ewmaInput({ anchorPrice: NaN })] };
    await assert.rejects(runForecast(task), (error) => {
      assert.ok(error instanceof OperationalError);
      assert.equal(error.code, "engine/all_failed");
      return true;
    });
  });

  it("gives the same bytes from a reused buffer as from a fresh one", async () => {
    const task = { request: forecastRequest({ numSimulations: 50 }), inputs: [ewmaInput()] };
    const first = await runForecast(task);
    await runForecast({ ...task, request: { ...task.request, seed: "between" } });
    assert.deepEqual((await runForecast(task)).simulationOutput, first.simulationOutput);
  });

  it("draws the baseline with the reference sigma over the square root of time", async () => {
    const request = forecastRequest({ numSimulations: 20_000, horizonSeconds: 14_400, stepSeconds: 3600 });
    const paths = await simulatePaths(request, { engine: "baseline", anchorPrice: 1, sigmaPerHour: 0.01 });
    let square = 0;
    for (let path = 0; path < 20_000; path++) square += Math.log(paths[path * 5 + 4]!) ** 2 / 20_000;
    // Five standard errors of the sd at 20,000 Gaussian draws: 2.5 %.
    assert.ok(Math.abs(Math.sqrt(square) / 0.02 - 1) < 0.025);
  });
});
