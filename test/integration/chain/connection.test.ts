import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createChainConnection } from "../../../src/chain/connection.ts";
import type { ChainLink, SubnetAnswer } from "../../../src/chain/link.ts";
import { serveAxonCall } from "../../../src/chain/serve-axon.ts";
import { checkPayload } from "../../../src/chain/signing.ts";
import { OperationalError } from "../../../src/errors.ts";
import type { SignatureScheme } from "../../../src/bittensor/signature.ts";
import { keypairFromSeed, type Keypair } from "../../../src/wallet/keypair.ts";
import { startSubtensorDouble } from "../../support/subtensor/double.ts";
import type { SubtensorDouble } from "../../support/subtensor/api.ts";
import { subtensorDoubleSkip } from "../../support/subtensor/skip.ts";

const NETUID = 247;
const TIMEOUT_MS = 2000;
const WANTED = serveAxonCall({ netuid: NETUID, version: 10_000_001, address: { ip: "203.0.113.7", port: 8091 } });
const validator = keypairFromSeed(new Uint8Array(32).fill(2)).address;

interface Stage {
  readonly chain: SubtensorDouble;
  readonly link: ChainLink;
  readonly keypair: Keypair;
  readonly heads: number[];
  readonly lost: string[];
  readonly upgrades: number[];
}

async function stage(options: { scheme?: SignatureScheme; timeoutMs?: number } = {}): Promise<Stage> {
  const keypair = keypairFromSeed(new Uint8Array(32).fill(1), options.scheme);
  const axon = { ip: "2001:db8::7", port: 8092 };
  const neurons = [
    { hotkey: keypair.address, incentive: 0.25, emission: 12 },
    { hotkey: validator, validatorPermit: true, alphaStake: 65_000, taoStake: 1000, axon },
  ];
  const chain = await startSubtensorDouble({ subnets: [{ netuid: NETUID, neurons }] });
  const [heads, lost, upgrades]: [number[], string[], number[]] = [[], [], []];
  const link = createChainConnection({
    events: {
      onHead: (block) => heads.push(block),
      onLost: (reason) => lost.push(reason),
      onUpgrade: (specVersion) => upgrades.push(specVersion),
    },
    sign: (payload, call) => {
      checkPayload(payload, { call, genesis: chain.genesisHash });
      return keypair.sign(payload);
    },
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
  });
  return { chain, link, keypair, heads, lost, upgrades };
}

async function failure(work: Promise<unknown>): Promise<OperationalError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof OperationalError, String(error));
  return error;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

function serve({ link, keypair }: Stage): Promise<unknown> {
  return link.serveAxon({ call: WANTED, hotkey: { address: keypair.address, scheme: keypair.scheme } });
}

