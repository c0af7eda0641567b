import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { openNonceBook, type NonceBook } from "../../../src/axon/nonces.ts";
import { silentLogger } from "../../../src/log.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const START_SECONDS = 1_760_000_000;
const SECOND = 1_000_000_000n;
const NOW = BigInt(START_SECONDS) * SECOND;

function open(file: string, options: { maxNonces?: number; clock?: SteppedClock } = {}): NonceBook {
  return openNonceBook({
    file,
    maxNonces: options.maxNonces ?? 1000,
    retentionSeconds: 304,
    clock: options.clock ?? new SteppedClock(START_SECONDS),
    logger: silentLogger,
  });
}

function claim(key: string, nonce: bigint) {
  return { key, nonce, notBeforeNs: NOW - 16n * SECOND, notAfterNs: NOW + 60n * SECOND };
}

async function journal(test: TestContext): Promise<string> {
  return join(await tempFolder(test), "deep", "nonces");
}

describe("nonce book", () => {
  it("wants a fresh nonce at first sight and a greater one afterwards", async (test) => {
    const book = open(await journal(test));
    assert.equal(book.claim(claim("a", NOW - 16n * SECOND)), "too old");
    assert.equal(book.claim(claim("a", NOW + 61n * SECOND)), "too far in the future");
    assert.equal(book.claim(claim("a", NOW - 15n * SECOND)), undefined);
    assert.equal(book.claim(claim("a", NOW - 15n * SECOND)), "a newer one was last processed");
    assert.equal(book.claim(claim("a", NOW - 15n * SECOND - 1n)), "a newer one was last processed");
    assert.equal(book.claim(claim("a", NOW - 15n * SECOND + 1n)), undefined);
    assert.equal(book.claim(claim("b", NOW - 15n * SECOND)), undefined);
    assert.equal(book.claim(claim("b", NOW + 61n * SECOND)), "too far in the future");
    book.close();
  });

  it("checks without remembering", async (test) => {
    const book = open(await journal(test));
    assert.equal(book.check(claim("a", NOW)), undefined);
    assert.equal(book.check(claim("a", NOW)), undefined);
    assert.equal(book.size(), 0);
    book.close();
  });

  it("remembers across a restart that nobody announced", async (test) => {
    const file = await journal(test);
    const killed = open(file);
    killed.claim(claim("a:1", NOW));
    killed.claim(claim("a:1", NOW + 5n));
    const book = open(file);
    assert.equal(book.claim(claim("a:1", NOW + 5n)), "a newer one was last processed");
    assert.equal(book.claim(claim("a:1", NOW + 6n)), undefined);
    book.close();
    killed.close();
  });

  it("drops a torn last line and goes on", async (test) => {
    const file = await journal(test);
    const killed = open(file);
    killed.claim(claim("a:1", NOW));
    killed.close();
    appendFileSync(file, `${String(NOW)}00 a:2`);
    const book = open(file);
    assert.equal(book.claim(claim("a:1", NOW)), "a newer one was last processed");
    assert.equal(book.claim(claim("a:2", NOW)), undefined);
    book.close();
    assert.equal(open(file).claim(claim("a:2", NOW)), "a newer one was last processed");
  });

  for (const [name, content] of Object.entries({
    empty: "",
    foreign: "hello\n",
    "damaged in the middle": `synth-nonces 1\n${String(NOW)} a:1\n\0\0\0\n${String(NOW)} a:2\n`,
    "of another version": "synth-nonces 2\n",
  })) {
    it(`${name}: everything older than now is refused, and the file is kept`, async (test) => {
      const file = await journal(test);
      open(file).close();
      writeFileSync(file, content);
      const book = open(file);
      assert.equal(book.claim(claim("a:1", NOW)), "too old");
      assert.equal(book.claim(claim("a:1", NOW + 1n)), undefined);
      assert.equal(readFileSync(`${file}.corrupt`, "utf8"), content);
      book.close();
      assert.equal(open(file).claim(claim("a:2", NOW)), "too old");
    });
  }

  it("cannot start where it cannot write", async (test) => {
    const folder = await tempFolder(test);
    writeFileSync(join(folder, "file"), "");
    assert.throws(() => open(join(folder, "file", "nonces")), { code: "NONCE_JOURNAL" });
  });

  it("sets a folder in its place aside", async (test) => {
    const file = await journal(test);
    mkdirSync(file, { recursive: true });
    open(file).close();
    assert.ok(existsSync(`${file}.corrupt`));
  });

  it("stays within its bounds and its journal does, for ever", async (test) => {
    const file = await journal(test);
    const book = open(file, { maxNonces: 64 });
    for (let index = 0; index < 20_000; index++) book.claim(claim(`a:${String(index)}`, NOW + BigInt(index)));
    assert.ok(book.size() <= 64);
    assert.ok(statSync(file).size < 400_000);
    book.close();
  });

  it("never accepts a nonce twice, whatever was evicted and restarted in between", async (test) => {
    const folder = await tempFolder(test);
    let run = 0;
    const offerStep = fc.record({ pair: fc.nat(30), at: fc.integer({ min: -20, max: 70 }) });
    const step = fc.oneof(
      { weight: 8, arbitrary: offerStep },
      { weight: 1, arbitrary: fc.constant("restart" as const) },
      { weight: 1, arbitrary: fc.record({ advance: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(400)) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
        const file = join(folder, String(run++));
        const clock = new SteppedClock(START_SECONDS);
        const accepted = new Set<string>();
        let book = open(file, { maxNonces: 8, clock });
        const offer = (key: string, nonce: bigint): boolean => {
          const now = BigInt(clock.nowMs()) * 1_000_000n;
          return (
            book.claim({ key, nonce, notBeforeNs: now - 16n * SECOND, notAfterNs: now + 60n * SECOND }) === undefined
          );
        };
        for (const action of steps) {
          if (action === "restart") {
            book.close();
            book = open(file, { maxNonces: 8, clock });
          } else if ("advance" in action) clock.advance(action.advance);
          else {
            const nonce = BigInt(clock.nowMs()) * 1_000_000n + BigInt(action.at) * SECOND;
            const key = `h:${String(action.pair)}`;
            if (offer(key, nonce)) {
              assert.ok(!accepted.has(`${key} ${String(nonce)}`));
              accepted.add(`${key} ${String(nonce)}`);
            }
            for (const old of accepted) {
              const [oldKey = "", oldNonce = ""] = old.split(" ");
              assert.equal(offer(oldKey, BigInt(oldNonce)), false);
            }
          }
        }
        book.close();
      }),
      { numRuns: 60 },
    );
  });
});
