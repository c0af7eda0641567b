import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import path from "node:path";
import fc from "fast-check";
import { formatSignature, parseSignature, verifySignature } from "../../src/bittensor/signature.ts";
import { freePort } from "../../src/demo/free-port.ts";
import { writeHotkeyFile } from "../../src/wallet/keyfile.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";
import { missingPython, runClient, type Check } from "./python.ts";

interface Seen {
  readonly is_success: boolean;
  readonly is_failure: boolean;
  readonly is_blacklist: boolean;
  readonly is_timeout: boolean;
  readonly failed_verification: boolean;
  readonly status: readonly number[];
  readonly message: string;
  readonly dendrite_process_time: number;
  readonly axon_process_time: number;
  readonly axon: { readonly hotkey: string; readonly port: number; readonly version: number };
  readonly dendrite: { readonly hotkey: string; readonly ip: string };
  readonly signed: boolean;
  readonly head: readonly number[] | null;
  readonly shape: readonly number[] | null;
}

const PATHS = 1000;
const POINTS = 61;
const VECTORS = 64;
const STEP_SECONDS = 60;
const SECOND_SEED = new Uint8Array(32).fill(21);

const SDKS = [
  { name: "10.0.1, as validators run it", variable: "SYNTH_TEST_PYTHON", file: "test/e2e/python/requirements.txt" },
  { name: "10.5.0", variable: "SYNTH_TEST_PYTHON_NEWER", file: "test/interop/requirements-newer.txt" },
] as const;

/** Two miners of one machine, each with its hotkey and axon, on one state. */
async function startMiners(): Promise<{ miner: TestMiner; axons: readonly { port: number; hotkey: string }[] }> {
  const miner = await createTestMiner();
  const wallet = { path: path.join(miner.dir, "wallets"), name: "demo", hotkey: "second" };
  await writeHotkeyFile(wallet, SECOND_SEED);
  await miner.start("update").ready;
  const port = await freePort();
  const second = ["--wallet.hotkey", "second", "--axon.port", String(port), "--health.port", "0"];
  await Promise.all([miner.start("serve").ready, miner.start("serve", second).ready]);
  const own = { port: miner.axon.port, hotkey: miner.axon.hotkey };
  return { miner, axons: [own, { port, hotkey: keypairFromSeed(SECOND_SEED).address }] };
}

/** Messages that our signer signed, every fourth one changed afterwards. */
function ourVectors(): readonly { address: string; message: string; signature: string; valid: boolean }[] {
  const messages = fc.sample(fc.tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array()), VECTORS);
  return messages.map(([seed, message], index) => {
    const keypair = keypairFromSeed(seed);
    const signature = formatSignature(keypair.sign(message));
    const valid = index % 4 !== 0;
    const sent = valid ? message : Uint8Array.of(...message, 1);
    return { address: keypair.address, message: Buffer.from(sent).toString("hex"), signature, valid };
  });
}

