import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { silentLogger } from "../../../src/log.ts";
import { createRecordingLog, type RecordingLog } from "../../../src/store/recording-log.ts";
import { readRecordings } from "../../../src/store/recording-reader.ts";
import { openAxon } from "../../support/dendrite-axon.ts";
import { askAxon } from "../../support/dendrite.ts";
import { RecordingClock, recordedExchange, testIdentity } from "../../support/recorded-exchange.ts";
import { tempFolder } from "../../support/temp-folder.ts";

function openLog(dir: string, options: Partial<Parameters<typeof createRecordingLog>[0]> = {}): RecordingLog {
  return createRecordingLog({
    dir,
    limits: { maxBytes: 64 * 1024 * 1024, maxAgeDays: 14 },
    clock: new RecordingClock(),
    steadyClock: new RecordingClock(),
    logger: silentLogger,
    identity: testIdentity,
    ...options,
  });
}

async function idsIn(dir: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const entry of readRecordings(dir)) if (entry.kind === "recording") ids.push(entry.recording.id);
  return ids;
}

describe("an answer that waits for its recording", () => {
  it("leaves when any other process could read it", async (t) => {
    const dir = await tempFolder(t);
    const log = openLog(dir);
    for (let count = 1; count <= 20; count += 1) {
      const id = log.append(recordedExchange({ body: new Uint8Array(100_000) }));
      await log.recorded();
      assert.equal((await idsIn(dir)).at(-1), id);
    }
    await log.close();
  });

  it("leaves without one where the disk refuses, and at once where it refused a moment ago", async (t) => {
    const folder = await tempFolder(t);
    const dir = join(folder, "recordings");
    await writeFile(dir, "a file where the folder should be");
    const log = openLog(dir);
    for (let count = 1; count <= 3; count += 1) {
      log.append(recordedExchange());
      await log.recorded();
    }
    assert.deepEqual([log.stats().failures, log.stats().queued], [1, 3], "tried once in five seconds");
    await rm(dir);
    await log.close();
    assert.equal((await idsIn(dir)).length, 3);
  });

  it("is on record five seconds after the disk refused, though the clock was set back by an hour meanwhile", async (t) => {
    const dir = join(await tempFolder(t), "recordings");
    await writeFile(dir, "a file where the folder should be");
    const [clock, steady] = [new RecordingClock(), new RecordingClock()];
    const warnings: unknown[] = [];
    const logger = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
      warn: (context: unknown) => warnings.push(context),
    });
    const log = openLog(dir, { clock, steadyClock: steady, logger });
    const answer = async (): Promise<void> => {
      log.append(recordedExchange());
      await log.recorded();
    };
    await answer();
    clock.ms -= 3_600_000;
    steady.ms += 60_000;
    await answer();
    assert.deepEqual([log.stats().failures, warnings.length], [2, 2], "tried again, and said once a minute");
    await rm(dir);
    steady.ms += 4999;
    await answer();
    assert.equal(log.stats().written, 0);
    steady.ms += 1;
    await answer();
    assert.deepEqual([log.stats().written, (await idsIn(dir)).length], [4, 4]);
    await log.close();
  });

  it("leaves before its client's deadline where the disk hangs", async (t) => {
    const recorded = (): Promise<never> => new Promise<never>(() => undefined);
    const { ask, exchanges } = await openAxon(t, { recorded });
    assert.equal((await askAxon({ ...ask, timeoutSeconds: 0.4 })).status, 200);
    assert.equal(exchanges.length, 1);
  });
});
