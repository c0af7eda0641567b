import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { freePort } from "../../src/demo/free-port.ts";
import { askAxon } from "../../src/demo/validator.ts";
import { CORRECT } from "../../src/subnets/synth/validate-answer.ts";
import { writeHotkeyFile } from "../../src/wallet/keyfile.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";

const run = promisify(execFile);

/** What learns from our own answers, by the clock. */
const LEARNERS = ["synth-calibrate-hf", "synth-calibrate-lf-crypto", "synth-calibrate-lf-equity", "synth-scorer"];

interface Pm2Process {
  readonly name: string;
  readonly pm2_env: {
    readonly status: string;
    readonly restart_time: number;
    readonly exit_code?: number;
    /** Unix milliseconds of the last start. */
    readonly pm_uptime: number;
  };
}

describe("pm2 with the shipped ecosystem file", { timeout: 180_000 }, () => {
  let miner: TestMiner;
  before(async () => {
    miner = await createTestMiner();
  });
  after(async () => {
    await pm2(["kill"]);
    await miner.close();
  });

  async function pm2(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    const binary = path.join(PACKAGE_ROOT, "node_modules/pm2/bin/pm2");
    const home = { PM2_HOME: path.join(miner.dir, "pm2"), PM2_DISCRETE_MODE: "true" };
    const options = { env: { ...process.env, ...home, ...env }, cwd: PACKAGE_ROOT, maxBuffer: 2 ** 26 };
    return (await run(process.execPath, [binary, ...args], options)).stdout;
  }

  async function processes(): Promise<Map<string, Pm2Process["pm2_env"]>> {
    const out = await pm2(["jlist"]);
    const list = JSON.parse(out.slice(out.lastIndexOf("\n[") + 1)) as Pm2Process[];
    return new Map(list.map(({ name, pm2_env }) => [name, pm2_env]));
  }

  it("starts an updater and two axons on one state folder, waits for ready, answers, and stops them cleanly", async () => {
    const seed = randomBytes(32);
    await writeHotkeyFile({ path: path.join(miner.dir, "wallets"), name: "demo", hotkey: "second" }, seed);
    const secondPort = await freePort();
    const axons = `miner:${miner.axon.port},second:${secondPort}`;
    // The second axon's health port follows from its own; a fixed one would collide.
    const shared = ["--config", miner.configFile, "--health.port", "0"];
    await pm2(["start", "ecosystem.config.js", "--", ...shared], { SYNTH_AXONS: axons });
    const started = await processes();
    assert.deepEqual([...started.keys()].sort(), [
      "synth-axon-miner",
      "synth-axon-second",
      ...LEARNERS,
      "synth-updater",
    ]);
    // Those that learn may have done their work already; cron starts them again.
    for (const name of LEARNERS) started.delete(name);
    for (const [name, { status }] of started) assert.equal(status, "online", name);

    const startTimeSeconds = Math.ceil(Date.now() / 60_000) * 60 + 60;
    const prompt = {
      asset: "BTC",
      startTimeSeconds,
      stepSeconds: 60,
      horizonSeconds: 3600,
      numSimulations: 1000,
    } as const;
    const context = { keypair: miner.validator, timeoutSeconds: 30 };
    const second = { url: `http://127.0.0.1:${secondPort}`, hotkey: keypairFromSeed(seed).address };
    for (const axon of [miner.axon, second]) {
      const { verdict, signed } = await askAxon(axon, prompt, context);
      assert.deepEqual([verdict, signed], [CORRECT, true]);
    }
    // They take turns; one that is stopped before its end says so.
    let now = await processes();
    while (LEARNERS.some((name) => now.get(name)!.status !== "stopped")) now = await processes();
    await pm2(["stop", "all"]);
    for (const [name, { status, exit_code }] of await processes()) {
      assert.deepEqual([status, exit_code ?? 0], ["stopped", 0], name);
    }
    await pm2(["delete", "all"]);
  });

  it("does not restart what a person must mend: exit code 2", async () => {
    await pm2(["start", "ecosystem.config.js", "--only", "synth-axon", "--", "--netuid", "nonsense"]).catch(() => "");
    // With a back-off configured pm2 calls such a process "waiting restart", but starts it no more: look well past the
    // first back-off (500 ms).
    const { pm_uptime } = (await processes()).get("synth-axon")!;
    let now = await processes();
    while (Date.now() < pm_uptime + 2500) now = await processes();
    const { restart_time, exit_code } = now.get("synth-axon")!;
    assert.deepEqual([restart_time, exit_code], [0, 2]);
  });
});
