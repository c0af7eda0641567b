import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { OperationalError } from "../../../src/errors.ts";
import { removeDeadTempFiles, writeFileAtomic } from "../../../src/store/atomic-file.ts";
import { VolatilityReader, VolatilityStore } from "../../../src/store/volatility-store.ts";
import { unixMillis, unixSeconds } from "../../../src/units.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { AUGUST, scriptedState } from "../../support/volatility-fixture.ts";

/** Above every pid that Linux deals (2^22), so surely nobody's. */
const DEAD_PID = 2 ** 22 + 5;

describe("writeFileAtomic", () => {
  it("replaces the whole file and leaves nothing else", async (t) => {
    const folder = join(await tempFolder(t), "new", "folder");
    const path = join(folder, "file");
    await writeFileAtomic(path, "long content");
    await writeFileAtomic(path, "short");
    assert.equal(await readFile(path, "utf8"), "short");
    assert.deepEqual(await readdir(folder), ["file"]);
  });

  it("removes its temp file when it fails", async (t) => {
    const folder = await tempFolder(t);
    await mkdir(join(folder, "taken"));
    await assert.rejects(writeFileAtomic(join(folder, "taken"), "x"), { code: "EISDIR" });
    assert.deepEqual(await readdir(folder), ["taken"]);
  });

  it("removeDeadTempFiles takes the dead's and our former selves', not the living's or others' files", async (t) => {
    const folder = await tempFolder(t);
    const names = [`.a.${DEAD_PID}-1.tmp`, `.a.${process.pid}-7.tmp`, `.a.${process.ppid}-1.tmp`, "a.tmp", "a"];
    for (const name of names) await writeFile(join(folder, name), "");
    assert.equal(await removeDeadTempFiles(folder), 2);
    assert.deepEqual((await readdir(folder)).sort(), [`.a.${process.ppid}-1.tmp`, "a", "a.tmp"]);
    assert.equal(await removeDeadTempFiles(join(folder, "absent")), 0);
  });
});

describe("VolatilityStore", () => {
  it("saves and loads; the identity is the file's hash", async (t) => {
    const store = new VolatilityStore(await tempFolder(t));
    assert.deepEqual(store.load("BTC"), { status: "missing" });
    const state = scriptedState("BTC", 100);
    await store.save(state);
    const loaded = store.load("BTC");
    assert.ok(loaded.status === "ok");
    assert.deepStrictEqual(loaded.state, state);
    const hash = createHash("sha256")
      .update(await readFile(store.path("BTC")))
      .digest("hex");
    assert.equal(loaded.identity, hash.slice(0, 16));
  });

  it("calls truncated, damaged, foreign and empty files corrupt", async (t) => {
    const store = new VolatilityStore(await tempFolder(t));
    await store.save(scriptedState("BTC", 500));
    const bytes = await readFile(store.path("BTC"));
    const lengths = [0, 1, 16, 31, 32, 33, 1000, Math.floor(bytes.length / 2), bytes.length - 32, bytes.length - 1];
    for (const length of lengths) {
      await writeFile(store.path("BTC"), bytes.subarray(0, length));
      assert.equal(store.load("BTC").status, "corrupt", `${length} bytes`);
    }
    for (const index of [0, 1, 100, bytes.length - 40, bytes.length - 1]) {
      const flipped = Buffer.from(bytes);
      flipped[index]! ^= 4;
      await writeFile(store.path("BTC"), flipped);
      assert.equal(store.load("BTC").status, "corrupt", `byte ${index}`);
    }
    await writeFile(store.path("ETH"), bytes);
    assert.deepEqual(store.load("ETH"), { status: "corrupt", reason: "file holds the state of BTC" });
    await truncate(store.path("ETH"), 100 * 1024 * 1024);
    assert.equal(store.load("ETH").status, "corrupt");
  });

  it("says with codes what the system refuses", async (t) => {
    const stateDir = await tempFolder(t);
    const store = new VolatilityStore(stateDir);
    await mkdir(store.path("BTC"), { recursive: true });
    assert.throws(
      () => store.load("BTC"),
      (error) => error instanceof OperationalError && error.code === "store/read_failed",
    );
    await assert.rejects(store.save(scriptedState("BTC", 5)), { code: "store/write_failed" });
  });

  it("sets corrupt files aside and keeps the newest three", async (t) => {
    const stateDir = await tempFolder(t);
    const store = new VolatilityStore(stateDir);
    await store.prepare();
    for (let hour = 0; hour < 5; hour += 1) {
      await writeFile(store.path("BTC"), String(hour));
      await store.setAside("BTC", { as: "corrupt", atMs: unixMillis((AUGUST + hour * 3600) * 1000) });
      assert.deepEqual(store.load("BTC"), { status: "missing" });
    }
    const kept = (await readdir(join(stateDir, "volatility"))).sort();
    assert.deepEqual(
      kept,
      [2, 3, 4].map((hour) => `BTC.msgpack.corrupt-20250801T0${hour}0000000Z`),
    );
    assert.equal(await readFile(join(stateDir, "volatility", kept[2]!), "utf8"), "4");
  });
});

