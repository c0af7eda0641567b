import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
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

function open(
  file: string,
  options: { maxNonces?: number; clock?: SteppedClock; steadyClock?: SteppedClock } = {},
): NonceBook {
  return openNonceBook({
    file,
    maxNonces: options.maxNonces ?? 1000,
    retentionSeconds: 304,
    clock: options.clock ?? new SteppedClock(START_SECONDS),
    steadyClock: options.steadyClock ?? new SteppedClock(0),
    logger: silentLogger,
  });
}

function claim(key: string, nonce: bigint) {
  return { key, nonce, notBeforeNs: NOW - 16n * SECOND, notAfterNs: NOW + 60n * SECOND };
}

async function journal(test: TestContext): Promise<string> {
  return join(await tempFolder(test), "deep", "nonces");
}

/** Keeps the journal from being rewritten, as a full disk does. */
function obstruct(file: string): { clear: () => void } {
  const folder = `${file}.tmp`;
  mkdirSync(folder);
  return {
    clear: () => {
      rmdirSync(folder);
    },
  };
}

/** Of the claims, those that a next life of the axon would take for new. */
function replayable(file: string, claims: readonly ReturnType<typeof claim>[]): string[] {
  const next = open(file);
  const found = claims.filter((each) => next.check(each) === undefined).map(({ key }) => key);
  next.close();
  return found;
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

  it("cannot start where it can neither read nor write", async (test) => {
    const folder = await tempFolder(test);
    writeFileSync(join(folder, "file"), "");
    assert.throws(() => open(join(folder, "file", "nonces")), { code: "NONCE_JOURNAL" });
  });

  it("leaves a damaged journal that it cannot replace where it is: the next start must see it, too", async (test) => {
    const file = await journal(test);
    open(file).close();
    writeFileSync(file, "hello\n");
    const obstacle = obstruct(file);
    for (let start = 0; start < 2; start++) assert.throws(() => open(file), { code: "NONCE_JOURNAL" });
    obstacle.clear();
    assert.deepEqual(replayable(file, [claim("a:1", NOW)]), []);
    assert.equal(readFileSync(`${file}.corrupt`, "utf8"), "hello\n");
  });

  it("starts where it cannot write, knowing what it read, and writes all of it later", async (test) => {
    const file = await journal(test);
    const [old, early, late] = [claim("a:1", NOW), claim("a:2", NOW), claim("a:3", NOW)];
    const before = open(file);
    before.claim(old);
    before.close();
    const obstacle = obstruct(file);
    const steadyClock = new SteppedClock(0);
    const book = open(file, { steadyClock });
    assert.equal(book.claim(early), undefined);
    assert.deepEqual(
      [old, early].map((each) => book.claim(each)),
      Array(2).fill("a newer one was last processed"),
    );
    obstacle.clear();
    steadyClock.advance(5);
    assert.equal(book.claim(late), undefined);
    assert.deepEqual(replayable(file, [old, early, late]), []);
    book.close();
  });

  it("tries to write again every five seconds, not with every claim, and for the last time at its end", async (test) => {
    const file = await journal(test);
    const steadyClock = new SteppedClock(0);
    const book = open(file, { steadyClock });
    rmSync(file);
    const claims = Array.from({ length: 5 }, (_, index) => claim(`a:${String(index)}`, NOW));
    const obstacle = obstruct(file);
    const written = claims.map((each, index) => {
      if (index === 1) obstacle.clear();
      if (index === 3) {
        renameSync(file, `${file}.aside`);
        obstruct(file);
      }
      book.claim(each);
      steadyClock.advance(2.5);
      return existsSync(file);
    });
    assert.deepEqual(written, [false, false, true, false, false]);
    rmdirSync(`${file}.tmp`);
    book.close();
    assert.deepEqual(replayable(file, claims), []);
  });

  for (const [name, replace] of Object.entries({
    deleted: (file: string) => {
      rmSync(file);
    },
    "moved away": (file: string) => {
      renameSync(file, `${file}.old`);
    },
    "replaced by another axon's": (file: string) => {
      open(file).close();
    },
  })) {
    it(`writes its journal anew when it was ${name}`, async (test) => {
      const file = await journal(test);
      const book = open(file);
      const claims = [claim("a:1", NOW), claim("a:2", NOW), claim("a:3", NOW)];
      book.claim(claims[0]!);
      replace(file);
      book.claim(claims[1]!);
      book.claim(claims[2]!);
      assert.deepEqual(replayable(file, claims), []);
      book.close();
    });
  }

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
