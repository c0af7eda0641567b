import assert from "node:assert/strict";
import { mkdir, readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openNonceBook, type NonceBook, type NonceClaim } from "../../../src/axon/nonces.ts";
import { systemClock } from "../../../src/clock.ts";
import { silentLogger } from "../../../src/log.ts";
import { createRecordingLog, type RecordingLog } from "../../../src/store/recording-log.ts";
import { readRecordings } from "../../../src/store/recording-reader.ts";
import { CORRECT, validateAnswer } from "../../../src/subnets/synth/validate-answer.ts";
import { parseSimulation } from "../../../src/subnets/synth/simulation.ts";
import { acquireLock } from "../../../src/updater/process-lock.ts";
import { FaultedMiner } from "../../support/faulted-miner.ts";
import { axonKey, post, signedPrompt, startRecordedAxon } from "../../support/recorded-axon.ts";
import { RecordingClock, recordedExchange, testIdentity } from "../../support/recorded-exchange.ts";
import { openSmallDisk, smallDiskSkip } from "../../support/small-disk.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { AUGUST } from "../../support/volatility-fixture.ts";

const skip = smallDiskSkip();
const NEWLINE = 10;

function openLog(
  dir: string,
  clock: RecordingClock,
  limits = { maxBytes: 64 * 1024 * 1024, maxAgeDays: 14 },
): RecordingLog {
  return createRecordingLog({
    dir,
    limits,
    clock,
    steadyClock: clock,
    logger: silentLogger,
    identity: testIdentity,
  });
}

/** Claims of different senders, all of them older than now. */
function claims(): (index: number) => NonceClaim {
  const nowNs = BigInt(systemClock.nowMs()) * 1_000_000n;
  return (index) => {
    return { key: `k:${index}`, nonce: nowNs - BigInt(index), notBeforeNs: nowNs - 1_000_000n, notAfterNs: nowNs };
  };
}

async function recorded(dir: string): Promise<{ ids: string[]; damage: string[] }> {
  const found = { ids: [] as string[], damage: [] as string[] };
  for await (const entry of readRecordings(dir)) {
    if (entry.kind === "recording") found.ids.push(entry.recording.id);
    else found.damage.push(entry.code);
  }
  return found;
}

/** Fails unless the axon answers a prompt as a validator wants it. */
async function askAxon(url: string): Promise<void> {
  const request = signedPrompt();
  const response = await post(url, request);
  assert.equal(response.status, 200);
  const { simulation_output: output } = (await response.json()) as { simulation_output: unknown };
  const { simulation_input: input } = JSON.parse(request.body) as { simulation_input: unknown };
  const parsed = parseSimulation(input, axonKey.address);
  assert.ok(parsed.ok);
  assert.equal(validateAnswer(output, parsed.request), CORRECT);
}

