import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { mnemonicGenerate } from "@polkadot/util-crypto";
import { signedRequest } from "../../../src/bittensor/dendrite.ts";
import { systemClock } from "../../../src/clock.ts";
import { PACKAGE_ROOT } from "../../../src/config/load.ts";
import { askAxon } from "../../../src/demo/validator.ts";
import { recordedEngines } from "../../../src/demo/recorded-engines.ts";
import { CORRECT } from "../../../src/subnets/synth/validate-answer.ts";
import { millisToNanos } from "../../../src/units.ts";
import { keypairFromSeed, type Keypair } from "../../../src/wallet/keypair.ts";
import { miniSecretOf } from "../../../src/wallet/mnemonic.ts";
import { obscurePassword, passwordVariable } from "../../../src/wallet/password-variable.ts";
import { createTestMiner, type TestMiner } from "../../support/miner.ts";
import { sealKeyfile } from "../../support/sealed-keyfile.ts";

/** A key whose every secret is random, in a key file with every field that the SDK writes. */
interface Sentinel {
  readonly keypair: Keypair;
  readonly password: string;
  readonly keyfile: string;
  /** What nothing may contain, as bytes. */
  readonly needles: readonly (readonly [string, Uint8Array])[];
}

function createSentinel(): Sentinel {
  const phrase = mnemonicGenerate();
  const seed = miniSecretOf(phrase)!;
  const keypair = keypairFromSeed(seed);
  const { secretKey, publicKey } = keypair.revealSecret();
  // Key files hold the scalar undivided by the cofactor: secretKey's first half, shifted right by three bits.
  const scalar = BigInt(`0x${Buffer.from(secretKey.subarray(0, 32)).reverse().toString("hex")}`) >> 3n;
  const half = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex").reverse();
  const privateKey = Buffer.concat([half, secretKey.subarray(32, 64)]);
  const password = `sentinel-${randomUUID()}`;
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const content = {
    accountId: `0x${hex(publicKey)}`,
    publicKey: `0x${hex(publicKey)}`,
    privateKey: `0x${hex(privateKey)}`,
    secretPhrase: phrase,
    secretSeed: `0x${hex(seed)}`,
    ss58Address: keypair.address,
    cryptoType: 1,
  };
  const binary: Record<string, Uint8Array> = { seed, secretKey, privateKey, half, scalar: secretKey.subarray(0, 32) };
  const forms = Object.entries(binary).flatMap(([name, bytes]) => [
    [name, bytes] as const,
    [`${name} in hex`, Buffer.from(hex(bytes).slice(0, 32))] as const,
    [`${name} in capital hex`, Buffer.from(hex(bytes).slice(0, 32).toUpperCase())] as const,
    [`${name} in base64`, Buffer.from(Buffer.from(bytes).toString("base64").slice(0, 40))] as const,
    [`${name} as numbers`, Buffer.from([...bytes.subarray(0, 12)].join(","))] as const,
  ]);
  const words = phrase.split(" ");
  const texts = [
    ["the phrase's beginning", words.slice(0, 3).join(" ")],
    ["the phrase's end", words.slice(-3).join(" ")],
    ["the password", password],
    ["the password in base64", Buffer.from(password).toString("base64").slice(0, 40)],
  ] as const;
  return {
    keypair,
    password,
    keyfile: JSON.stringify(content),
    needles: [...forms, ...texts.map(([name, text]) => [name, Buffer.from(text)] as const)],
  };
}

/** Everything that was printed, answered or written, by where. */
const collected = new Map<string, Uint8Array>();

function collect(where: string, what: string | Uint8Array): void {
  collected.set(where, Buffer.concat([collected.get(where) ?? Buffer.alloc(0), Buffer.from(what)]));
}

