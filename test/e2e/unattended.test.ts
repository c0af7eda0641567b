import assert from "node:assert/strict";
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { askAxon } from "../../src/demo/validator.ts";
import { CORRECT } from "../../src/subnets/synth/validate-answer.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** Every write to it says that the disk is full. */
const FULL = "/dev/full";

describe("a daemon that nobody attends", { timeout: 120_000 }, () => {
  let miner: TestMiner;
  before(async () => {
    miner = await createTestMiner();
    await miner.start("update").ready;
  });
  after(() => miner.close());

  function start(t: TestContext, args: readonly string[], stdio: StdioOptions): ChildProcess {
    const main = path.join(PACKAGE_ROOT, "src/main.ts");
    const child = spawn(process.execPath, [main, ...args, "--config", miner.configFile], { cwd: miner.dir, stdio });
    t.after(() => child.kill("SIGKILL"));
    return child;
  }

  /** Until `condition` holds or the process has ended; the test's own timeout ends a wait that never does. */
  async function until(child: ChildProcess, condition: () => boolean | Promise<boolean>): Promise<void> {
    while (child.exitCode === null && child.signalCode === null && !(await condition())) await systemClock.sleep(50);
    assert.deepEqual([child.exitCode, child.signalCode], [null, null], "it lives");
  }

  async function answersAndStops(child: ChildProcess): Promise<void> {
    const startTimeSeconds = Math.ceil(Date.now() / 60_000) * 60 + 60;
    const prompt = { startTimeSeconds, stepSeconds: 60, horizonSeconds: 3600, numSimulations: 1000 };
    const context = { keypair: miner.validator, timeoutSeconds: 30 };
    assert.equal((await askAxon(miner.axon, { asset: "BTC", ...prompt }, context)).verdict, CORRECT);
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [0, null]);
  }

  const isListening = (): Promise<boolean> =>
    fetch(`${miner.healthUrl}/healthz`).then(
      ({ status }) => status === 200,
      () => false,
    );

  it(
    "works on where what it logs and prints meets a full disk",
    { skip: !existsSync(FULL) && `needs ${FULL}` },
    async (t) => {
      const full = openSync(FULL, "w");
      t.after(() => {
        closeSync(full);
      });
      const serve = start(t, ["serve"], ["ignore", full, full]);
      await until(serve, isListening);
      await answersAndStops(serve);
      const stateDir = ["--state-dir", await tempFolder(t)];
      const update = start(t, ["update", "--one-shot", ...stateDir], ["ignore", full, full]);
      assert.deepEqual(await once(update, "exit"), [0, null]);
    },
  );

  it("works on when its terminal closes", async (t) => {
    const file = path.join(miner.dir, "terminal.log");
    const log = openSync(file, "a");
    t.after(() => {
      closeSync(log);
    });
    const serve = start(t, ["serve"], ["ignore", log, log]);
    await until(serve, isListening);
    serve.kill("SIGHUP");
    await until(serve, () => readFileSync(file, "utf8").includes('"signal":"SIGHUP"'));
    await answersAndStops(serve);
  });

  it("becomes ready without the supervisor that started it", async (t) => {
    const file = path.join(miner.dir, "orphan.log");
    const log = openSync(file, "a");
    t.after(() => {
      closeSync(log);
    });
    const serve = start(t, ["serve"], ["ignore", log, log, "ipc"]);
    serve.disconnect();
    await until(serve, () => readFileSync(file, "utf8").includes('"msg":"Ready: '));
    await answersAndStops(serve);
  });
});
