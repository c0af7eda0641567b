import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openNonceBook } from "../../../src/axon/nonces.ts";
import { silentLogger } from "../../../src/log.ts";
import { readRecordings } from "../../../src/store/recording-reader.ts";
import { createRecordingLog } from "../../../src/store/recording-log.ts";
import { readUpdaterStatus, updaterStatusPath } from "../../../src/store/status-file.ts";
import { encodeState } from "../../../src/volatility/state-codec.ts";
import { VOLATILITY_STATE_SCHEMA, type VolatilityState } from "../../../src/volatility/state.ts";
import { FaultedMiner } from "../../support/faulted-miner.ts";
import { RecordingClock, recordedExchange, testIdentity } from "../../support/recorded-exchange.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { AUGUST, scriptedState } from "../../support/volatility-fixture.ts";

/** As a later release would write it: another schema, one more field, a checksum that fits. */
function fromTheFuture(state: VolatilityState): Buffer {
  const later = { ...state, schema: VOLATILITY_STATE_SCHEMA + 1, regime: "calm" };
  return encodeState(later as unknown as VolatilityState);
}

describe("state from a newer version", () => {
  it("is no state to a miner that starts: the baseline answers; the updater keeps the file and builds its own", async (t) => {
    const miner = new FaultedMiner(await tempFolder(t), AUGUST + 2);
    await miner.store.prepare();
    const later = fromTheFuture(scriptedState("BTC", 100));
    await writeFile(miner.store.path("BTC"), later);
    const { evidence } = await miner.answer();
    assert.deepEqual([evidence.engine, evidence.state.status], ["baseline", "corrupt"]);
    const snapshot = miner.snapshot();
    assert.match(snapshot.status === "corrupt" ? snapshot.reason : "", /schema/, "the reason names the version");
    await miner.updateFor(1);
    assert.equal((await miner.answer()).evidence.engine, "ewma");
    assert.match(miner.status().lastRestart?.why ?? "", /corrupt \(schema: /);
    const folder = join(miner.stateDir, "volatility");
    const aside = (await readdir(folder)).filter((name) => name.startsWith("BTC.msgpack.corrupt-"));
    assert.equal(aside.length, 1);
    assert.deepEqual(await readFile(join(folder, aside[0]!)), later);
  });

  it("does not reach an axon that runs: it serves the state that it has", async (t) => {
    const miner = new FaultedMiner(await tempFolder(t), AUGUST + 2);
    await miner.update();
    const before = await miner.answer();
    await writeFile(miner.store.path("BTC"), fromTheFuture(scriptedState("BTC", 100)));
    miner.clock.advance(1);
    const { evidence } = await miner.answer();
    assert.equal(evidence.engine, "ewma");
    assert.equal(evidence.state.identity, before.evidence.state.identity);
  });

  it("of the heartbeat is a result, and the next updater writes its own", async (t) => {
    const miner = new FaultedMiner(await tempFolder(t), AUGUST + 2);
    await miner.update();
    const path = updaterStatusPath(miner.stateDir);
    const later = (await readFile(path, "utf8")).replace('"schema": 1', '"schema": 2');
    await writeFile(path, later);
    assert.equal(readUpdaterStatus(miner.stateDir).status, "corrupt");
    await miner.updateFor(1);
    assert.equal(readUpdaterStatus(miner.stateDir).status, "ok");
  });

  it("of the nonce journal makes every nonce up to now an old one, and the file is kept", async (t) => {
    const file = join(await tempFolder(t), "nonces");
    await writeFile(file, "synth-nonces 2\n[]\n");
    const clock = new RecordingClock();
    const book = openNonceBook({ file, maxNonces: 10, retentionSeconds: 60, clock, logger: silentLogger });
    const nowNs = BigInt(clock.ms) * 1_000_000n;
    const window = { key: "k", notBeforeNs: nowNs - 10n ** 12n, notAfterNs: nowNs + 10n ** 12n };
    assert.equal(book.claim({ ...window, nonce: nowNs }), "too old");
    assert.equal(book.claim({ ...window, nonce: nowNs + 1n }), undefined);
    book.close();
    assert.equal(await readFile(`${file}.corrupt`, "utf8"), "synth-nonces 2\n[]\n");
  });

  it("of a recording segment is damage by name; the log goes on in a segment of its own", async (t) => {
    const dir = await tempFolder(t);
    const clock = new RecordingClock();
    const limits = { maxBytes: 1_000_000, maxAgeDays: 14 };
    const open = (): ReturnType<typeof createRecordingLog> =>
      createRecordingLog({ dir, limits, clock, logger: silentLogger, identity: testIdentity });
    const first = open();
    first.append(recordedExchange());
    await first.close();
    const [segment] = await readdir(dir);
    const bytes = await readFile(join(dir, segment!));
    bytes[7]! += 1; // the format version: the last byte of the magic
    await writeFile(join(dir, segment!), bytes);
    const second = open();
    const id = second.append(recordedExchange());
    await second.close();
    const entries: string[] = [];
    for await (const entry of readRecordings(dir)) {
      entries.push(entry.kind === "recording" ? entry.recording.id : entry.code);
    }
    assert.deepEqual(entries, ["bad_header", id]);
    assert.deepEqual(await readFile(join(dir, segment!)), bytes);
  });
});
