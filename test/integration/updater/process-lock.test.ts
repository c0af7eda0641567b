import assert from "node:assert/strict";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { acquireLock } from "../../../src/updater/process-lock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DEAD_PID = 2 ** 22 + 5;

describe("acquireLock", () => {
  it("admits one holder, and the next after its release", async (t) => {
    const folder = await tempFolder(t);
    const path = join(folder, "state", "updater.lock");
    const lock = await acquireLock(path);
    await assert.rejects(acquireLock(path), { code: "updater/locked" });
    assert.deepEqual(await readdir(join(folder, "state")), ["updater.lock"]);
    await lock.release();
    await (await acquireLock(path)).release();
    assert.deepEqual(await readdir(join(folder, "state")), []);
  });

  it("takes over from dead processes, reused pids and damaged files", async (t) => {
    const path = join(await tempFolder(t), "updater.lock");
    const stale = [
      JSON.stringify({ pid: DEAD_PID, startToken: "1" }),
      // Our own pid, and a living one, in a former life.
      JSON.stringify({ pid: process.pid, startToken: "1" }),
      JSON.stringify({ pid: process.ppid, startToken: "1" }),
      "",
      "not json",
      "{}",
    ];
    for (const text of stale) {
      await writeFile(path, text);
      const lock = await acquireLock(path);
      assert.equal((JSON.parse(await readFile(path, "utf8")) as { pid: number }).pid, process.pid, text);
      await lock.release();
    }
  });

  it("holds against rivals in the same process too", async (t) => {
    const path = join(await tempFolder(t), "updater.lock");
    await writeFile(path, JSON.stringify({ pid: DEAD_PID, startToken: "" }));
    const first = await acquireLock(path);
    const rivals = await Promise.allSettled([acquireLock(path), acquireLock(path)]);
    assert.deepEqual(
      rivals.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    await first.release();
  });

  it("does not release what another process took over meanwhile", async (t) => {
    const path = join(await tempFolder(t), "updater.lock");
    const lock = await acquireLock(path);
    await writeFile(path, "another's");
    await lock.release();
    assert.equal(await readFile(path, "utf8"), "another's");
  });
});
