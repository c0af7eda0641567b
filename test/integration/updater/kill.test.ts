import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { readUpdaterStatus } from "../../../src/store/status-file.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import { tempFolder } from "../../support/temp-folder.ts";

/** `UPDATER_KILLS=200` for the long version. */
const KILLS = Number(process.env["UPDATER_KILLS"] ?? 40);
const SEED = 20250801;
const ASSETS = ["BTC", "ETH", "SPYX"] as const;

function start(script: string, argument: string): ChildProcess {
  return fork(fileURLToPath(new URL(`../../support/${script}`, import.meta.url)), [argument]);
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

describe("kill -9", () => {
  it(`of the updater at ${KILLS} random moments: every file loads, the next life takes over`, async (t) => {
    const stateDir = await tempFolder(t);
    const store = new VolatilityStore(stateDir);
    const momentsMs = fc.sample(fc.double({ min: 0, max: 25, noNaN: true }), { numRuns: KILLS, seed: SEED });
    for (const [life, momentMs] of momentsMs.entries()) {
      const child = start("updater-loop.ts", stateDir);
      const [message] = (await Promise.race([once(child, "message"), once(child, "exit")])) as [unknown];
      assert.equal(message, "started", `life ${life}`);
      // The moment is what is tested: anywhere inside a save.
      await delay(momentMs);
      await kill(child);
      for (const asset of ASSETS) assert.equal(store.load(asset).status, "ok", `${asset} after life ${life}`);
      assert.equal(readUpdaterStatus(stateDir).status, "ok");
    }
    // Whatever temp files the killed left were cleared by their successors: at most the last life's remain.
    const names = await readdir(join(stateDir, "volatility"));
    assert.ok(names.length <= 2 * ASSETS.length, names.join());
    assert.ok(
      names.every((name) => !name.includes("corrupt")),
      names.join(),
    );
  });

  it(
    "leaves a lock that exactly one of several rivals takes over",
    { skip: !existsSync("/proc/self/stat") },
    async (t) => {
      const path = join(await tempFolder(t), "updater.lock");
      await writeFile(path, JSON.stringify({ pid: process.pid, startToken: "1" }));
      const rivals = Array.from({ length: 5 }, () => start("lock-rival.ts", path));
      const said = await Promise.all(rivals.map(async (rival) => ((await once(rival, "message")) as [string])[0]));
      assert.deepEqual(said.sort(), ["held", ...Array<string>(4).fill("updater/locked")]);
      await Promise.all(rivals.filter(({ exitCode }) => exitCode === null).map(kill));
    },
  );
});
