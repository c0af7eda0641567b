import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { verifySignature } from "../../../src/bittensor/signature.ts";
import { OperationalError } from "../../../src/errors.ts";
import { hotkeyFile } from "../../../src/wallet/hotkey-location.ts";
import { loadHotkey, parseKeyfile, writeHotkeyFile } from "../../../src/wallet/keyfile.ts";
import type { Keypair } from "../../../src/wallet/keypair.ts";

/** Key files that bittensor_wallet 4.1.1 wrote, all of public development keys. */
const PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";
const SEED = "0xfac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e";
const SR25519 = {
  secretPhrase: PHRASE,
  secretSeed: SEED,
  publicKey: "0x46ebddef8cd9bb167dc30878d7113b7e168e6f0646beffd77d69d39bad76b47a",
  privateKey:
    "0x05d65584630d16cd4af6d0bec10f34bb504a5dcb62dba2122d49f5a663763d0afd190cce74df356432b410bd64682309d6dedb27c76845daf388557cbac3ca34",
  cryptoType: 1,
  ss58Address: "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV",
  accountId: "0x46ebddef8cd9bb167dc30878d7113b7e168e6f0646beffd77d69d39bad76b47a",
};
const ED25519 = {
  secretSeed: SEED,
  privateKey: SEED,
  ss58Address: "5DFJF7tY4bpbpcKPJcBTQaKuCDEPCpiz8TRjpmLeTtweqmXL",
  cryptoType: 0,
  accountId: "0x345071da55e5dccefaaa440339415ef9f2663338a38f7da0df21be5ab4e055ef",
  publicKey: "0x345071da55e5dccefaaa440339415ef9f2663338a38f7da0df21be5ab4e055ef",
  secretPhrase: PHRASE,
};
const ALICE_PRIVATE_ONLY = {
  cryptoType: 1,
  accountId: "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
  publicKey: "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
  privateKey:
    "0x33a6f3093f158a7109f679410bef1a0c54168145e0cecb4df006c1c2fffb1f09925a225d97aa00682d6a59b95b18780c10d7032336e88f3442b42361f4a66011",
  ss58Address: "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
};
/** From `create_from_seed("0x1111…")`: its secretSeed is garbled. */
const GARBLED_SEED = {
  secretSeed: `0x${"\u0011".repeat(32)}`,
  cryptoType: 1,
  privateKey:
    "0x704b72419b89bab3a4632685428901bf5715b44e40ec0df50f01fdc1553bf60b092539815e61663c7f9c4c9c377346f5d2936875bd760f0ac5c5f4f6e78a6d76",
  publicKey: "0x50780547322a1ceba67ea8c552c9bc6c686f8698ac9a8cafab7cd15a1db19859",
  ss58Address: "5DtDLm5rQHShDqojQpsvcN8tRXHVFaecfDoRet1SU6BFD9Fi",
};

function load(content: unknown): Keypair {
  return parseKeyfile(typeof content === "string" ? content : JSON.stringify(content), "key");
}

function assertSigns(keypair: Keypair, address: string): void {
  const message = Buffer.from("message");
  const { scheme } = keypair;
  assert.equal(keypair.address, address);
  assert.ok(verifySignature({ scheme, address, message, signature: keypair.sign(message) }));
}

describe("key files of bittensor_wallet", () => {
  for (const [name, content] of Object.entries({ SR25519, ED25519, ALICE_PRIVATE_ONLY, GARBLED_SEED })) {
    it(name, () => {
      assertSigns(load(content), content.ss58Address);
    });
  }

  const { secretPhrase, secretSeed, privateKey, publicKey, accountId, ss58Address } = SR25519;
  const variants: Record<string, unknown> = {
    "phrase only": { secretPhrase },
    "seed only": { secretSeed },
    "seed without 0x": { secretSeed: secretSeed.slice(2) },
    "private key and public key": { privateKey, publicKey },
    "private key and accountId": { privateKey, accountId },
    "private key and address": { privateKey, ss58Address },
    "old address field": { secretSeed, " ss58Address": ss58Address },
    "old address field, private key": { privateKey, " ss58Address": ss58Address },
    "nulls in the other fields": { secretPhrase: null, secretSeed, privateKey: null, cryptoType: null },
    "the phrase wins over the seed": { secretPhrase, secretSeed: `0x${"11".repeat(32)}` },
    "the seed wins over the private key": { secretSeed, privateKey: GARBLED_SEED.privateKey },
    "bare mnemonic": `${PHRASE}\n`,
    "bare hex seed": secretSeed,
    "bare hex seed without 0x": secretSeed.slice(2),
  };
  for (const [name, content] of Object.entries(variants)) {
    it(name, () => {
      assertSigns(load(content), ss58Address);
    });
  }

  it("ed25519 by its 64-byte private key", () => {
    const { publicKey: own, ss58Address: address } = ED25519;
    assertSigns(load({ privateKey: SEED + own.slice(2), publicKey: own, cryptoType: 0 }), address);
  });
});

