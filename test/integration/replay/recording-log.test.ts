import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, it } from "node:test";
import { silentLogger } from "../../../src/log.ts";
import type { RecordingEntry } from "../../../src/store/recording-format.ts";
import { createRecordingLog, type RecordingLimits, type RecordingLog } from "../../../src/store/recording-log.ts";
import { listRecordingFolders, readRecordings, type RecordingFilter } from "../../../src/store/recording-reader.ts";
import { RecordingClock, recordedExchange, testIdentity } from "../../support/recorded-exchange.ts";

const DAY_MS = 86_400_000;
let root: string;
let dir: string;
let clock: RecordingClock;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "recordings-"));
  dir = join(root, "recordings", "5Hotkey");
  clock = new RecordingClock();
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

function logWith(limits: Partial<RecordingLimits> = {}): RecordingLog {
  return createRecordingLog({
    dir,
    limits: { maxBytes: 1_000_000, maxAgeDays: 14, ...limits },
    clock,
    steadyClock: clock,
    logger: silentLogger,
    identity: testIdentity,
  });
}

async function idsAndDamage(filter: RecordingFilter = {}): Promise<{ ids: string[]; damage: string[] }> {
  const ids: string[] = [];
  const damage: string[] = [];
  for await (const entry of readRecordings(dir, filter)) {
    if (entry.kind === "recording") ids.push(entry.recording.id);
    else damage.push(entry.code);
  }
  return { ids, damage };
}

/** Appends recordings a second apart: forty of them are more than 100 kB. */
async function record(log: RecordingLog, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    ids.push(log.append(recordedExchange({ body: new Uint8Array(2000) })));
    await log.flush();
    clock.ms += 1000;
  }
  return ids;
}

