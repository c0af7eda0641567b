import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { readEwmaCalibration } from "../../src/engines/ewma/calibration.ts";
import { sha256Of } from "../../src/engines/models/manifest.ts";
import type { PromoteOptions } from "../../src/evaluation/promote/promote.ts";
import type { PromptTotal } from "../../src/evaluation/promote/compare.ts";
import { backtestSettings, generatedMinutes, MONDAY, writeCandles } from "./candle-folder.ts";
import { writeCalibration } from "./ewma-calibration.ts";
import { hashOf, installModels } from "./patchtst-models.ts";

const DAY = 86_400;
/** What the fixture says it was trained to in these tests: six of the eight days of candles follow. */
export const TRAINED_TO = "2025-09-03T00:00:00Z";

/** The fixture's network with a name of its own inside, and so another hash. */
export async function renamed(dir: string, name: string): Promise<{ file: string; sha256: string }> {
  const content = await readFile(join(dir, "tiny.onnx"));
  content.write(name.padEnd(7).slice(0, 7), content.indexOf("fixture"), "latin1");
  await writeFile(join(dir, `${name}.onnx`), content);
  return { file: `${name}.onnx`, sha256: sha256Of(content) };
}

/** Scores that are the same on both sides but for a factor on the staged model's. */
export function scoresTimes(factor: number): NonNullable<PromoteOptions["scoreModel"]> {
  return (chunks, { manifestFile }) => {
    const isStaged = manifestFile.includes("staged");
    const totals = chunks.flatMap(({ asset, starts }) =>
      starts.map((start): PromptTotal => ({ asset, start, total: isStaged ? 100 * factor : 100, answered: true })),
    );
    return Promise.resolve(totals);
  };
}

/** A folder with candles, a calibration, the fixture's model in use and its namesake staged. */
export async function promotionIn(dir: string, changes: Partial<PromoteOptions> = {}): Promise<PromoteOptions> {
  const [models, staging] = [join(dir, "models"), join(dir, "staging")];
  for (const folder of [models, staging]) await mkdir(folder, { recursive: true });
  for (const asset of ["BTC", "ETH"] as const) {
    const candles = generatedMinutes(asset, MONDAY, MONDAY + 8 * DAY);
    await writeCandles(dir, { asset, resolution: "1m", candles });
  }
  const file = await writeCalibration(dir);
  const sha256 = await hashOf(file);
  const trained = { from: "2025-01-01T00:00:00Z", to: TRAINED_TO };
  const current = await installModels(models, sha256);
  await installModels(staging, sha256);
  const next = await renamed(staging, "newer");
  const staged = await installModels(staging, sha256, (manifest) => {
    Object.assign(manifest.models["LF-crypto"]!, next, { trainingWindow: trained });
  });
  // Nothing of the fixture but what the manifest names.
  await rm(join(staging, "wild.onnx"));
  return {
    staging: staged,
    current,
    stateDir: join(dir, "state"),
    names: [],
    dirs: [dir],
    days: 60,
    strideSeconds: 4 * 3600,
    minObserved: 0.1,
    rule: { tolerance: 1e-4, minPrompts: 20 },
    calibration: { sha256, content: readEwmaCalibration(file) },
    score: { settings: backtestSettings(20, file), workers: 1 },
    onProgress: () => undefined,
    dryRun: false,
    clock: systemClock,
    signal: new AbortController().signal,
    scoreModel: scoresTimes(1),
    ...changes,
  };
}
