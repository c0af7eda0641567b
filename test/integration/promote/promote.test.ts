import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promoteCommand } from "../../../src/commands/promote.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { besideManifest, readManifest, readVerified } from "../../../src/engines/models/manifest.ts";
import { openModels } from "../../../src/engines/models/source.ts";
import { KEPT_SECONDS } from "../../../src/evaluation/promote/install.ts";
import { filesOf } from "../../../src/evaluation/promote/model-files.ts";
import { promote, type Decision, type PromoteOptions } from "../../../src/evaluation/promote/promote.ts";
import { scoreManifest } from "../../../src/evaluation/promote/score-models.ts";
import { silentLogger } from "../../../src/log.ts";
import { writeFileAtomic } from "../../../src/store/atomic-file.ts";
import { acquireLock } from "../../../src/updater/process-lock.ts";
import { promotionIn, renamed, scoresTimes, TRAINED_TO } from "../../support/promotion.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

async function decide(options: PromoteOptions): Promise<Decision[]> {
  const decisions: Decision[] = [];
  for await (const decision of promote(options)) decisions.push(decision);
  return decisions;
}

async function decideOne(options: PromoteOptions): Promise<Decision> {
  const [decision, ...others] = await decide(options);
  assert.deepEqual(others, []);
  return decision!;
}

/** The hash of the model that a server would load; every file that the manifest names is there and what it should be. */
function serving({ current }: PromoteOptions): string {
  const { models } = readManifest(current);
  for (const { file, sha256 } of filesOf(models)) readVerified(besideManifest(current, file), sha256);
  return models["LF-crypto"]!.sha256;
}

describe("a promotion", () => {
  it("gives two namesakes of one network the same score to the bit, and servers take the new one over", async (test) => {
    const options = await promotionIn(await tempFolder(test), { scoreModel: scoreManifest });
    const clock = new SteppedClock(1000);
    const { calibration, current: manifestFile } = options;
    const onProblem = (problem: string): void => {
      assert.fail(problem);
    };
    const models = openModels({ manifestFile, calibration, clock, onProblem });
    await models.whenReady();
    const before = serving(options);
    const { promoted, reason, comparison, window, opponent, staged } = await decideOne(options);
    assert.deepEqual([promoted, reason, opponent], [true, "not_worse", "current"]);
    assert.deepEqual([comparison!.ratio, comparison!.low, comparison!.high], [1, 1, 1]);
    assert.ok(comparison!.prompts >= 40 && comparison!.answeredByStaged === comparison!.prompts);
    assert.ok(window!.from >= TRAINED_TO, window!.from);
    clock.advance(11);
    await models.whenReady();
    const found = models.find("patchtst", "BTC", "24h");
    assert.ok(!("code" in found));
    assert.deepEqual([found.reference.sha256, serving(options)], [staged, staged]);
    assert.notEqual(staged, before);
    assert.match(found.reference.file, new RegExp(`newer-${staged.slice(0, 12)}\\.onnx$`));
  });

  it("compares with the EWMA engine where no model is in use, on what followed its training alone", async (test) => {
    const options = await promotionIn(await tempFolder(test), {
      scoreModel: scoreManifest,
      rule: { tolerance: 0.1, minPrompts: 1e6 },
    });
    await rm(options.current);
    const { opponent, comparison, window, promoted, reason } = await decideOne(options);
    assert.deepEqual([opponent, comparison!.answeredByCurrent], ["ewma", 0]);
    assert.ok(window!.from >= TRAINED_TO);
    assert.notEqual(comparison!.ratio, 1);
    assert.deepEqual([promoted, reason], comparison!.ratio! <= 1.1 ? [true, "not_worse"] : [false, "worse"]);
    assert.equal(existsSync(options.current), promoted);
  });

  it("keeps a worse model out, and one of too few prompts, and logs what was decided", async (test) => {
    const options = await promotionIn(await tempFolder(test), { scoreModel: scoresTimes(1.001) });
    const before = await readFile(options.current);
    const few = { ...options, rule: { ...options.rule, minPrompts: 1e6 }, scoreModel: scoresTimes(0.5) };
    const decisions = [await decideOne(options), await decideOne(few)];
    assert.deepEqual(
      decisions.map(({ promoted, reason }) => [promoted, reason]),
      [
        [false, "worse"],
        [false, "too_few_prompts"],
      ],
    );
    assert.deepEqual(await readFile(options.current), before);
    const lines = (await readFile(join(options.stateDir, "promotions.jsonl"), "utf8")).trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as Decision),
      decisions,
    );
    assert.deepEqual(await readdir(options.stateDir), ["promotions.jsonl"]);
  });

  it("is not needed by what is in use already", async (test) => {
    const options = await promotionIn(await tempFolder(test));
    assert.equal((await decideOne(options)).promoted, true);
    const before = await stat(options.current);
    assert.deepEqual([(await decideOne(options)).reason, (await stat(options.current)).ino], ["unchanged", before.ino]);
  });

  it("changes nothing when it is a dry run", async (test) => {
    const options = await promotionIn(await tempFolder(test), { dryRun: true });
    const before = serving(options);
    assert.equal((await decideOne(options)).promoted, true);
    assert.equal(serving(options), before);
    assert.equal(existsSync(join(options.stateDir, "promotions.jsonl")), false);
  });
});