async function folderBytes(): Promise<number> {
  const sizes = await Promise.all((await readdir(dir)).map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

describe("recording log", () => {
  it("gives back the exchange, its id and the software identity", async () => {
    const log = logWith();
    const exchange = recordedExchange();
    const id = log.append(exchange);
    await log.close();
    const reader = readRecordings(dir);
    const entry = (await reader.next()).value as RecordingEntry | undefined;
    assert.ok(entry?.kind === "recording");
    assert.deepEqual(entry.recording, { schema: 1, id, exchange, identity: testIdentity });
    assert.deepEqual(await listRecordingFolders(root), [dir]);
  });

  it("filters by id prefix and by time, in both orders", async () => {
    const log = logWith();
    const ids: string[] = [];
    for (let day = 0; day < 4; day++) {
      ids.push(log.append(recordedExchange()), log.append(recordedExchange()));
      clock.ms += DAY_MS;
    }
    await log.close();
    assert.equal((await readdir(dir)).length, 4);
    assert.deepEqual((await idsAndDamage()).ids, ids);
    assert.deepEqual((await idsAndDamage({ newestFirst: true })).ids, ids.toReversed());
    assert.deepEqual((await idsAndDamage({ ids: [ids[3]!] })).ids, [ids[3]]);
    assert.deepEqual((await idsAndDamage({ ids: ["20261003"] })).ids, ids.slice(4, 6));
    assert.deepEqual((await idsAndDamage({ ids: ["2026"] })).ids, ids);
    assert.deepEqual((await idsAndDamage({ from: "20261002", to: "20261003T130000" })).ids, ids.slice(2, 6));
  });

  it("keeps ids in order when the clock is set back", async () => {
    const log = logWith();
    const first = log.append(recordedExchange());
    clock.ms -= DAY_MS;
    assert.ok(log.append(recordedExchange()) > first);
    await log.close();
  });

  it("starts a new segment after a restart and behind a torn tail", async () => {
    const first = logWith();
    const id = first.append(recordedExchange());
    first.append(recordedExchange());
    await first.close();
    const [name] = await readdir(dir);
    const path = join(dir, name!);
    await truncate(path, (await stat(path)).size - 3);
    const second = logWith();
    const later = second.append(recordedExchange({ status: 503 }));
    await second.close();
    assert.equal((await readdir(dir)).length, 2);
    assert.deepEqual(await idsAndDamage(), { ids: [id, later], damage: ["torn_tail"] });
  });

  it("rotates and deletes the oldest segments, so that the folder stays within maxBytes", async () => {
    const limits = { maxBytes: 100_000 };
    const log = logWith(limits);
    const ids: string[] = [];
    for (let index = 0; index < 200; index++) {
      ids.push(log.append(recordedExchange({ body: new Uint8Array(2000) })));
      await log.flush();
      assert.ok((await folderBytes()) <= limits.maxBytes);
    }
    await log.close();
    const kept = (await idsAndDamage()).ids;
    assert.deepEqual(kept, ids.slice(-kept.length));
    assert.ok((await folderBytes()) > limits.maxBytes / 2);
  });

  it("deletes segments whose newest recording is too old", async () => {
    const log = logWith({ maxAgeDays: 2 });
    log.append(recordedExchange());
    await log.flush();
    clock.ms += 2 * DAY_MS;
    const second = log.append(recordedExchange());
    await log.flush();
    assert.equal((await idsAndDamage()).ids.length, 2);
    clock.ms += DAY_MS;
    const third = log.append(recordedExchange());
    await log.close();
    assert.deepEqual((await idsAndDamage()).ids, [second, third]);
  });

  for (const between of ["in one life", "with restarts"]) {
    it(`keeps the newest when a clock that was five days ahead is right again, ${between}`, async () => {
      let log = logWith({ maxBytes: 100_000 });
      const restart = async (): Promise<void> => {
        await log.close();
        log = logWith({ maxBytes: 100_000 });
      };
      const ids = await record(log, 40);
      for (const stepMs of [5 * DAY_MS, -5 * DAY_MS]) {
        clock.ms += stepMs;
        if (between === "with restarts") await restart();
        ids.push(...(await record(log, stepMs > 0 ? 10 : 60)));
      }
      await log.close();
      const kept = (await idsAndDamage()).ids;
      assert.deepEqual(kept, ids.slice(-kept.length));
      assert.ok((await folderBytes()) > 50_000);
    });
  }

  it("deletes nothing out of turn when the clock steps back over midnight", async () => {
    clock.ms = Date.parse("2026-10-01T23:59:50Z");
    const log = logWith({ maxBytes: 100_000 });
    const ids = await record(log, 40);
    clock.ms -= 90_000;
    ids.push(...(await record(log, 20)));
    await log.close();
    const kept = (await idsAndDamage()).ids;
    assert.deepEqual(kept, ids.slice(-kept.length));
    assert.ok((await folderBytes()) > 50_000);
  });

  it("keeps what a right clock recorded when a wrong one is behind in two steps", async () => {
    const rightMs = clock.ms;
    const ids: string[] = [];
    for (const ms of [rightMs, 0, rightMs - 200 * DAY_MS, rightMs + DAY_MS]) {
      clock.ms = ms;
      const log = logWith();
      ids.push(log.append(recordedExchange()));
      await log.close();
    }
    const kept = (await idsAndDamage()).ids;
    assert.ok(kept.includes(ids[0]!) && kept.includes(ids[3]!), kept.join());
  });

  it("counts the age of what a clock that was ahead had dated from its first sight by a right one", async () => {
    clock.ms += 30 * DAY_MS;
    const wrong = logWith();
    const misdated = wrong.append(recordedExchange());
    await wrong.close();
    clock.ms -= 30 * DAY_MS;
    const log = logWith({ maxAgeDays: 2 });
    const kept: boolean[] = [];
    for (let day = 0; day < 4; day++) {
      log.append(recordedExchange());
      await log.flush();
      kept.push((await idsAndDamage()).ids.includes(misdated));
      clock.ms += DAY_MS;
    }
    await log.close();
    assert.deepEqual(kept, [true, true, false, false]);
  });

  it("goes on beside an old segment that cannot be deleted, and deletes the others", async () => {
    const limits = { maxBytes: 100_000 };
    for (const name of ["2020-01-01-0001.log", "2020-01-01-0003.log"])
      await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, "2020-01-01-0002.log"), "old");
    const log = logWith(limits);
    const ids = await record(log, 60);
    await log.close();
    const { failures, dropped, lastError } = log.stats();
    assert.deepEqual({ failures, dropped }, { failures: 0, dropped: 0 });
    assert.match(lastError ?? "", /EISDIR/);
    const names = await readdir(dir);
    assert.deepEqual(names.filter((name) => name.startsWith("2020")).sort(), [
      "2020-01-01-0001.log",
      "2020-01-01-0003.log",
    ]);
    assert.ok(names.length > 3);
    const kept: string[] = [];
    for await (const entry of readRecordings(dir, { from: "2021" })) {
      if (entry.kind === "recording") kept.push(entry.recording.id);
    }
    assert.deepEqual(kept, ids.slice(-kept.length));
  });

  it("keeps recordings larger than a segment, and counts those larger than the whole folder as dropped", async () => {
    const log = logWith({ maxBytes: 40_000 });
    const large = log.append(recordedExchange({ body: new Uint8Array(20_000) }));
    log.append(recordedExchange({ body: new Uint8Array(50_000) }));
    await log.close();
    assert.deepEqual((await idsAndDamage()).ids, [large]);
    assert.equal(log.stats().dropped, 1);
  });

  it("goes on in a new folder when the operator deletes or moves the old one", async () => {
    const log = logWith();
    log.append(recordedExchange());
    await log.flush();
    await rm(dir, { recursive: true });
    const afterDelete = log.append(recordedExchange());
    await log.flush();
    assert.deepEqual((await idsAndDamage()).ids, [afterDelete]);
    await rename(dir, join(root, "moved"));
    const afterMove = log.append(recordedExchange());
    await log.close();
    assert.deepEqual((await idsAndDamage()).ids, [afterMove]);
    assert.equal(log.stats().failures, 0);
  });

  it("keeps answers flowing while the folder cannot be written, and catches up later", async () => {
    await writeFile(join(root, "recordings"), "a file where the folder should be");
    const log = logWith();
    const id = log.append(recordedExchange());
    await log.flush();
    const { failures, queued, written, lastError } = log.stats();
    assert.deepEqual({ failures, queued, written }, { failures: 1, queued: 1, written: 0 });
    assert.match(lastError ?? "", /ENOTDIR|EEXIST/);
    for (let index = 0; index < 40; index++) log.append(recordedExchange({ body: new Uint8Array(1_000_000 - 5000) }));
    assert.ok(log.stats().dropped > 0 && log.stats().queuedBytes <= 16 * 1024 * 1024);
    await rm(join(root, "recordings"));
    clock.ms += 6000;
    log.append(recordedExchange());
    await log.close();
    assert.equal(log.stats().queued, 0);
    assert.ok((await idsAndDamage()).ids.length > 0);
    assert.ok(log.stats().written > 1, `first queued was ${id}`);
  });

  it("closes with an unwritable folder and counts what is lost", async () => {
    await writeFile(join(root, "recordings"), "");
    const log = logWith();
    log.append(recordedExchange());
    await log.close();
    assert.equal(log.stats().dropped, 1);
    log.append(recordedExchange());
    assert.equal(log.stats().dropped, 2);
    await log.close();
  });

  it("reports an unreadable segment and reads the others", { skip: process.getuid?.() === 0 }, async () => {
    const log = logWith();
    log.append(recordedExchange());
    await log.flush();
    clock.ms += DAY_MS;
    const id = log.append(recordedExchange());
    await log.close();
    await chmod(join(dir, (await readdir(dir)).sort()[0]!), 0);
    assert.deepEqual(await idsAndDamage(), { ids: [id], damage: ["unreadable"] });
  });

  it("loses nothing that was flushed to kill -9, and reads on behind the torn tail", async () => {
    for (const stopAfter of [1, 7, 23, 60]) {
      const child = spawn(process.execPath, [join(import.meta.dirname, "../../support/recording-writer.ts"), dir]);
      const flushed: string[] = [];
      for await (const id of createInterface(child.stdout)) {
        flushed.push(id);
        if (flushed.length === stopAfter) child.kill("SIGKILL");
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      const { ids, damage } = await idsAndDamage();
      const found = new Set(ids);
      assert.ok(flushed.every((id) => found.has(id)));
      assert.ok(damage.every((code) => code === "torn_tail"));
    }
    clock.ms = Date.now();
    const log = logWith({ maxBytes: 64 * 1024 * 1024 });
    const id = log.append(recordedExchange());
    await log.close();
    assert.equal((await idsAndDamage()).ids.at(-1), id);
  });

  it("writes files that only their owner may read", async () => {
    const log = logWith();
    log.append(recordedExchange());
    await log.close();
    const path = join(dir, (await readdir(dir))[0]!);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await readFile(path)).subarray(0, 6).toString(), "SYNREC");
  });
});
