import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { acceptanceCommand } from "../../../src/commands/acceptance.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { PathModel } from "../../../src/engines/path-model.ts";
import { simulatePathModel } from "../../../src/engines/paths/simulate.ts";
import { failuresOf } from "../../../src/evaluation/acceptance.ts";
import { factsOf, type PathFacts } from "../../../src/evaluation/path-facts.ts";
import { silentLogger } from "../../../src/log.ts";
import { writeCalibration } from "../../support/ewma-calibration.ts";
import { ewmaInput, forecastRequest } from "../../support/forecast-inputs.ts";
import { hashOf, installModels } from "../../support/patchtst-models.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const PATHS = 1000;

function paths(changes: Partial<PathModel>, seed = "facts"): Float64Array {
  const request = forecastRequest({ numSimulations: PATHS, seed });
  return simulatePathModel(request, ewmaInput(changes).model).slice();
}

const TIMES = { medianMs: 10, budgetMs: 150 };
const gaussian = { nu: 2000, latent: { tau: 0, halfLifeSeconds: 0 } };
const still = { tau: 0, halfLifeSeconds: 0 };

describe("facts of paths: closed forms", () => {
  it("are none of a Gaussian random walk, which is refused for its thin tails and its constant volatility", () => {
    const facts = factsOf(paths(gaussian), PATHS);
    assert.ok(facts.isSound);
    assert.ok(Math.abs(facts.meanZ) < 4.5);
    // 288,000 squares: .002 and .01 are their standard errors.
    assert.ok(Math.abs(facts.clustering) < 0.01 && Math.abs(facts.clusteringZ) < 4, String(facts.clusteringZ));
    assert.ok(Math.abs(facts.kurtosis - 3) < 0.05 && Math.abs(facts.kurtosisZ) < 4.5, String(facts.kurtosis));
    assert.equal(failuresOf(facts, TIMES).length, 2);
  });

  it("are a kurtosis of 3 + 6 / (nu - 4) of independent Student returns, and no clustering", () => {
    const facts = factsOf(paths({ nu: 12, latent: still }), PATHS);
    assert.ok(Math.abs(facts.kurtosis - 3.75) < 0.1, String(facts.kurtosis));
    assert.deepEqual(failuresOf(facts, TIMES), ["volatility does not cluster beyond noise"]);
  });

  it("are (exp(4 tau² rho) - 1) / (3 exp(4 tau²) - 1) of Gaussian returns with a latent volatility", () => {
    const tau = 0.3;
    const facts = factsOf(paths({ nu: 2000, latent: { tau, halfLifeSeconds: 3600 } }), PATHS);
    const rho = 2 ** (-300 / 3600);
    const expected = (Math.exp(4 * tau ** 2 * rho) - 1) / (3 * Math.exp(4 * tau ** 2) - 1);
    assert.ok(Math.abs(facts.clustering - expected) < 0.02, `${facts.clustering}, not ${expected}`);
    assert.ok(Math.abs(facts.kurtosis - 3 * Math.exp(4 * tau ** 2)) < 0.25, String(facts.kurtosis));
    assert.deepEqual(failuresOf(facts, TIMES), []);
  });

  it("do not mistake the rhythm of a day for clustering", () => {
    const stepSigmas = Array.from({ length: 288 }, (_, i) => 1e-3 * Math.exp(Math.sin(i / 46)));
    const facts = factsOf(paths({ ...gaussian, stepSigmas }), PATHS);
    assert.ok(Math.abs(facts.clusteringZ) < 4 && Math.abs(facts.kurtosis - 3) < 0.05);
  });

  it("are a drift, and prices that no market has", () => {
    const usual = paths({ nu: 5, latent: { tau: 0.35, halfLifeSeconds: 10_800 } });
    const changed = (change: (prices: Float64Array) => void): PathFacts => {
      const prices = usual.slice();
      change(prices);
      return factsOf(prices, PATHS);
    };
    assert.deepEqual(failuresOf(factsOf(usual, PATHS), TIMES), []);
    // A fifth of a standard deviation of the end is six standard errors of a thousand paths.
    const drifting = changed((prices) => {
      prices.forEach((price, at) => (prices[at] = price * Math.exp(((at % 289) / 288) * 0.2 * 1e-3 * Math.sqrt(288))));
    });
    assert.match(failuresOf(drifting, TIMES).join(), /^mean \d\.\d standard errors from zero$/);
    for (const wrong of [NaN, Infinity, 0, -1]) {
      const facts = changed((prices) => (prices[289 * 500 + 7] = wrong));
      assert.equal(facts.isSound, false, String(wrong));
      assert.ok(failuresOf(facts, TIMES).includes("prices that are not positive and finite"));
    }
  });

  it("are refused above the budget of time", () => {
    const facts = factsOf(paths({ nu: 5, latent: { tau: 0.35, halfLifeSeconds: 10_800 } }), PATHS);
    assert.deepEqual(failuresOf(facts, { medianMs: 151, budgetMs: 150 }), ["median 151 ms above 150 ms"]);
  });
});

describe("acceptance", () => {
  async function accept(test: TestContext, ...args: readonly string[]): Promise<{ code: number; out: string }> {
    const dir = await tempFolder(test);
    const calibration = await writeCalibration(dir);
    const manifest = await installModels(dir, await hashOf(calibration));
    if (args.includes("break")) await writeFile(join(dir, "tiny.onnx"), "no network");
    const { options, positionals } = acceptanceCommand;
    const own = args.filter((arg) => arg !== "break");
    const flags = ["--models", manifest, "--engines.calibration", calibration, ...own];
    const loaded = loadConfig({ args: flags, env: {}, cwd: dir, options, positionals, configFiles: [] });
    const lines: string[] = [];
    const signal = new AbortController().signal;
    const print = (text: string): void => void lines.push(text);
    const code = await acceptanceCommand.run({ ...loaded, logger: silentLogger, signal, print });
    return { code, out: lines.join("\n") };
  }

  it("passes a model that answers every asset it serves", async (test) => {
    // The time is the machine's: generous here.
    const { code, out } = await accept(test, "--budget-ms", "60000");
    assert.equal(code, 0, out);
    assert.equal(out.match(/accepted/g)?.length, 2, out);
  });

  it("fails one that is too slow", async (test) => {
    const { code, out } = await accept(test, "--budget-ms", "0.01");
    assert.equal(code, 1);
    assert.match(out, /LF-crypto BTC: median \d+ ms above 0\.01 ms/);
  });

  it("fails one that does not load, and says why", async (test) => {
    const { code, out } = await accept(test, "break");
    assert.equal(code, 1);
    assert.match(out, /LF-crypto ETH: model\/mismatch: .*tiny\.onnx: expected the file with sha256/);
  });
});