describe("a staged model that is broken", () => {
  const BROKEN: readonly (readonly [string, string, (dir: string) => Promise<unknown>])[] = [
    ["half-written", "model/mismatch", (dir) => truncate(join(dir, "newer.onnx"), 1000)],
    ["missing", "model/not_installed", (dir) => rm(join(dir, "newer.onnx"))],
    ["without golden pairs", "model/not_installed", (dir) => rm(join(dir, "golden.json"))],
    ["of another calibration", "model/other_calibration", (dir) => edit(dir, { calibrationSha256: "3".repeat(64) })],
    ["of other half-lives", "model/mismatch", (dir) => edit(dir, { featureHalfLifeSeconds: [1800, 7200] })],
  ];
  for (const [name, code, damage] of BROKEN) {
    it(`(${name}) never replaces one in use: ${code}`, async (test) => {
      const dir = await tempFolder(test);
      const options = await promotionIn(dir, { scoreModel: scoresTimes(0.5) });
      const before = serving(options);
      await damage(join(dir, "staging"));
      const { promoted, reason, problem } = await decideOne(options);
      assert.deepEqual([promoted, reason, problem?.code], [false, "unsound", code]);
      assert.equal(serving(options), before);
    });
  }

  it("stops at a manifest that is half-written, or not there", async (test) => {
    const options = await promotionIn(await tempFolder(test));
    const before = serving(options);
    await truncate(options.staging, 100);
    await assert.rejects(decide(options), { code: "model/corrupt" });
    await rm(options.staging);
    await assert.rejects(decide(options), { code: "model/not_installed" });
    assert.equal(serving(options), before);
  });

  async function edit(dir: string, change: object): Promise<void> {
    const path = join(dir, "manifest.json");
    const manifest = JSON.parse(await readFile(path, "utf8")) as { models: Record<string, object> };
    Object.assign(manifest.models["LF-crypto"]!, change);
    await writeFile(path, JSON.stringify(manifest));
  }
});

describe("a promotion that ends halfway", () => {
  // Three writes: network, golden pairs, manifest.
  for (const [writes, when] of [0, 1, 2].flatMap((n) => [[n, "before"] as const, [n, "after"] as const])) {
    it(`(${when} write ${writes}) leaves a model in use that is whole, and the next one succeeds`, async (test) => {
      const options = await promotionIn(await tempFolder(test));
      const before = serving(options);
      let left = writes;
      const write: typeof writeFileAtomic = async (path, content) => {
        const isLast = left-- === 0;
        if (isLast && when === "before") throw new Error("disk full");
        await writeFileAtomic(path, content);
        if (isLast) throw new Error("disk full");
      };
      await assert.rejects(decide({ ...options, write }), /disk full/);
      const isDone = writes === 2 && when === "after";
      assert.equal(serving(options) !== before, isDone);
      assert.equal((await decideOne(options)).reason, isDone ? "unchanged" : "not_worse");
      assert.notEqual(serving(options), before);
    });
  }

  it("by SIGKILL leaves what the next one clears away", async (test: TestContext) => {
    for (const writes of [1, 2]) {
      const dir = await tempFolder(test);
      const script = join(import.meta.dirname, "../../support/killed-promotion.ts");
      const { signal } = spawnSync(process.execPath, [script, dir, String(writes)], { encoding: "utf8" });
      assert.equal(signal, "SIGKILL");
      const options = await promotionIn(dir);
      assert.deepEqual(await readdir(options.stateDir), ["promotion"]);
      serving(options);
      assert.equal((await decideOne(options)).promoted, true);
      assert.deepEqual(await readdir(options.stateDir), ["promotions.jsonl"]);
    }
  });

  it("because the manifest became another or vanished leaves it as it is", async (test) => {
    const options = await promotionIn(await tempFolder(test));
    const meanwhile = (change: () => Promise<void>): PromoteOptions => ({
      ...options,
      scoreModel: async (...args) => {
        await change();
        return scoresTimes(1)(...args);
      },
    });
    const other = `${await readFile(options.current, "utf8")}\n`;
    const changed = decide(meanwhile(() => writeFile(options.current, other)));
    await assert.rejects(changed, { code: "promote/manifest_changed" });
    assert.equal(await readFile(options.current, "utf8"), other);
    await assert.rejects(decide(meanwhile(() => rm(options.current, { force: true }))), {
      code: "promote/manifest_changed",
    });
    assert.equal(existsSync(options.current), false);
  });
});