describe("refused key files", () => {
  const { secretSeed, privateKey } = SR25519;
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["NaCl twice", "$NACLxxxx", "WALLET_ENCRYPTED"],
    ["Ansible", "$ANSIBLE_VAULT;1.1;AES256", "WALLET_ENCRYPTED"],
    ["Fernet", "gAAAAABh", "WALLET_ENCRYPTED"],
    ["another address", { secretSeed, ss58Address: ED25519.ss58Address }, "WALLET_MISMATCH"],
    ["another old address", { secretSeed, " ss58Address": ED25519.ss58Address }, "WALLET_MISMATCH"],
    ["a private key of another public key", { ...ALICE_PRIVATE_ONLY, privateKey }, "WALLET_MISMATCH"],
    ["private key zero", { privateKey: "00".repeat(64), publicKey: SR25519.publicKey }, "WALLET_MISMATCH"],
    ["a private key alone", { privateKey }, "WALLET_INVALID"],
    ["no secret", { ss58Address: SR25519.ss58Address }, "WALLET_INVALID"],
    ["a short seed", { secretSeed: "0x1234" }, "WALLET_INVALID"],
    ["a phrase with a wrong checksum", { secretPhrase: PHRASE.replace("walk", "drive") }, "WALLET_INVALID"],
    ["crypto type 2", { secretSeed, cryptoType: 2 }, "WALLET_INVALID"],
    ["a number as seed", { secretSeed: 5 }, "WALLET_INVALID"],
    ["broken JSON", '{"secretSeed": "0xfac7', "WALLET_INVALID"],
    ["nothing", "", "WALLET_INVALID"],
    ["prose", "this is not a key", "WALLET_INVALID"],
  ];
  for (const [name, content, code] of cases) {
    it(`${name}: ${code}, naming no secret`, () => {
      assert.throws(
        () => load(content),
        (error: unknown) => {
          assert.ok(error instanceof OperationalError);
          assert.equal(error.code, code);
          const told = inspect(error, { depth: 5 });
          for (const secret of ["fac7959d", "05d65584", "obey lake"]) assert.ok(!told.includes(secret));
          return true;
        },
      );
    });
  }
});

describe("keys on disk", () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "wallet-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("a throwaway key is written for its owner only and loads again", async () => {
    const wallet = { path: folder, name: "demo", hotkey: "validator" };
    const file = await writeHotkeyFile(wallet, new Uint8Array(32).fill(7));
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const stored = JSON.parse(await readFile(file, "utf8")) as { ss58Address: string };
    assertSigns(await loadHotkey(wallet), stored.ss58Address);
    await assert.rejects(writeHotkeyFile(wallet, new Uint8Array(32)), { code: "WALLET_UNWRITABLE" });
  });

  it("a missing file says which, and a folder is unreadable", async () => {
    await assert.rejects(loadHotkey({ path: folder, name: "demo", hotkey: "none" }), { code: "WALLET_MISSING" });
    await mkdir(join(folder, "demo", "hotkeys", "folder"), { recursive: true });
    await assert.rejects(loadHotkey({ path: folder, name: "demo", hotkey: "folder" }), { code: "WALLET_UNREADABLE" });
  });

  it("~ is the home folder", () => {
    assert.equal(hotkeyFile({ path: "~/w", name: "n", hotkey: "h" }), join(homedir(), "w/n/hotkeys/h"));
  });

  it("a loaded key shows no secret when it is logged", () => {
    const shown = inspect(load(SR25519), { depth: 9 }) + JSON.stringify(load(SR25519));
    assert.ok(!shown.includes("fac7959d") && !shown.includes("secretKey"));
  });
});