function findings(needles: Sentinel["needles"]): readonly string[] {
  return [...collected].flatMap(([where, bytes]) =>
    needles
      .filter(([, needle]) => Buffer.from(bytes).includes(Buffer.from(needle)))
      .map(([name]) => `${name} in ${where}`),
  );
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

function runMain(args: readonly string[], cwd: string): number | null {
  const main = path.join(PACKAGE_ROOT, "src/main.ts");
  const done = spawnSync(process.execPath, [main, ...args], { cwd, input: "", timeout: 60_000 });
  collect(`output of ${args.slice(0, 2).join(" ")}`, Buffer.concat([done.stdout, done.stderr]));
  return done.status;
}

describe("secrets of an encrypted hotkey", { timeout: 240_000 }, () => {
  const sentinel = createSentinel();
  const { keypair, password, needles } = sentinel;
  const sealed = sealKeyfile(sentinel.keyfile, password);
  let miner: TestMiner;
  let file = "";
  let variable = "";
  let wallet: readonly string[] = [];
  const allNeedles = (): Sentinel["needles"] => [
    ...needles,
    ["the variable's value", Buffer.from(obscurePassword(Buffer.from(password), variable))],
  ];

  before(async () => {
    miner = await createTestMiner();
    file = path.join(miner.dir, "wallets", "demo", "hotkeys", "sentinel");
    variable = passwordVariable(file);
    writeFileSync(file, sealed, { mode: 0o600 });
    wallet = ["--wallet.hotkey", "sentinel", "--logging.trace"];
    process.env[variable] = obscurePassword(Buffer.from(password), variable);
  });
  after(async () => {
    Reflect.deleteProperty(process.env, variable);
    await miner.close();
  });

  it("a search finds what it looks for", () => {
    collect("this test", `x${sentinel.keyfile}y${password}`);
    const found = findings(needles).map((finding) => finding.replace(" in this test", ""));
    for (const name of ["seed in hex", "privateKey in hex", "the phrase's end", "the password"]) {
      assert.ok(found.includes(name), name);
    }
    collected.clear();
  });

  it("do not leave a daemon that serves, records, refuses and is asked for its health", async () => {
    const serve = miner.start("serve", wallet);
    const healthz = async (): Promise<string> => {
      const response = await fetch(`${miner.healthUrl}/healthz`).catch(() => null);
      return response === null ? "" : response.text();
    };
    while ((await healthz()) === "") await systemClock.sleep(50);
    const startTimeSeconds = Math.ceil(Date.now() / 60_000) * 60 + 60;
    const prompt = {
      asset: "BTC",
      startTimeSeconds,
      stepSeconds: 300,
      horizonSeconds: 86_400,
      numSimulations: 1000,
    } as const;
    const axon = { ...miner.axon, hotkey: keypair.address };
    const { verdict } = await askAxon(axon, prompt, { keypair: miner.validator, timeoutSeconds: 30 });
    assert.equal(verdict, CORRECT, "the axon runs under the decrypted hotkey");
    const refusal = await provokeError(miner, axon.hotkey);
    assert.equal(refusal.status, 401);
    collect("the refusal", refusal.text);
    const recordings = path.join(miner.stateDir, "recordings", keypair.address);
    while ((await recordedEngines(recordings)).size === 0) await systemClock.sleep(50);
    collect("/healthz", await healthz());
    collect("/readyz", await (await fetch(`${miner.healthUrl}/readyz`)).text());
    serve.kill("SIGTERM");
    assert.deepEqual(await serve.exited, { code: 0, signal: null });
    for (const written of filesBelow(miner.stateDir)) collect(written, readFileSync(written));
    collect("the log", readFileSync(miner.logFile));
    assert.ok(collected.get("the log")!.length > 500, "there is a log at trace level");
    assert.ok(filesBelow(recordings).length > 0, "and a recording");
    assert.deepEqual(findings(allNeedles()), []);
  });

  it("do not leave commands beside it, with the password in their environment", () => {
    const at = ["--config", miner.configFile, ...wallet];
    assert.equal(runMain(["inspect", ...at], miner.dir), 0);
    assert.equal(runMain(["serve", "--help"], miner.dir), 0);
    assert.equal(runMain(["serve", "--axon.prot", "1", ...at], miner.dir), 2);
    assert.equal(runMain(["wallet-password", ...at], miner.dir), 2);
    assert.deepEqual(findings(allNeedles()), []);
  });

  it("do not leave a refusal: wrong password, changed file, plain file that is broken or of another address", () => {
    const { keyfile } = sentinel;
    const other = keypairFromSeed(new Uint8Array(32).fill(9)).address;
    const changed = Uint8Array.from(sealed);
    changed[40]! ^= 1;
    const wrong = obscurePassword(Buffer.from("wrong"), variable);
    const cases: readonly (readonly [string, string | Uint8Array, string, string])[] = [
      ["wrong password", sealed, wrong, "WALLET_PASSWORD"],
      ["password as it is", sealed, password, "WALLET_PASSWORD"],
      ["changed box", changed, process.env[variable]!, "WALLET_PASSWORD"],
      ["cut box", sealed.subarray(0, 40), process.env[variable]!, "WALLET_INVALID"],
      ["cut JSON", keyfile.slice(0, -3), "", "WALLET_INVALID"],
      ["another address", keyfile.replace(keypair.address, other), "", "WALLET_MISMATCH"],
      ["a field of another type", keyfile.replace('"cryptoType":1', '"cryptoType":"1"'), "", "WALLET_INVALID"],
      ["a misspelt phrase", keyfile.replace('"secretPhrase":"', '"secretPhrase":"x'), "", "WALLET_INVALID"],
    ];
    const before = process.env[variable]!;
    try {
      for (const [name, content, value, code] of cases) {
        writeFileSync(file, content);
        process.env[variable] = value;
        assert.equal(runMain(["serve", "--config", miner.configFile, ...wallet], miner.dir), 2, name);
        const said = Buffer.from(collected.get("output of serve --config") ?? "").toString();
        assert.ok(said.includes(code), `${name}: ${said}`);
        assert.deepEqual(findings(allNeedles()), [], name);
        collected.delete("output of serve --config");
      }
    } finally {
      process.env[variable] = before;
    }
  });
});

/** A request signed for another axon, and so refused after its signature was looked at. */
async function provokeError(miner: TestMiner, receiverHotkey: string): Promise<{ status: number; text: string }> {
  const {
    method,
    path: target,
    headers,
    body,
  } = signedRequest({
    keypair: miner.validator,
    receiverHotkey,
    synapse: "Synapse",
    body: {},
    timeoutSeconds: 30,
    nonce: millisToNanos(systemClock.nowMs()),
    uuid: randomUUID(),
  });
  const tampered = { ...headers, bt_header_dendrite_uuid: randomUUID() };
  const response = await fetch(`${miner.axon.url}${target}`, { method, headers: tampered, body });
  return { status: response.status, text: await response.text() };
}