describe("replaced models", () => {
  it("stay for two days, then go with a later promotion; what the manifest names and what others put there stays", async (test) => {
    const dir = await tempFolder(test);
    const options = await promotionIn(dir);
    const models = join(dir, "models");
    const first = (await decideOne(options)).staged.slice(0, 12);
    // Its own age says nothing: it is old from the day of its replacement on.
    await utimes(join(models, `newer-${first}.onnx`), 0, 0);
    await stage("third");
    const second = (await decideOne(options)).staged.slice(0, 12);
    const kept = await readdir(models);
    assert.ok(kept.includes(`newer-${first}.onnx`) && kept.includes(`third-${second}.onnx`), kept.join());
    await writeFile(join(models, "mine.onnx"), "");
    for (const name of kept) await utimes(join(models, name), 0, Date.now() / 1000 - KEPT_SECONDS - 60);
    await stage("fourth");
    await decideOne({ ...options, scoreModel: scoresTimes(2) });
    const left = await readdir(models);
    assert.deepEqual(left.filter((name) => name.endsWith(".onnx")).sort(), [
      "mine.onnx",
      `third-${second}.onnx`,
      "tiny.onnx",
      "wild.onnx",
    ]);
    serving(options);

    async function stage(name: string): Promise<void> {
      const next = await renamed(join(dir, "models"), name).then(async (named) => {
        const content = await readFile(join(dir, "models", named.file));
        await rm(join(dir, "models", named.file));
        await writeFile(join(dir, "staging", named.file), content);
        return named;
      });
      const manifest = JSON.parse(await readFile(options.staging, "utf8")) as { models: Record<string, object> };
      Object.assign(manifest.models["LF-crypto"]!, next);
      await writeFile(options.staging, JSON.stringify(manifest));
    }
  });
});

describe("promote", () => {
  async function run(
    test: TestContext,
    ...args: readonly string[]
  ): Promise<{ code: number; out: string; dir: string }> {
    const dir = await tempFolder(test);
    const options = await promotionIn(dir);
    if (args.includes("broken")) await truncate(join(dir, "staging/newer.onnx"), 10);
    const lock = args.includes("locked") ? await acquireLock(join(dir, "models/promotion.lock")) : null;
    const flags = [
      ...["--staging", options.staging, "--current", options.current, "--data", dir, "--state-dir", options.stateDir],
      ...[
        "--engines.calibration",
        options.score.settings.calibration!,
        "--paths",
        "20",
        "--workers",
        "1",
        "--stride",
        "4h",
      ],
      ...args.filter((arg) => !["broken", "locked"].includes(arg)),
    ];
    const { options: schema, positionals } = promoteCommand;
    const loaded = loadConfig({ args: flags, env: {}, cwd: dir, options: schema, positionals, configFiles: [] });
    const lines: string[] = [];
    const print = (text: string): void => void lines.push(text);
    try {
      const signal = new AbortController().signal;
      const code = await promoteCommand.run({ ...loaded, logger: silentLogger, signal, print });
      return { code, out: lines.join("\n"), dir };
    } finally {
      await lock?.release();
    }
  }

  it("prints what it decided, with interval and rule", async (test) => {
    const { code, out, dir } = await run(test, "--min-prompts", "40");
    assert.equal(code, 0, out);
    assert.match(
      out,
      /LF-crypto │ [0-9a-f]{12} │ PROMOTED │ not worse +│ current │ +\d+ │ 1\.00000 \[1\.00000, 1\.00000\]/,
    );
    assert.match(out, /a ratio up to 1, of 40 prompts or more/);
    assert.equal(existsSync(join(dir, "models/promotion.lock")), false);
  });

  it("fails where a staged model is broken, and says how", async (test) => {
    const { code, out } = await run(test, "broken");
    assert.equal(code, 1);
    assert.match(out, /LF-crypto: model\/mismatch: .*newer\.onnx: expected the file with sha256/);
  });

  it("refuses to run beside another one", async (test) => {
    await assert.rejects(run(test, "locked", "--wait-minutes", "0"), { code: "promote/locked" });
  });
});