describe("the chain client at the Subtensor double", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  let here: Stage;
  before(async () => {
    here = await stage();
  });
  after(async () => {
    await here.link.close();
    await here.chain.close();
  });
  beforeEach(async () => {
    here.chain.setFaults({});
    here.chain.setRefusalForm("pool");
    here.chain.forceRefusal(null);
    here.chain.setServingRateLimit(NETUID, 0);
    await here.link.open(here.chain.url);
  });

  it("knows the chain it opened, and follows its head", async () => {
    const { chain, link, heads } = here;
    const facts = await link.open(chain.url);
    assert.deepEqual(facts, {
      genesis: chain.genesisHash,
      chain: "Bittensor",
      specVersion: 424,
      block: chain.blockNumber(),
    });
    heads.length = 0;
    chain.advanceBlocks(3);
    await until(() => heads.at(-1) === chain.blockNumber());
  });

  describe("the metagraph", () => {
    const forms = {
      get_subnet_state: {},
      "get_subnet_state in a Vec<u8>": { SubnetInfoRuntimeApi_get_subnet_state: "wrapped" },
      get_metagraph: { SubnetInfoRuntimeApi_get_subnet_state: "absent" },
      "get_metagraph in a Vec<u8>": {
        SubnetInfoRuntimeApi_get_subnet_state: "absent",
        SubnetInfoRuntimeApi_get_metagraph: "wrapped",
      },
      get_neurons_lite: {
        SubnetInfoRuntimeApi_get_subnet_state: "absent",
        SubnetInfoRuntimeApi_get_metagraph: "absent",
      },
      "get_neurons_lite in a Vec<u8>": {
        SubnetInfoRuntimeApi_get_subnet_state: "absent",
        SubnetInfoRuntimeApi_get_metagraph: "absent",
        NeuronInfoRuntimeApi_get_neurons_lite: "wrapped",
      },
    } as const;
    for (const [name, runtimeApis] of Object.entries(forms)) {
      it(`comes from ${name}`, async () => {
        const { chain, link, keypair } = here;
        chain.setFaults({ runtimeApis });
        const answer: SubnetAnswer = await link.readSubnet(NETUID);
        assert.equal(answer.source, name.split(" ")[0]);
        assert.equal(answer.block, chain.blockNumber());
        const [own, other] = answer.neurons;
        assert.deepEqual([own?.uid, own?.hotkey, own?.validatorPermit], [0, keypair.address, false]);
        assert.ok(Math.abs((own?.incentive ?? 0) - 0.25) < 1e-4);
        assert.equal(own?.emission, 12);
        const stake = answer.source === "get_neurons_lite" ? 65_000 : 65_000 + 1000 * 0.18;
        assert.ok(Math.abs((other?.stake ?? 0) - stake) < 1e-6, String(other?.stake));
        assert.deepEqual(
          [other?.uid, other?.hotkey, other?.validatorPermit, other?.ip, other?.port],
          [1, validator, true, "2001:db8::7", 8092],
        );
      });
    }

    it("is never made of an answer that cannot be read", async () => {
      const { chain, link } = here;
      for (const metagraph of ["garbage", "truncated"] as const) {
        chain.setFaults({ metagraph });
        assert.equal((await failure(link.readSubnet(NETUID))).code, "CHAIN_ANSWER", metagraph);
      }
    });

    it("is S even from a node that fails at the best reading, and is not made of less where the runtime has S", async () => {
      const { chain, link } = here;
      const error = { code: -32_000, message: "overloaded" };
      chain.setFaults({ failingMethods: { SubnetInfoRuntimeApi_get_subnet_state: error } });
      assert.equal((await link.readSubnet(NETUID)).source, "get_metagraph");
      const both = { SubnetInfoRuntimeApi_get_subnet_state: error, SubnetInfoRuntimeApi_get_metagraph: error };
      chain.setFaults({ failingMethods: both });
      assert.equal((await failure(link.readSubnet(NETUID))).code, "CHAIN_RPC");
    });

    it("is let go of once it is told, however long the connection lives", async () => {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      const told = await here.link.readSubnet(NETUID).then((answer) => new WeakRef(answer));
      for (let turn = 0; turn < 20 && told.deref(); turn += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        collect();
      }
      assert.equal(told.deref(), undefined);
      assert.equal((await here.link.readSubnet(NETUID)).neurons.length, 2, "by the same connection");
    });

    it("is told apart from a subnet that does not exist", async () => {
      const { chain, link } = here;
      assert.equal((await failure(link.readSubnet(9))).code, "CHAIN_NO_SUBNET");
      chain.setFaults({ runtimeApis: { SubnetInfoRuntimeApi_get_subnet_state: "wrapped" } });
      assert.equal((await failure(link.readSubnet(9))).code, "CHAIN_NO_SUBNET");
    });
  });

  describe("serve_axon", () => {
    it("has the golden bytes", async () => {
      const golden = { netuid: 50, version: 9_012_000, address: { ip: "203.0.113.7", port: 8091 } };
      const hex = await here.link.encodeServeAxon(serveAxonCall(golden));
      assert.equal(hex, "0x0704320020838900077100cb0000000000000000000000009b1f04040000");
    });

    it("is executed and can be read back", async () => {
      const { chain, link, keypair } = here;
      await serve(here);
      const answer = await link.readAxon({ netuid: NETUID, hotkey: keypair.address });
      const { version, ip, port, ipType, protocol } = WANTED;
      assert.deepEqual(answer.axon, { version, ip, port, ipType, protocol, block: chain.blockNumber() });
      assert.deepEqual([answer.uid, answer.rateLimitBlocks], [0, 0]);
      const last = chain.extrinsics.at(-1);
      assert.deepEqual([last?.call, last?.signer], ["subtensorModule.serveAxon", keypair.address]);
    });

    it("waits for its block", async () => {
      const { chain } = here;
      chain.setSealing("manual");
      let included = false;
      const serving = serve(here).then(() => (included = true));
      const before = chain.extrinsics.length;
      await until(() => chain.calls.at(-1)?.method === "author_submitAndWatchExtrinsic" || included);
      assert.equal(included, false);
      chain.advanceBlocks(1);
      await serving;
      assert.equal(chain.extrinsics.length, before + 1);
      chain.setSealing("instant");
    });

    for (const form of ["pool", "dispatch"] as const) {
      for (const name of [
        "HotKeyNotRegisteredInNetwork",
        "InvalidIpAddress",
        "ServingRateLimitExceeded",
        "InvalidPort",
      ] as const) {
        it(`says that it was refused with ${name}, by the ${form}`, async () => {
          here.chain.setRefusalForm(form);
          here.chain.forceRefusal(name);
          const error = await failure(serve(here));
          assert.equal(error.code, "CHAIN_REFUSED");
          assert.deepEqual(error.details["refusal"], { form, name });
        });
      }
    }

    it("is refused by the pallet's own rate limit", async () => {
      const { chain } = here;
      await serve(here);
      chain.setServingRateLimit(NETUID, 50);
      const refused = await failure(serve(here));
      assert.deepEqual(refused.details["refusal"], { form: "pool", name: "ServingRateLimitExceeded" });
      chain.advanceBlocks(50);
      await serve(here);
    });

    for (const executed of [true, false]) {
      it(`fails with its connection when that is cut in the middle (${executed ? "" : "not "}executed)`, async () => {
        const { chain, link, keypair, lost } = here;
        lost.length = 0;
        const before = chain.nonceOf(keypair.address);
        chain.cutAfterCalls(1, { method: "author_submitAndWatchExtrinsic", executed });
        const error = await failure(serve(here));
        assert.ok(["CHAIN_LOST", "CHAIN_RPC"].includes(error.code), error.code);
        assert.equal(lost.length, 1);
        assert.equal((await failure(link.readSubnet(NETUID))).code, "CHAIN_LOST");
        await link.open(chain.url);
        assert.equal(chain.nonceOf(keypair.address), before + (executed ? 1 : 0));
        await serve(here);
      });
    }
  });

  it("does not keep a failure: the same call works when the node does again", async () => {
    const { chain, link, keypair } = here;
    const error = { code: -32_000, message: "out of order" };
    for (const method of ["chain_getHeader", "state_queryStorageAt"]) {
      chain.setFaults({ failingMethods: { state_call: error, state_getStorage: error, [method]: error } });
      const work = [link.readSubnet(NETUID), link.readAxon({ netuid: NETUID, hotkey: keypair.address })];
      for (const { status } of await Promise.allSettled(work)) assert.equal(status, "rejected", method);
      chain.setFaults({});
      assert.equal((await link.readSubnet(NETUID)).neurons.length, 2);
      assert.equal((await link.readAxon({ netuid: NETUID, hotkey: keypair.address })).uid, 0);
    }
  });

  it("follows a runtime upgrade with its metadata: reads and serve_axon work after it", async () => {
    const fresh = await stage();
    const { chain, link, upgrades } = fresh;
    try {
      await link.open(chain.url);
      chain.upgradeRuntime({ specVersion: 425, changedMetadata: true });
      await until(() => upgrades.length > 0);
      assert.deepEqual(upgrades, [425]);
      assert.equal((await link.open(chain.url)).specVersion, 425);
      assert.equal((await link.readSubnet(NETUID)).source, "get_subnet_state");
      assert.match(await link.encodeServeAxon(WANTED), /^0x6b04f700/, "the pallet has moved");
      await serve(fresh);
      assert.equal(chain.axonOf(NETUID, fresh.keypair.address)?.port, 8091);
    } finally {
      await link.close();
      await chain.close();
    }
  });

  it("serves for an ed25519 hotkey, too", async () => {
    const fresh = await stage({ scheme: "ed25519" });
    try {
      await fresh.link.open(fresh.chain.url);
      await serve(fresh);
      assert.equal(fresh.chain.axonOf(NETUID, fresh.keypair.address)?.port, 8091);
    } finally {
      await fresh.link.close();
      await fresh.chain.close();
    }
  });
});

