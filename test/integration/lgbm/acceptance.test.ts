import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { acceptanceCommand } from "../../../src/commands/acceptance.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { simulatePathModel } from "../../../src/engines/paths/simulate.ts";
import { factsOf } from "../../../src/evaluation/path-facts.ts";
import { silentLogger } from "../../../src/log.ts";
import { writeCalibration } from "../../support/ewma-calibration.ts";
import { ewmaInput, forecastRequest } from "../../support/forecast-inputs.ts";
import { installTrees } from "../../support/lgbm-models.ts";
import { hashOf, type ManifestJson } from "../../support/patchtst-models.ts";
import { tempFolder } from "../../support/temp-folder.ts";

async function accept(
  test: TestContext,
  args: readonly string[],
  change?: (manifest: ManifestJson) => void,
): Promise<{ code: number; out: string }> {
  const dir = await tempFolder(test);
  const calibration = await writeCalibration(dir);
  const manifest = await installTrees(dir, await hashOf(calibration), change);
  const { options, positionals } = acceptanceCommand;
  const flags = ["--models", manifest, "--engines.calibration", calibration, ...args];
  const loaded = loadConfig({ args: flags, env: {}, cwd: dir, options, positionals, configFiles: [] });
  const lines: string[] = [];
  const signal = new AbortController().signal;
  const print = (text: string): void => void lines.push(text);
  const code = await acceptanceCommand.run({ ...loaded, logger: silentLogger, signal, print });
  return { code, out: lines.join("\n") };
}

/** The time is the machine's: generous here. */
const SLOW = ["--budget-ms", "60000"];

describe("acceptance of LGBM models", () => {
  it("measures the mean against the centre that the paths are meant to have", () => {
    const steps = 288;
    // A quarter of a standard deviation at the end: eight standard errors of a thousand paths.
    const drift = (0.25 * 1e-3 * Math.sqrt(steps)) / steps;
    const { model } = ewmaInput({ centre: new Array<number>(steps).fill(drift) });
    const paths = simulatePathModel(forecastRequest(), model);
    assert.ok(Math.abs(factsOf(paths, 1000, steps * drift).meanZ) < 4.5);
    assert.ok(factsOf(paths, 1000).meanZ > 4.5);
  });

  it("passes sound trees, and shows the time of inference", async (test) => {
    const { code, out } = await accept(test, SLOW);
    assert.equal(code, 0, out);
    assert.match(out, /LF-BTC │ BTC +│ sound .*│ accepted/);
    assert.match(out, /inference ms/);
  });

  it("passes those of which nothing is proven, or that are switched off", async (test) => {
    const { code, out } = await accept(test, [
      ...SLOW,
      "--engines.lgbm.centre",
      "off",
      "--engines.lgbm.residual",
      "off",
    ]);
    assert.equal(code, 0, out);
  });

  it("fails trees that answer beyond all bounds, and such as are too slow", async (test) => {
    const wild = await accept(test, SLOW, ({ models }) => {
      models["LF-BTC"]!["file"] = "wild.onnx";
    });
    assert.equal(wild.code, 1);
    assert.match(wild.out, /LF-BTC BTC: model\/mismatch/);
    const slow = await accept(test, ["--budget-ms", "0.01"]);
    assert.equal(slow.code, 1);
    assert.match(slow.out, /LF-BTC BTC: median \d+ ms above 0\.01 ms/);
  });
});
