import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createPasswordPrompt, type Keyboard, type PasswordPrompt } from "../../../src/wallet/password-prompt.ts";

class FakeKeyboard extends EventEmitter implements Keyboard {
  raw = false;
  reading = false;
  setRawMode(raw: boolean): void {
    this.raw = raw;
  }
  resume(): void {
    this.reading = true;
  }
  pause(): void {
    this.reading = false;
  }
}

function terminal(): { keyboard: FakeKeyboard; shown: () => string; interrupts: () => number; ask: PasswordPrompt } {
  const keyboard = new FakeKeyboard();
  let shown = "";
  let interrupts = 0;
  const screen = { write: (text: string) => (shown += text) };
  const interrupt = (): void => {
    // The terminal must be whole again by now: the program's own handlers may end it.
    assert.equal(keyboard.raw, false);
    interrupts += 1;
  };
  return {
    keyboard,
    shown: () => shown,
    interrupts: () => interrupts,
    ask: createPasswordPrompt({ keyboard, screen, interrupt }),
  };
}

const QUESTION = "Password: ";

function assertRestored({ keyboard, shown }: ReturnType<typeof terminal>): void {
  assert.deepEqual([keyboard.raw, keyboard.reading, keyboard.listenerCount("data")], [false, false, 0]);
  assert.equal(shown(), `${QUESTION}\n`, "nothing typed is echoed");
}

/** The password that these chunks of keys make. */
async function typed(...chunks: readonly (string | Uint8Array)[]): Promise<string> {
  const fake = terminal();
  const answer = fake.ask(QUESTION);
  assert.equal(fake.keyboard.raw, true, "raw before anything can be typed");
  for (const chunk of chunks) fake.keyboard.emit("data", Buffer.from(chunk));
  const text = await answer;
  assertRestored(fake);
  return text;
}

describe("the password prompt", () => {
  it("takes what is typed, whatever the characters and however they arrive, and shows none of it", async () => {
    const printable = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !/\p{Cc}/u.test(text));
    await fc.assert(
      fc.asyncProperty(printable, fc.integer({ min: 1, max: 5 }), async (text, size) => {
        const bytes = Buffer.from(`${text}\r`);
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
          bytes.subarray(index * size, (index + 1) * size),
        );
        assert.equal(await typed(...chunks), text);
      }),
    );
  });

  it("edits with Backspace and Ctrl-U, by character and not by byte", async () => {
    assert.equal(await typed("pax\u007fß😀\b\u007fss\n"), "pass");
    assert.equal(await typed("\u007f\bwrong\u0015right\r"), "right");
  });

  it("skips cursor keys and paste brackets, also when cut in two; ends a paste at its first line end", async () => {
    assert.equal(await typed("p\u001b[Da\u001b[1;5Cs\u001bOAs\r"), "pass");
    assert.equal(await typed("\u001b[200~pa", "ss\u001b[2", "01~\r"), "pass");
    assert.equal(await typed("p\u001b", "[Dass\r"), "pass");
    assert.equal(await typed("p\u001b", "ass\r"), "pass", "Escape alone takes nothing with it");
    assert.equal(await typed("pass\nsecond line\n"), "pass");
    assert.equal(await typed("p\ta\u0000s\u001as\r"), "pass");
  });

  it("is bounded", async () => {
    assert.equal((await typed("x".repeat(100_000), "\r")).length, 1024);
  });

  it("Ctrl-C restores the terminal, then interrupts the program", async () => {
    const fake = terminal();
    const answer = fake.ask(QUESTION);
    fake.keyboard.emit("data", Buffer.from("secret\u0003"));
    await assert.rejects(answer, { name: "AbortError" });
    assert.equal(fake.interrupts(), 1);
    assertRestored(fake);
  });

  it("Ctrl-D on an empty line and a closed terminal give up; Ctrl-D after characters is nothing", async () => {
    for (const give of [
      (keyboard: FakeKeyboard) => keyboard.emit("data", Buffer.from("\u0004")),
      (keyboard: FakeKeyboard) => keyboard.emit("end"),
    ]) {
      const fake = terminal();
      const answer = fake.ask(QUESTION);
      give(fake.keyboard);
      await assert.rejects(answer, { code: "WALLET_PASSWORD" });
      assertRestored(fake);
    }
    assert.equal(await typed("pa\u0004ss\r"), "pass");
  });

  it("a signal ends it, and one that came before lets it not begin", async () => {
    const fake = terminal();
    const stopping = new AbortController();
    const answer = fake.ask(QUESTION, stopping.signal);
    fake.keyboard.emit("data", Buffer.from("secr"));
    stopping.abort();
    await assert.rejects(answer, { name: "AbortError" });
    assertRestored(fake);
    assert.equal(fake.interrupts(), 0);
    const late = terminal();
    await assert.rejects(late.ask(QUESTION, stopping.signal), { name: "AbortError" });
    assert.equal(late.shown(), "");
  });

  it("asks again on the same terminal", async () => {
    const fake = terminal();
    for (const word of ["one", "two"]) {
      const answer = fake.ask(QUESTION);
      fake.keyboard.emit("data", Buffer.from(`${word}\r`));
      assert.equal(await answer, word);
    }
  });
});