describe("an endpoint that does not answer", { skip: subtensorDoubleSkip, timeout: 60_000 }, () => {
  let here: Stage;
  before(async () => {
    here = await stage({ timeoutMs: 300 });
  });
  after(async () => {
    await here.link.close();
    await here.chain.close();
  });

  it("cannot be opened: refused, half open, slow, or not there", async () => {
    const { chain, link } = here;
    for (const [faults, code] of [
      [{ refuseConnections: true }, "CHAIN_UNREACHABLE"],
      [{ halfOpen: true }, "CHAIN_TIMEOUT"],
      [{ delayMs: 1000 }, "CHAIN_TIMEOUT"],
      [{ silentMethods: ["state_getRuntimeVersion"] }, "CHAIN_TIMEOUT"],
    ] as const) {
      chain.setFaults(faults);
      assert.equal((await failure(link.open(chain.url))).code, code, JSON.stringify(faults));
    }
    chain.setFaults({});
    assert.equal((await failure(link.open("ws://127.0.0.1:1"))).code, "CHAIN_UNREACHABLE");
    assert.equal((await failure(link.readSubnet(NETUID))).code, "CHAIN_LOST");
  });

  it("fails the call that it leaves unanswered, by its limit", async () => {
    const slow = await stage({ timeoutMs: 1000 });
    try {
      await slow.link.open(slow.chain.url);
      slow.chain.setFaults({ silentMethods: ["SubnetInfoRuntimeApi_get_subnet_state"] });
      assert.equal((await failure(slow.link.readSubnet(NETUID))).code, "CHAIN_TIMEOUT");
    } finally {
      await slow.link.close();
      await slow.chain.close();
    }
  });
});