for (const { name, variable, file } of SDKS) {
  const skip = missingPython(variable, file);
  describe(`a validator on the SDK ${name}`, { skip }, () => {
    let miner: TestMiner;
    let axons: Awaited<ReturnType<typeof startMiners>>["axons"];
    let checks: readonly Check[];
    const ours = ourVectors();
    const startTime = Math.ceil(Date.now() / 60_000) * 60 + 60;

    before(async () => {
      ({ miner, axons } = await startMiners());
      const seed = `0x${Buffer.from(miner.validatorSeed).toString("hex")}`;
      const start_time = new Date(startTime * 1000).toISOString().replace(".000Z", "+00:00");
      const grid = { time_increment: STEP_SECONDS, time_length: 3600, num_simulations: PATHS };
      const prompt = { asset: "BTC", start_time, ...grid };
      const vectors = ours.map(({ address, message, signature }) => ({ address, message, signature }));
      checks = await runClient(process.env[variable]!, "validator.py", { axons, seed, prompt, vectors });
    });
    after(() => miner.close());

    const all = (check: string): readonly Check[] => {
      const found = checks.filter((each) => each.check === check);
      assert.ok(found.length > 0, `${check} is not among ${checks.map((each) => each.check).join(", ")}`);
      return found;
    };
    const answers = (check: Check): readonly Seen[] => check["answers"] as Seen[];
    const only = (check: string): Check => all(check)[0]!;

    function assertGood(seen: Seen, axon: { port: number; hotkey: string }): void {
      assert.deepEqual(
        [seen.is_success, seen.is_failure, seen.is_blacklist, seen.is_timeout, seen.failed_verification],
        [true, false, false, false, false],
        seen.message,
      );
      assert.deepEqual(seen.status, [200, 200]);
      assert.equal(seen.message, "Success");
      assert.deepEqual(seen.axon, { ...axon, version: 10_000_001 });
      assert.deepEqual(seen.dendrite, { hotkey: miner.validator.address, ip: "127.0.0.1" });
      assert.ok(seen.signed);
      assert.ok(seen.axon_process_time > 0 && seen.dendrite_process_time >= seen.axon_process_time);
      assert.deepEqual(seen.head, [startTime, STEP_SECONDS]);
      assert.deepEqual(seen.shape, [PATHS, POINTS]);
    }

    function assertRefused(check: string, expected: { status: number; message: RegExp }): void {
      assert.equal(answers(only(check)).length, axons.length);
      for (const seen of answers(only(check))) {
        const { status, message } = expected;
        assert.deepEqual(seen.status, [status, status], `${check}: ${seen.message}`);
        assert.deepEqual(
          [seen.is_success, seen.is_blacklist, seen.failed_verification, seen.is_failure],
          [false, status === 403, status === 401, true],
          check,
        );
        assert.match(seen.message, message, check);
        assert.ok(seen.axon_process_time >= 0 && seen.shape === null && !seen.signed, check);
      }
    }

    it("gets its answers from several miners through bittensor.Dendrite", () => {
      for (const [index, seen] of answers(only("dendrite good")).entries()) assertGood(seen, axons[index]!);
    });

    it("gets them through httpx by one nonce and one uuid, and the next on the same connections", () => {
      const next = "httpx next cycle, same uuid";
      for (const check of [only("httpx cycle"), only(next)]) {
        assert.equal(answers(check).length, axons.length);
        for (const [index, seen] of answers(check).entries()) assertGood(seen, axons[index]!);
      }
      assert.deepEqual([only("httpx cycle")["connections"], only(next)["connections"]], [axons.length, axons.length]);
    });

    it("gets 25 answers on as many connections at once", () => {
      const check = only("httpx at once");
      assert.equal(check["connections"], 25);
      assert.equal(answers(check).length, 25);
      for (const seen of answers(check)) assertGood(seen, axons[0]!);
    });

    it("may give up by asyncio.wait_for and ask again", () => {
      assert.equal(only("httpx out of time")["gave_up"], true);
      assertGood(answers(only("httpx after giving up"))[0]!, axons[0]!);
    });

    it("gets less than half the bytes where it reads gzip, and the plain text where it does not", () => {
      const used = new Map(all("httpx coding").map((check) => [check["coding"], check]));
      for (const check of used.values()) assertGood(answers(check)[0]!, axons[0]!);
      assert.deepEqual(
        [...used].map(([coding, check]) => [coding, check["used"]]),
        [
          ["gzip, deflate", "gzip"],
          ["identity", "identity"],
          ["gzip;q=0, identity", "identity"],
          ["br", "identity"],
        ],
      );
      const gzip = used.get("gzip, deflate")!;
      assert.ok(Number(gzip["wire_bytes"]) < Number(gzip["body_bytes"]) / 2, JSON.stringify(gzip));
    });

    it("is told by is_blacklist, failed_verification and status that and why it was refused", () => {
      assertRefused("dendrite stranger", { status: 403, message: /^Forbidden\. Key is blacklisted: Unrecognized/ });
      assertRefused("dendrite bad prompt", { status: 400, message: /BTC/ });
      assertRefused("httpx replay", { status: 401, message: /a newer one was last processed$/ });
      assertRefused("dendrite tampered unsigned", { status: 403, message: /Missing signature/ });
      assertRefused("dendrite tampered receiver", { status: 401, message: /Wrong receiver/ });
      assertRefused("dendrite tampered sender", { status: 403, message: /Unrecognized hotkey/ });
      for (const part of ["signature", "nonce", "uuid"]) {
        assertRefused(`dendrite tampered ${part}`, { status: 401, message: /Signature mismatch$/ });
      }
    });

    it("verifies our signatures by bittensor_wallet, and we verify its", () => {
      const { address, vectors } = only("vectors") as unknown as {
        address: string;
        vectors: readonly { message: string; verified: boolean; signature: string }[];
      };
      assert.deepEqual(
        vectors.map(({ verified }) => verified),
        ours.map(({ valid }) => valid),
      );
      for (const vector of vectors) {
        const message = Buffer.from(vector.message, "hex");
        const claim = { scheme: "sr25519", address, message, signature: parseSignature(vector.signature)! } as const;
        assert.ok(verifySignature(claim));
        assert.ok(!verifySignature({ ...claim, message: Buffer.concat([message, Buffer.of(0)]) }));
      }
    });
  });
}