describe("VolatilityReader", () => {
  const closed = AUGUST + 100 * 60;

  async function setUp(
    t: TestContext,
  ): Promise<{ store: VolatilityStore; clock: SteppedClock; reader: VolatilityReader }> {
    const store = new VolatilityStore(await tempFolder(t));
    await store.prepare();
    const clock = new SteppedClock(AUGUST);
    return { store, clock, reader: new VolatilityReader(store, { maxStateAgeSeconds: 600, clock }) };
  }

  it("knows missing, ok and stale apart, and counts the age from the newest close", async (t) => {
    const { store, clock, reader } = await setUp(t);
    assert.deepEqual(reader.snapshot("BTC", unixSeconds(closed)), { status: "missing" });
    await store.save(scriptedState("BTC", 100));
    // Not looked for again within half a second.
    assert.equal(reader.snapshot("BTC", unixSeconds(closed)).status, "missing");
    clock.advance(0.5);
    const fresh = reader.snapshot("BTC", unixSeconds(closed + 600));
    assert.ok(fresh.status === "ok");
    assert.equal(fresh.ageSeconds, 600);
    const stale = reader.snapshot("BTC", unixSeconds(closed + 601));
    assert.ok(stale.status === "stale");
    assert.equal(stale.identity, fresh.identity);
  });

  it("reads a file again only when it changed", async (t) => {
    const { store, clock, reader } = await setUp(t);
    await store.save(scriptedState("BTC", 100));
    const first = reader.snapshot("BTC", unixSeconds(closed));
    clock.advance(10);
    const second = reader.snapshot("BTC", unixSeconds(closed));
    assert.ok(first.status === "ok" && second.status === "ok");
    assert.equal(second.state, first.state);
    await store.save(scriptedState("BTC", 101));
    clock.advance(10);
    const third = reader.snapshot("BTC", unixSeconds(closed));
    assert.ok(third.status === "ok");
    assert.equal(third.state.candleCount, 101);
  });

  it("serves the last good state while the file is corrupt or away, until that is stale", async (t) => {
    const { store, clock, reader } = await setUp(t);
    await store.save(scriptedState("BTC", 100));
    const good = reader.snapshot("BTC", unixSeconds(closed));
    await writeFile(store.path("BTC"), "damaged");
    clock.advance(10);
    assert.deepEqual(reader.snapshot("BTC", unixSeconds(closed)), good);
    assert.equal(reader.snapshot("BTC", unixSeconds(closed + 601)).status, "corrupt");
    await rm(store.path("BTC"));
    clock.advance(10);
    assert.deepEqual(reader.snapshot("BTC", unixSeconds(closed)), good);
    assert.equal(reader.snapshot("BTC", unixSeconds(closed + 601)).status, "missing");
  });

  it("never throws: an unreadable path is a result, and a first look at a corrupt file too", async (t) => {
    const { store, reader } = await setUp(t);
    await mkdir(store.path("BTC"));
    assert.equal(reader.snapshot("BTC", unixSeconds(closed)).status, "corrupt");
    await writeFile(store.path("ETH"), "");
    assert.equal(reader.snapshot("ETH", unixSeconds(closed)).status, "corrupt");
  });
});