describe("a full disk", { skip }, () => {
  it("while saving state: the old state stays whole, answers go on, and the next save after it catches up", async (t) => {
    const disk = await openSmallDisk(t, 4);
    if (disk === null) return;
    const miner = new FaultedMiner(disk.folder, AUGUST + 2);
    await miner.update();
    await disk.fill();
    const names = await readdir(join(disk.folder, "volatility"));
    await miner.updateFor(10);
    const loaded = miner.store.load("BTC");
    assert.ok(loaded.status === "ok", JSON.stringify(loaded));
    assert.equal(loaded.state.candleCount, 3 * 1440);
    assert.equal((await miner.answer()).evidence.engine, "ewma");
    assert.deepEqual(await readdir(join(disk.folder, "volatility")), names, "no temp file is left");
    await disk.free();
    await miner.updateFor(1);
    assert.deepEqual([miner.status().outcome, miner.status().lastError?.code], ["advanced", "store/write_failed"]);
    const after = miner.store.load("BTC");
    assert.ok(after.status === "ok" && after.state.candleCount === 3 * 1440 + 11);
  });

  it("while recording: nothing is torn, the queue keeps what fits, and all of it is written afterwards", async (t) => {
    const disk = await openSmallDisk(t, 4);
    if (disk === null) return;
    const dir = join(disk.folder, "recordings");
    const clock = new RecordingClock();
    const log = openLog(dir, clock);
    const body = new Uint8Array(100_000);
    const ids: string[] = [];
    // 6 MB into 4: the disk fills up in the middle of a batch.
    for (let index = 0; index < 60; index += 1) {
      ids.push(log.append(recordedExchange({ body })));
      clock.ms += 6000;
      if (index % 7 === 0) await log.flush();
    }
    await log.flush();
    const full = log.stats();
    assert.match(full.lastError ?? "", /ENOSPC/);
    assert.ok(full.failures > 0 && full.queued > 0 && full.dropped === 0, JSON.stringify(full));
    assert.deepEqual(await recorded(dir), { ids: ids.slice(0, full.written), damage: [] });
    // The operator moves the old recordings off the disk.
    for (const name of await readdir(dir)) await rm(join(dir, name));
    clock.ms += 6000;
    const last = log.append(recordedExchange());
    await log.close();
    assert.equal(log.stats().dropped, 0);
    assert.deepEqual(await recorded(dir), { ids: [...ids.slice(full.written), last], damage: [] });
  });

  it("under a nonce journal: claims go on counting, replays stay refused, and the journal heals", async (t) => {
    const disk = await openSmallDisk(t, 1);
    if (disk === null) return;
    const steadyClock = new SteppedClock(0);
    const options = { file: join(disk.folder, "nonces"), maxNonces: 1000, retentionSeconds: 60, steadyClock };
    const book = openNonceBook({ ...options, clock: systemClock, logger: silentLogger });
    const claim = claims();
    assert.equal(book.claim(claim(0)), undefined);
    await disk.fill();
    for (let index = 1; index < 400; index += 1) assert.equal(book.claim(claim(index)), undefined);
    for (let index = 0; index < 400; index += 1) assert.ok(book.claim(claim(index)), `replay of ${index}`);
    await disk.free();
    steadyClock.advance(5);
    assert.equal(book.claim(claim(400)), undefined);
    const next = openNonceBook({ ...options, clock: systemClock, logger: silentLogger });
    for (let index = 0; index <= 400; index += 1)
      assert.ok(next.claim(claim(index)), `replay of ${index} in the next life`);
    next.close();
    book.close();
  });

  it("that takes half a line of the nonce journal: the next claim heals it, and new senders are let in", async (t) => {
    const disk = await openSmallDisk(t, 1);
    if (disk === null) return;
    const steadyClock = new SteppedClock(0);
    const options = { file: join(disk.folder, "nonces"), maxNonces: 10_000, retentionSeconds: 60, steadyClock };
    const book = openNonceBook({ ...options, clock: systemClock, logger: silentLogger });
    const claim = claims();
    await disk.fill();
    let claimed = 0;
    // The file system gives whole pages: the last one ends in the middle of a line.
    do assert.equal(book.claim(claim(claimed++)), undefined);
    while ((await readFile(options.file)).at(-1) === NEWLINE && claimed < 5000);
    assert.ok(claimed < 5000, "a line was cut short");
    await disk.free();
    steadyClock.advance(5);
    assert.equal(book.claim(claim(claimed)), undefined);
    const next = openNonceBook({ ...options, clock: systemClock, logger: silentLogger });
    for (let index = 0; index <= claimed; index += 1) assert.ok(next.claim(claim(index)), `replay of ${index}`);
    assert.equal(
      next.claim(claim(claimed + 1)),
      undefined,
      "a sender never seen, whose nonce is older than the restart",
    );
    next.close();
    book.close();
  });

  it("of recordings that cannot be deleted: recording ends where they alone are more than the folder may hold", async (t) => {
    const disk = await openSmallDisk(t, 4);
    if (disk === null) return;
    const limits = { maxBytes: 4000, maxAgeDays: 14 };
    const dir = join(disk.folder, "recordings");
    const segments = (from: number, to: number): Promise<unknown> =>
      Promise.all(
        // 40 bytes each in a tmpfs, and no file: rm refuses it.
        Array.from({ length: to - from }, (_, index) =>
          mkdir(join(dir, `2020-01-01-${from + index}.log`), { recursive: true }),
        ),
      );
    const failures: number[] = [];
    for (const count of [50, 150]) {
      await segments(failures.length * 50, count);
      const log = openLog(dir, new RecordingClock(), limits);
      log.append(recordedExchange());
      await log.close();
      failures.push(log.stats().failures);
    }
    assert.deepEqual(failures, [0, 1]);
  });

  it("under a running axon: it answers on", async (t) => {
    const disk = await openSmallDisk(t, 4);
    if (disk === null) return;
    const server = await startRecordedAxon(disk.folder);
    try {
      await askAxon(server.url);
      await server.log.flush();
      await disk.fill();
      for (let prompt = 0; prompt < 5; prompt += 1) await askAxon(server.url);
      await server.log.flush();
      assert.match(server.log.stats().lastError ?? "", /ENOSPC/);
      await disk.free();
      await askAxon(server.url);
    } finally {
      await server.close();
    }
  });
});

describe("a state disk that refuses at the start", { skip }, () => {
  for (const kind of ["full", "read-only"] as const) {
    it(`since it is ${kind}: the axon knows its nonces, and writes all of them once it can`, async (t) => {
      const disk = await openSmallDisk(t, 1);
      if (disk === null) return;
      const steadyClock = new SteppedClock(0);
      const file = join(disk.folder, "nonces");
      const open = (): NonceBook =>
        openNonceBook({
          ...{ file, maxNonces: 1000, retentionSeconds: 60 },
          ...{ clock: systemClock, steadyClock, logger: silentLogger },
        });
      const claim = claims();
      const before = open();
      assert.equal(before.claim(claim(0)), undefined);
      before.close();
      if (kind === "full") await disk.fill();
      else disk.readOnly(true);
      const book = open();
      assert.equal(book.claim(claim(1)), undefined);
      for (const index of [0, 1]) assert.ok(book.claim(claim(index)), `replay of ${index}`);
      if (kind === "full") await disk.free();
      else disk.readOnly(false);
      steadyClock.advance(5);
      assert.equal(book.claim(claim(2)), undefined);
      const next = open();
      for (const index of [0, 1, 2]) assert.ok(next.claim(claim(index)), `replay of ${index} in the next life`);
      next.close();
      book.close();
    });
  }
});

describe("a read-only state folder", { skip }, () => {
  it("stops an updater's start with a code, and one that runs keeps running", async (t) => {
    const disk = await openSmallDisk(t, 4);
    if (disk === null) return;
    const miner = new FaultedMiner(disk.folder, AUGUST + 2);
    await miner.update();
    disk.readOnly(true);
    await assert.rejects(acquireLock(join(disk.folder, "updater.lock")), { code: "updater/lock_failed" });
    await miner.updateFor(3);
    assert.equal((await miner.answer()).evidence.engine, "ewma");
    disk.readOnly(false);
    await miner.updateFor(1);
    assert.deepEqual([miner.status().outcome, miner.status().lastError?.code], ["advanced", "store/write_failed"]);
  });
});
