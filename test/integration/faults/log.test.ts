import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createLogger } from "../../../src/log.ts";
import { openSmallDisk, smallDiskSkip } from "../../support/small-disk.ts";

/** Every write to it says that the disk is full. */
const FULL = "/dev/full";
const MEBIBYTE = 1024 * 1024;

describe("a log that cannot be written", () => {
  it("costs the caller nothing", { skip: !existsSync(FULL) && `needs ${FULL}` }, (t) => {
    const fd = openSync(FULL, "w");
    t.after(() => {
      closeSync(fd);
    });
    const logger = createLogger("info", fd);
    for (let index = 0; index < 10_000; index += 1) logger.info({ index, padding: "x".repeat(200) }, "A line");
    logger.fatal("The last one");
  });

  it("keeps a mebibyte of lines, and goes on when the disk has room", { skip: smallDiskSkip() }, async (t) => {
    const disk = await openSmallDisk(t, 4);
    if (disk === null) return;
    const file = join(disk.folder, "log");
    const fd = openSync(file, "a");
    t.after(() => {
      closeSync(fd);
    });
    const logger = createLogger("info", fd);
    const written = (): { index: number }[] => {
      const lines = readFileSync(file, "utf8").trimEnd().split("\n");
      return lines.map((line) => JSON.parse(line) as { index: number });
    };
    logger.info({ index: 0 }, "A line");
    await disk.fill();
    const count = 20_000;
    for (let index = 1; index < count; index += 1) logger.info({ index }, "A line of a full disk");
    await disk.free();
    // Longer than what is left in the queue: the first is lost, too, but has the others written.
    for (const index of [count, count + 1]) logger.info({ index, padding: "x".repeat(200) }, "A line");
    const indices = written().map(({ index }) => index);
    assert.equal(indices.pop(), count + 1);
    assert.deepEqual(indices, [...indices.keys()], "in order, none twice, the newest are those that are lost");
    const bytes = readFileSync(file).length;
    assert.ok(bytes > 0.9 * MEBIBYTE && bytes < 1.1 * MEBIBYTE, `${bytes} bytes`);
  });
});
