import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs, { linkSync, mkdirSync, realpathSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import fsPromises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { homedir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { pino } from "pino";
import { OperationalError } from "../../../src/errors.ts";
import { hotkeyPaths } from "../../../src/wallet/hotkey-location.ts";
import { loadHotkey, loadKeyfile, writeHotkeyFile } from "../../../src/wallet/keyfile.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const SEED = new Uint8Array(32).fill(7);
/** A readable, valid key: nothing but the refusal keeps it from being loaded. */
const COLDKEY = JSON.stringify({ secretSeed: `0x${"11".repeat(32)}` });

interface Wallet {
  readonly path: string;
  readonly name: string;
  readonly root: string;
  readonly hotkeys: string;
  readonly coldkey: string;
}

async function walletWithColdkey(test: TestContext): Promise<Wallet> {
  const folder = await tempFolder(test);
  await writeHotkeyFile({ path: folder, name: "w", hotkey: "good" }, SEED);
  const root = path.join(folder, "w");
  const coldkey = path.join(root, "coldkey");
  writeFileSync(coldkey, COLDKEY, { mode: 0o600 });
  return { path: folder, name: "w", root, hotkeys: path.join(root, "hotkeys"), coldkey };
}

/** Real paths of everything that is opened or read through node:fs while `work` runs. */
async function openedBy(test: TestContext, work: () => Promise<void>): Promise<readonly string[]> {
  const opened: string[] = [];
  const watch = (target: object, names: readonly string[]): void => {
    for (const name of names) {
      const original = (target as Record<string, (...args: unknown[]) => unknown>)[name]!;
      test.mock.method(target as Record<string, typeof original>, name, function (this: unknown, ...args: unknown[]) {
        if (typeof args[0] === "string") opened.push(realpathSync(args[0]));
        return original.apply(this, args);
      });
    }
  };
  watch(fsPromises, ["open", "readFile"]);
  watch(fs, ["open", "openSync", "readFile", "readFileSync", "createReadStream"]);
  syncBuiltinESMExports();
  try {
    await work();
  } finally {
    test.mock.restoreAll();
    syncBuiltinESMExports();
  }
  return opened;
}

describe("the coldkey", () => {
  it("is never opened: not by a name, a path, a link or a link's link", async (test) => {
    const wallet = await walletWithColdkey(test);
    const { root, hotkeys, coldkey } = wallet;
    symlinkSync("../coldkey", path.join(hotkeys, "symlink"));
    symlinkSync("symlink", path.join(hotkeys, "chain"));
    linkSync(coldkey, path.join(hotkeys, "hardlink"));
    writeFileSync(path.join(hotkeys, "coldkey"), COLDKEY);
    mkdirSync(path.join(wallet.path, "other"));
    renameSync(coldkey, path.join(wallet.path, "other", "treasure"));
    symlinkSync(path.join(wallet.path, "other", "treasure"), coldkey);
    symlinkSync(path.join(wallet.path, "other", "treasure"), path.join(hotkeys, "treasure"));
    symlinkSync(hotkeys, path.join(wallet.path, "loop"));
    const names = ["../coldkey", coldkey, "../../w/coldkey", "./../coldkey", "..", ".", "", "x/../../coldkey", "a\\b"];
    const links = ["symlink", "chain", "hardlink", "treasure", "coldkey"];
    const opened = await openedBy(test, async () => {
      for (const hotkey of names) {
        await assert.rejects(loadHotkey({ ...wallet, hotkey }), { code: "WALLET_NAME" }, hotkey);
      }
      for (const hotkey of links) {
        await assert.rejects(loadHotkey({ ...wallet, hotkey }), { code: "WALLET_COLDKEY" }, hotkey);
      }
      for (const name of ["../w", "w/.", "", ".."]) {
        await assert.rejects(loadHotkey({ ...wallet, name, hotkey: "good" }), { code: "WALLET_NAME" }, name);
      }
      for (const file of [coldkey, path.join(root, "..", "loop", "symlink")]) {
        await assert.rejects(loadKeyfile(file), { code: "WALLET_COLDKEY" }, file);
      }
      await loadHotkey({ ...wallet, hotkey: "good" });
    });
    assert.deepEqual(opened, [path.join(hotkeys, "good")], "the recorder sees what is opened, and that is the hotkey");
  });

  it("no hotkey name leads out of the hotkeys folder", async (test) => {
    const wallet = await walletWithColdkey(test);
    const part = fc.constantFrom("..", ".", "/", "coldkey", "good", "hotkeys", "w", "coldkeypub.txt");
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }), async (parts) => {
        const hotkey = parts.join("");
        const loaded = await loadHotkey({ ...wallet, hotkey }).catch((error: unknown) => {
          assert.ok(error instanceof OperationalError, String(error));
        });
        if (loaded) assert.equal(hotkey, "good");
      }),
    );
  });
});

describe("hotkey files", () => {
  it("may be links, as secret stores mount them", async (test) => {
    const wallet = await walletWithColdkey(test);
    const store = path.join(wallet.path, "store");
    mkdirSync(store);
    renameSync(path.join(wallet.hotkeys, "good"), path.join(store, "mounted"));
    symlinkSync(path.join(store, "mounted"), path.join(wallet.hotkeys, "good"));
    const { address } = await loadHotkey({ ...wallet, hotkey: "good" });
    assert.equal(address, (await loadKeyfile(path.join(store, "mounted"))).address);
  });

  it("that are dangling, looping, folders, pipes or too large are refused at once", async (test) => {
    const wallet = await walletWithColdkey(test);
    const at = (name: string): string => path.join(wallet.hotkeys, name);
    symlinkSync("nowhere", at("dangling"));
    symlinkSync("loop", at("loop"));
    mkdirSync(at("folder"));
    execFileSync("mkfifo", [at("pipe")]);
    writeFileSync(at("large"), "x".repeat(65_537));
    const expected: Record<string, string> = {
      dangling: "WALLET_MISSING",
      loop: "WALLET_UNREADABLE",
      folder: "WALLET_UNREADABLE",
      pipe: "WALLET_UNREADABLE",
      large: "WALLET_INVALID",
      "good/below": "WALLET_NAME",
    };
    for (const [hotkey, code] of Object.entries(expected)) {
      await assert.rejects(loadHotkey({ ...wallet, hotkey }), { code }, hotkey);
    }
  });

  it("that others may read are loaded with one warning", async (test) => {
    const wallet = await walletWithColdkey(test);
    const lines: string[] = [];
    const logger = pino({ level: "trace" }, { write: (line: string) => lines.push(line) });
    await loadHotkey({ ...wallet, hotkey: "good" }, { logger });
    assert.deepEqual(lines, []);
    fs.chmodSync(path.join(wallet.hotkeys, "good"), 0o640);
    await loadHotkey({ ...wallet, hotkey: "good" }, { logger });
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /"mode":"640".*chmod 600/);
  });

  it("are known to the Bittensor tools by the path as given, with and without ~", () => {
    const paths = hotkeyPaths({ path: "~/w/../x/", name: "n", hotkey: "h" });
    const home = homedir();
    assert.deepEqual(paths, [`${home}/x/n/hotkeys/h`, `${home}/w/../x/n/hotkeys/h`, "~/w/../x/n/hotkeys/h"]);
    assert.equal(hotkeyPaths({ path: "./rel", name: "n", hotkey: "h" })[1], "./rel/n/hotkeys/h");
  });
});
