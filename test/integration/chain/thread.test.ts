import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { ChainLink } from "../../../src/chain/link.ts";
import { serveAxonCall } from "../../../src/chain/serve-axon.ts";
import { checkPayload } from "../../../src/chain/signing.ts";
import { createChainThread } from "../../../src/chain/thread.ts";
import { silentLogger } from "../../../src/log.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import { startSubtensorDouble } from "../../support/subtensor/double.ts";
import { subtensorDoubleSkip } from "../../support/subtensor/skip.ts";

const keypair = keypairFromSeed(new Uint8Array(32).fill(1));
const CALL = serveAxonCall({ netuid: 247, version: 10_000_001, address: { ip: "203.0.113.7", port: 8091 } });

function thread(
  test: TestContext,
  options: { timeoutMs?: number; workerFile?: URL; sign?: (payload: Uint8Array) => Uint8Array } = {},
): { link: ChainLink; lost: string[]; heads: number[] } {
  const [lost, heads]: [string[], number[]] = [[], []];
  const link = createChainThread({
    events: {
      onHead: (block) => heads.push(block),
      onLost: (reason) => lost.push(reason),
      onUpgrade: () => undefined,
    },
    sign: options.sign ?? ((): never => assert.fail("asked to sign")),
    timeoutMs: options.timeoutMs ?? 10_000,
    logger: silentLogger,
    ...(options.workerFile ? { workerFile: options.workerFile } : {}),
  });
  test.after(() => link.close());
  return { link, lost, heads };
}

describe("the chain's thread", { skip: subtensorDoubleSkip, timeout: 60_000 }, () => {
  it("reads, and serves with a signature that only this side can give", async (test) => {
    const chain = await startSubtensorDouble({ subnets: [{ netuid: 247, neurons: [{ hotkey: keypair.address }] }] });
    test.after(() => chain.close());
    const { link, heads } = thread(test, {
      sign: (payload) => {
        checkPayload(payload, { call: CALL, genesis: chain.genesisHash });
        return keypair.sign(payload);
      },
    });
    await assert.rejects(link.readSubnet(247), { code: "CHAIN_LOST" });
    assert.equal((await link.open(chain.url)).genesis, chain.genesisHash);
    assert.equal((await link.readSubnet(247)).neurons.length, 1);
    await link.serveAxon({ call: CALL, hotkey: { address: keypair.address, scheme: "sr25519" } });
    const { axon } = await link.readAxon({ netuid: 247, hotkey: keypair.address });
    assert.equal(axon?.ip, CALL.ip);
    assert.equal(heads.at(-1), chain.blockNumber());
    chain.forceRefusal("InvalidPort");
    await assert.rejects(link.serveAxon({ call: CALL, hotkey: { address: keypair.address, scheme: "sr25519" } }), {
      code: "CHAIN_REFUSED",
      details: { refusal: { form: "pool", name: "InvalidPort" } },
    });
  });

  it("is told when the signature is denied, and sends nothing", async (test) => {
    const chain = await startSubtensorDouble({ subnets: [{ netuid: 247, neurons: [{ hotkey: keypair.address }] }] });
    test.after(() => chain.close());
    const { link } = thread(test, {
      sign: (payload) => {
        checkPayload(payload, { call: { ...CALL, port: 1 }, genesis: chain.genesisHash });
        return keypair.sign(payload);
      },
    });
    await link.open(chain.url);
    const serving = link.serveAxon({ call: CALL, hotkey: { address: keypair.address, scheme: "sr25519" } });
    await assert.rejects(serving, { code: "CHAIN_PAYLOAD" });
    assert.equal(chain.extrinsics.length, 0);
  });
});

describe("a thread that misbehaves", { timeout: 60_000 }, () => {
  const workerFile = new URL("../../support/faulty-chain-worker.ts", import.meta.url);

  it("fails what waits for it when it crashes, and starts anew with the next endpoint", async (test) => {
    const { link, lost } = thread(test, { workerFile });
    await assert.rejects(link.open("ws://crash"), { code: "CHAIN_THREAD" });
    assert.match(lost.join(), /scripted crash/);
    assert.equal(await link.open("ws://sound"), "ws://sound");
  });

  it("is ended when it hangs, without holding up this one", async (test) => {
    const { link, lost } = thread(test, { workerFile, timeoutMs: 100 });
    await assert.rejects(link.open("ws://hang"), { code: "CHAIN_TIMEOUT" });
    assert.equal(lost.length, 1);
    assert.equal(await link.open("ws://sound"), "ws://sound");
  });
});
