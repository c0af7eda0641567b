import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { PACKAGE_ROOT } from "../../../src/config/load.ts";
import { OperationalError } from "../../../src/errors.ts";
import { loadHotkey } from "../../../src/wallet/keyfile.ts";
import { exportableVariable, obscurePassword, passwordVariable } from "../../../src/wallet/password-variable.ts";
import { openSecretbox } from "../../../src/wallet/secretbox.ts";
import { sealKeyfile } from "../../support/sealed-keyfile.ts";
import { tempFolder } from "../../support/temp-folder.ts";

/** Every derivation costs seconds and 512 MiB, so each test makes as few as it can, one after the other. */
interface Vectors {
  readonly address: string;
  readonly files: Readonly<Record<"json" | "mnemonic" | "garbage", { password: string; base64: string }>>;
}
const { files, address } = JSON.parse(
  readFileSync(path.join(PACKAGE_ROOT, "test/vectors/wallet_encryption.json"), "utf8"),
) as Vectors;

const SHARED = path.join(PACKAGE_ROOT, "../shared/chain/hotkey.test-password.nacl");
const NO_TERMINAL = { env: {}, prompt: null };

async function walletWith(test: TestContext, content: Uint8Array, hotkey = "miner") {
  const wallet = { path: await tempFolder(test), name: "n", hotkey };
  const file = path.join(wallet.path, "n", "hotkeys", hotkey);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content, { mode: 0o600 });
  return { wallet, file };
}

function bytesOf(name: keyof Vectors["files"]): Uint8Array {
  return Buffer.from(files[name].base64, "base64");
}

function variableFor(file: string, password: string): Record<string, string> {
  const name = passwordVariable(file);
  return { [name]: obscurePassword(Buffer.from(password), name) };
}

/** Answers one word after the other and keeps the questions. */
function scriptedPrompt(...words: string[]) {
  const questions: string[] = [];
  const prompt = (question: string): Promise<string> => {
    questions.push(question);
    const word = words.shift();
    return word === undefined ? Promise.reject(new Error("asked too often")) : Promise.resolve(word);
  };
  return { prompt, questions };
}

describe("encrypted files of bittensor_wallet", () => {
  it("JSON, its password in the variable that the library sets", async (test) => {
    const { wallet, file } = await walletWith(test, bytesOf("json"));
    const env = variableFor(file, files.json.password);
    assert.equal((await loadHotkey(wallet, { env, prompt: null })).address, address);
  });

  it("a bare mnemonic, at the second try of the prompt", async (test) => {
    const { wallet, file } = await walletWith(test, bytesOf("mnemonic"));
    const { prompt, questions } = scriptedPrompt("wrong", files.mnemonic.password);
    assert.equal((await loadHotkey(wallet, { env: {}, prompt })).address, address);
    assert.deepEqual(questions, [`Password of hotkey file ${file}: `, "Wrong password, try again: "]);
  });

  it("the project's own sample", { skip: !existsSync(SHARED) && `needs ${SHARED}` }, async (test) => {
    const { wallet, file } = await walletWith(test, readFileSync(SHARED), "a-hotkey");
    // The form that a shell can export, for the hyphen in the name.
    const name = exportableVariable(file);
    const env = { [name]: obscurePassword(Buffer.from("test-password"), name) };
    const loaded = await loadHotkey(wallet, { env, prompt: null });
    assert.equal(loaded.address, "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV");
  });

  it("what is inside is judged as an unencrypted file is, and never quoted", async (test) => {
    const { wallet, file } = await walletWith(test, bytesOf("garbage"));
    const env = variableFor(file, files.garbage.password);
    await assert.rejects(loadHotkey(wallet, { env, prompt: null }), (error: unknown) => {
      assert.ok(error instanceof OperationalError && error.code === "WALLET_INVALID", String(error));
      assert.ok(!inspect(error, { depth: 9 }).includes("fac7"));
      return true;
    });
    const seed = `0x${"11".repeat(32)}`;
    const mismatch = sealKeyfile(JSON.stringify({ secretSeed: seed, ss58Address: address }), "x");
    writeFileSync(file, mismatch);
    const sources = { env: variableFor(file, "x"), prompt: null };
    await assert.rejects(loadHotkey(wallet, sources), { code: "WALLET_MISMATCH" });
  });
});

