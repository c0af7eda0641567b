import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { EngineName } from "../../../src/engines/engine.ts";
import { createEngines, planForecast, ROUTES } from "../../../src/engines/route.ts";
import { readRouting, routesOf, type RoutingFile } from "../../../src/engines/routing.ts";
import { OperationalError } from "../../../src/errors.ts";
import { proposeRouting } from "../../../src/evaluation/backtest/propose-routing.ts";
import type { BacktestReport, ReportPrompt } from "../../../src/evaluation/backtest/report.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../../src/market/assets.ts";
import { Random } from "../../../src/math/random.ts";
import { emptyReport } from "../../support/backtest-report.ts";
import { engineDeps } from "../../support/ewma-calibration.ts";
import { forecastRequest, freshSnapshot, marketSnapshot, volatilityState } from "../../support/forecast-inputs.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY_MS = 86_400_000;
const EMPTY: RoutingFile = { schema: 1, routes: {} };

function prompt(asset: AssetSymbol, engine: EngineName, i: number, total: number): ReportPrompt {
  return {
    asset,
    start: new Date(Date.parse("2025-10-01T00:00:00Z") + (i * DAY_MS) / 3).toISOString(),
    horizon: "24h",
    horizonSeconds: 86_400,
    stepSeconds: 300,
    engine,
    answeredBy: engine,
    resolution: "5m",
    total,
    priceCrps: total,
    volatilityCrps: 0,
    priceCrpsByInterval: {},
    volatilityCrpsByBlock: {},
  };
}

/** Ninety prompts of a month on which each engine's score is its factor times the EWMA's, with noise of 1 %. */
function report(asset: AssetSymbol, factors: Partial<Record<EngineName, number>>): BacktestReport {
  const random = Random.fromSeed(`routing ${asset}`);
  const prompts = Array.from({ length: 90 }, (_, i) => {
    const ewma = 1000 * Math.exp(0.3 * random.normal());
    return [
      prompt(asset, "ewma", i, ewma),
      ...Object.entries(factors).map(([name, factor]) =>
        prompt(asset, name as EngineName, i, ewma * factor * Math.exp(0.01 * random.normal())),
      ),
    ];
  });
  return { ...emptyReport(), prompts: prompts.flat() };
}

function orderOf(factors: Partial<Record<EngineName, number>>): readonly EngineName[] {
  return proposeRouting(EMPTY, report("BTC", factors)).routes.BTC!["24h"]!.order;
}

describe("a proposed route table", () => {
  it("lets an engine lead only where its whole interval lies below the EWMA's score", () => {
    assert.deepEqual(orderOf({ patchtst: 0.98 }), ["patchtst", "ewma", "baseline"]);
    assert.deepEqual(orderOf({ patchtst: 0.9995 }), ["ewma", "baseline"]);
    assert.deepEqual(orderOf({ patchtst: 1 }), ["ewma", "baseline"]);
    assert.deepEqual(orderOf({ patchtst: 1.02 }), ["ewma", "baseline"]);
    assert.deepEqual(orderOf({ patchtst: 0.98, lgbm: 0.95 }), ["lgbm", "patchtst", "ewma", "baseline"]);
    assert.deepEqual(orderOf({ baseline: 0.5, lgbm: 1.1 }), ["ewma", "baseline"]);
  });

  it("shows the ratio and an interval around it", () => {
    const { evidence } = proposeRouting(EMPTY, report("BTC", { patchtst: 0.98 })).routes.BTC!["24h"]!;
    const [{ engine, prompts, ratio, low, high }] = evidence as [(typeof evidence)[number]];
    assert.deepEqual([engine, prompts], ["patchtst", 90]);
    // Noise of 1 % over 90 prompts: .1 %.
    assert.ok(Math.abs(ratio! - 0.98) < 0.004, String(ratio));
    assert.ok(low! < ratio! && ratio! < high! && high! - low! < 0.01, `${low} to ${high}`);
  });

  it("has too little to say with a handful of days", () => {
    const few = report("BTC", { patchtst: 0.5 });
    const { order, evidence } = proposeRouting(EMPTY, { ...few, prompts: few.prompts.slice(0, 2 * 12) }).routes.BTC![
      "24h"
    ]!;
    assert.deepEqual([order, evidence[0]!.high], [["ewma", "baseline"], null]);
  });

  it("leaves other assets and horizons as they are", () => {
    const first = proposeRouting(EMPTY, report("ETH", { patchtst: 0.9 }));
    const hour = { "1h": { order: ["lgbm", "baseline"] as EngineName[], evidence: [], commandLine: "by hand" } };
    const before: RoutingFile = { schema: 1, routes: { ...first.routes, BTC: hour } };
    const after = proposeRouting(before, report("BTC", { patchtst: 1.1 }));
    assert.deepEqual(after.routes.ETH, first.routes.ETH);
    assert.deepEqual(after.routes.BTC!["1h"], hour["1h"]);
    assert.deepEqual(after.routes.BTC!["24h"]!.order, ["ewma", "baseline"]);
  });
});

describe("models/routing.json", () => {
  it("is read as it was written, and what it does not list is routed as built in", async (test) => {
    const path = join(await tempFolder(test), "routing.json");
    await writeFile(path, JSON.stringify(proposeRouting(EMPTY, report("BTC", { patchtst: 1 }))));
    const routes = routesOf(readRouting(path), ROUTES);
    assert.deepEqual(routes.BTC, { "1h": ROUTES.BTC["1h"], "24h": ["ewma", "baseline"] });
    for (const asset of ASSET_SYMBOLS) if (asset !== "BTC") assert.deepEqual(routes[asset], ROUTES[asset]);

    const engines = createEngines(engineDeps({ routes }));
    const snapshot = marketSnapshot(freshSnapshot(volatilityState()));
    const { handOvers } = planForecast(forecastRequest(), snapshot, engines);
    assert.deepEqual(handOvers, []);
    const hour = planForecast(forecastRequest({ horizonSeconds: 3600, stepSeconds: 60 }), snapshot, engines);
    assert.deepEqual(
      hour.handOvers.map(({ engine }) => engine),
      ["patchtst"],
    );
  });

  const order = (names: unknown): unknown => ({
    schema: 1,
    routes: { BTC: { "24h": { order: names, evidence: [], commandLine: "" } } },
  });
  const WRONG: readonly (readonly [string, unknown])[] = [
    ["no object", []],
    ["another schema", { schema: 2, routes: {} }],
    ["an unknown asset", { schema: 1, routes: { DOGE: {} } }],
    ["an unknown horizon", { schema: 1, routes: { BTC: { "2h": {} } } }],
    ["an empty row", order([])],
    ["a row without the baseline", order(["ewma"])],
    ["a row that goes on after the baseline", order(["baseline", "ewma"])],
    ["an engine twice", order(["ewma", "ewma", "baseline"])],
    ["an unknown engine", order(["oracle", "baseline"])],
  ];
  for (const [name, content] of WRONG) {
    it(`is refused with ${name}`, async (test) => {
      const path = join(await tempFolder(test), "routing.json");
      await writeFile(path, JSON.stringify(content));
      assert.throws(
        () => readRouting(path),
        (error) => error instanceof OperationalError && error.code === "routing/corrupt",
      );
    });
  }

  it("never throws anything but its own errors, whatever the bytes", async (test) => {
    const path = join(await tempFolder(test), "routing.json");
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
        await writeFile(path, text);
        assert.throws(
          () => readRouting(path),
          (error) => error instanceof OperationalError && error.code === "routing/corrupt",
        );
      }),
      { numRuns: 50 },
    );
  });
});
