import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { getPriority, setPriority } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { retrainCommand } from "../../../src/commands/retrain.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { readManifest } from "../../../src/engines/models/manifest.ts";
import { boosterTraining, isDue, trainingDates, trainingPython } from "../../../src/evaluation/retrain.ts";
import { silentLogger } from "../../../src/log.ts";
import { MONDAY } from "../../support/candle-folder.ts";
import { promotionIn } from "../../support/promotion.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;

describe("the dates of a training", () => {
  it("leave the newest days to promotion, and a season each to validation and test", () => {
    const newest = Date.parse("2026-11-21T10:00:00Z") / 1000;
    assert.deepEqual(trainingDates(newest, 14), { to: "2026-11-07", test: "2026-08-09", validation: "2026-05-11" });
  });
});

describe("a training of boosters", () => {
  const place = { out: "/staging", work: "/work" };

  it("asks for the assets of one frequency, on candles up to the held-out days", () => {
    const { script, flags } = boosterTraining(["LF-BTC", "LF-SP500"], { to: "2026-11-07" }, { ...place, dirs: ["/d"] });
    assert.equal(script, "lgbm.py");
    assert.deepEqual(flags, [
      ...["--lf-only", "--asset", "BTC", "SP500", "--data", "/d", "--model-dir", "/staging", "--work", "/work"],
      ...["--until", "2026-11-07", "--out-log", "/staging/lgbm/scores.jsonl"],
    ]);
  });

  it("takes one folder of candles", () => {
    const train = (dirs: string[]): unknown => boosterTraining(["HF-BTC"], { to: "2026-11-07" }, { ...place, dirs });
    assert.throws(() => train(["/a", "/b"]), { code: "train/one_folder", message: /found 2: \/a, \/b/ });
    assert.throws(() => train([]), { code: "train/one_folder" });
  });
});

describe("a weekly training", () => {
  it("is not due the first time, nor before its days are over, also after a damaged stamp", async (test) => {
    const stamp = join(await tempFolder(test), "state/retrain.json");
    const at = async (day: number): Promise<boolean> => isDue(stamp, 6, (MONDAY + day * DAY) * 1000);
    const due: boolean[] = [];
    for (const day of [0, 1, 5.9, 6, 7, 13]) due.push(await at(day));
    assert.deepEqual(due, [false, false, false, true, false, true]);
    await writeFile(stamp, "{");
    assert.deepEqual([await at(30), await at(36)], [false, true]);
  });

  it("says how to get a Python where there is none", () => {
    assert.throws(() => trainingPython("/nowhere", undefined), { code: "train/no_python" });
    assert.equal(trainingPython("/nowhere", process.execPath), process.execPath);
  });
});

describe("retrain", () => {
  async function run(
    test: TestContext,
    ...args: readonly string[]
  ): Promise<{ code: number; out: string; dir: string; asked: Record<string, string>[] }> {
    const dir = await tempFolder(test);
    const options = await promotionIn(dir);
    await rm(join(dir, "staging"), { recursive: true });
    const python = join(dir, "python");
    const script = join(import.meta.dirname, "../../support/fake-train.ts");
    await writeFile(python, `#!/bin/sh\nexec "${process.execPath}" "${script}" "$@"\n`);
    await chmod(python, 0o755);
    const log = join(dir, "asked.jsonl");
    await writeFile(log, "");
    const env = { SYNTH_TRAIN_PYTHON: python, FAKE_TRAIN_LOG: log, FAKE_TRAIN_CALIBRATION: options.calibration.sha256 };
    const [before, priority] = [{ ...process.env }, getPriority()];
    Object.assign(process.env, env);
    await mkdir(join(options.stateDir, "train/2020-01-01"), { recursive: true });
    const flags = [
      ...["--staging", options.staging, "--current", options.current, "--data", dir, "--state-dir", options.stateDir],
      ...["--engines.calibration", options.score.settings.calibration!, "--paths", "20", "--workers", "1"],
      ...["--stride", "4h", "--min-prompts", "20", "--holdout-days", "3", ...args],
    ];
    const { options: schema, positionals } = retrainCommand;
    const loaded = loadConfig({ args: flags, env: {}, cwd: dir, options: schema, positionals, configFiles: [] });
    const lines: string[] = [];
    const print = (text: string): void => void lines.push(text);
    try {
      const signal = new AbortController().signal;
      const code = await retrainCommand.run({ ...loaded, logger: silentLogger, signal, print });
      const asked = (await readFile(log, "utf8")).split("\n").filter((line) => line !== "");
      return {
        code,
        out: lines.join("\n"),
        dir,
        asked: asked.map((line) => JSON.parse(line) as Record<string, string>),
      };
    } finally {
      process.env = before;
      // A user may not be allowed to raise it again; the process ends soon.
      try {
        setPriority(priority);
      } catch {
        assert.notEqual(process.getuid?.(), 0);
      }
    }
  }

  it("trains up to the held-out days into the staging folder, then promotes", async (test) => {
    const { code, out, dir, asked } = await run(test, "--models", "LF-crypto");
    assert.equal(code, 0, out);
    // Candles end on 9 September, 00:00.
    const work = join(dir, "state/train/2025-09-06");
    assert.deepEqual(asked, [
      {
        ...{ model: "LF-crypto", data: dir, out: join(dir, "staging"), work },
        ...{ validation: "2025-03-10", test: "2025-06-08", to: "2025-09-06" },
      },
    ]);
    assert.deepEqual(await readdir(join(dir, "state/train")), ["2025-09-06"]);
    assert.match(out, /LF-crypto │ [0-9a-f]{12} │ kept out │ in use already/);
  });

  it("fails, and keeps what is in use, where a training fails", async (test) => {
    const { code, out, dir, asked } = await run(test, "--models", "HF");
    assert.deepEqual([code, asked.length], [1, 1], out);
    assert.deepEqual(Object.keys(readManifest(join(dir, "models/manifest.json")).models), ["LF-crypto"]);
    assert.doesNotMatch(out, /PROMOTED/);
  });

  it("does nothing while it is not due", async (test) => {
    const { code, asked } = await run(test, "--every-days", "6");
    assert.deepEqual([code, asked], [0, []]);
  });
});