describe("passwords that do not open", () => {
  it("three wrong ones at the prompt", async (test) => {
    const { wallet } = await walletWith(test, bytesOf("json"));
    const { prompt, questions } = scriptedPrompt("a", "b", "c", files.json.password);
    await assert.rejects(loadHotkey(wallet, { env: {}, prompt }), { code: "WALLET_PASSWORD" });
    assert.equal(questions.length, 3);
  });

  it("a variable that is wrong, or holds the password itself: said without its value, nobody is asked", async (test) => {
    const { wallet, file } = await walletWith(test, bytesOf("json"));
    const name = passwordVariable(file);
    for (const value of [obscurePassword(Buffer.from("sentinel-wrong"), name), "sentinel-plain"]) {
      const { prompt, questions } = scriptedPrompt(files.json.password);
      await assert.rejects(loadHotkey(wallet, { env: { [name]: value }, prompt }), (error: unknown) => {
        assert.ok(error instanceof OperationalError && error.code === "WALLET_PASSWORD", String(error));
        assert.ok(error.message.includes(name));
        assert.ok(!inspect(error, { depth: 9 }).includes("sentinel") && !inspect(error).includes(value));
        return true;
      });
      assert.deepEqual(questions, []);
    }
  });

  it("none: the error names the variable and how to set it", async (test) => {
    const { wallet, file } = await walletWith(test, bytesOf("json"), "my-hotkey");
    await assert.rejects(loadHotkey(wallet, NO_TERMINAL), (error: unknown) => {
      assert.ok(error instanceof OperationalError && error.code === "WALLET_ENCRYPTED");
      for (const text of [passwordVariable(file), exportableVariable(file), "wallet-password"]) {
        assert.ok(error.message.includes(text), text);
      }
      return true;
    });
  });

  it("a person who gives up is not asked again", async (test) => {
    const { wallet } = await walletWith(test, bytesOf("json"));
    const prompt = (): Promise<string> => Promise.reject(new OperationalError("WALLET_PASSWORD", "given up"));
    await assert.rejects(loadHotkey(wallet, { env: {}, prompt }), { message: "given up" });
  });
});

describe("the secretbox", () => {
  const password = Buffer.from(files.json.password);

  it("a file cut short is invalid, not a wrong password", async () => {
    for (const length of [5, 28, 44]) {
      const cut = bytesOf("json").subarray(0, length);
      await assert.rejects(openSecretbox(cut, password, "key"), { code: "WALLET_INVALID" }, String(length));
    }
  });

  it("opens off the event loop, gives its memory back, and notices one changed bit", async () => {
    const box = bytesOf("json");
    const changed = Uint8Array.from(box);
    changed[box.length - 1]! ^= 1;
    let turns = 0;
    let peakBytes = 0;
    const timer = setInterval(() => {
      turns += 1;
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    }, 10);
    const beforeBytes = process.memoryUsage.rss();
    assert.equal(await openSecretbox(changed, password, "key"), undefined);
    const afterBytes = process.memoryUsage.rss();
    clearInterval(timer);
    // Hundreds of turns where the loop lives; one or two where it is blocked.
    assert.ok(turns > 20, `${turns} turns of the event loop`);
    assert.ok(peakBytes > beforeBytes + 400e6, `peak ${peakBytes}: the measurement sees the 512 MiB`);
    assert.ok(afterBytes < beforeBytes + 100e6, `from ${beforeBytes} to ${afterBytes} bytes`);
  });
});
