import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hexToU8a } from "@polkadot/util";
import { blake2AsU8a, encodeAddress } from "@polkadot/util-crypto";
import { eventually } from "../../support/stepped-clock.ts";
import { startSubtensorDouble } from "../../support/subtensor/double.ts";
import { CONNECTION_CLOSED, rawClient, type RawClient } from "../../support/subtensor/raw-client.ts";
import { connectApi, signServe } from "../../support/subtensor/signed-serve.ts";
import { subtensorDoubleSkip } from "../../support/subtensor/skip.ts";
import { NETUID, refusalOf, staged, type Stage } from "../../support/subtensor/stage.ts";

const SUBNET_STATE = "SubnetInfoRuntimeApi_get_subnet_state";
/** The netuid, a u16. */
const ARGUMENT = "0xf700";

function subnetState(raw: RawClient): Promise<unknown> {
  return raw.call("state_call", SUBNET_STATE, ARGUMENT);
}

type Lists = Readonly<Record<string, readonly unknown[]>>;

/** get_subnet_state in @polkadot's decoding; null for None. */
async function readState({ api }: Pick<Stage, "api">): Promise<Lists | null> {
  return (await api.call["subnetInfoRuntimeApi"]!["getSubnetState"]!(NETUID)).toJSON() as Lists | null;
}

/** True when `silent` is still unanswered once a later call on the same connection has its answer: answers keep their order. */
async function isUnanswered(silent: Promise<unknown>, later: () => Promise<unknown>): Promise<boolean> {
  const answered = silent.then(
    () => true,
    () => true,
  );
  await later();
  return !(await Promise.race([answered, Promise.resolve(false)]));
}

describe("faults of the connection", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  it("refused connections: 503, and old ones stay", () =>
    staged(async ({ chain, raw }) => {
      chain.setFaults({ refuseConnections: true });
      await assert.rejects(rawClient(chain.url), /503/);
      assert.equal(await raw.call("system_chain"), "Bittensor");
      chain.setFaults({});
      (await rawClient(chain.url)).close();
    }));

  it("half open: neither answer nor pong until it heals", () =>
    staged(async ({ chain, raw }) => {
      await raw.ping();
      chain.setFaults({ halfOpen: true });
      const silent = Promise.race([raw.ping(), raw.call("system_chain")]);
      const asked = chain.calls.length;
      const other = await rawClient(chain.url); // accepted all the same
      await eventually(() => chain.calls.length > asked, "the double reads what it does not answer");
      chain.setFaults({});
      assert.ok(await isUnanswered(silent, () => raw.call("system_name")));
      assert.equal(await other.call("system_chain"), "Bittensor");
      silent.catch(() => undefined);
      other.close();
    }));

  it("a method that never answers leaves the others alone", () =>
    staged(async ({ chain, raw }) => {
      chain.setFaults({ silentMethods: [SUBNET_STATE] });
      const silent = subnetState(raw);
      silent.catch(() => undefined);
      assert.ok(await isUnanswered(silent, () => raw.call("state_call", "Core_version", "0x")));
      chain.setFaults({});
      assert.ok(await subnetState(raw));
    }));

  it("delays every answer, in order", () =>
    staged(async ({ chain, raw }) => {
      chain.setFaults({ delayMs: 60 });
      const order: number[] = [];
      const startMs = performance.now();
      const first = raw.call("system_chain").then(() => order.push(1));
      chain.setFaults({ delayMs: 0 });
      await Promise.all([first, raw.call("system_name").then(() => order.push(2))]);
      chain.setFaults({ delayMs: 60 });
      await raw.call("system_chain");
      assert.ok(performance.now() - startMs >= 59);
      assert.deepEqual(order, [1, 2]);
    }));

  it("answers a method with an error, also by the runtime's name", () =>
    staged(async ({ chain, raw }) => {
      const error = { code: -32000, message: "overloaded" };
      chain.setFaults({ failingMethods: { chain_getHeader: error, [SUBNET_STATE]: error } });
      assert.equal(await refusalOf(raw.call("chain_getHeader")), "-32000: overloaded: ");
      assert.equal(await refusalOf(subnetState(raw)), "-32000: overloaded: ");
      assert.ok(await raw.call("state_call", "Core_version", "0x"));
    }));

  it("cuts everybody at once", () =>
    staged(async ({ chain, raw, api }) => {
      const disconnected = new Promise((resolve) => api.once("disconnected", resolve));
      assert.equal(chain.connections, 2);
      chain.cutConnections();
      await Promise.all([raw.closed, disconnected]);
      assert.equal(chain.connections, 0);
      const again = await rawClient(chain.url);
      assert.equal(await again.call("system_chain"), "Bittensor");
      again.close();
    }));

  it("cuts in the middle of the Nth call, before or after it took effect", () =>
    staged(async ({ api, chain, bob }) => {
      const hex = await signServe(api, bob);
      for (const executed of [false, true]) {
        const raw = await rawClient(chain.url);
        chain.cutAfterCalls(2, { method: "author_submitAndWatchExtrinsic", executed });
        await raw.call("system_chain");
        await refusalOf(raw.call("author_submitAndWatchExtrinsic", "0x00"));
        await assert.rejects(raw.call("author_submitAndWatchExtrinsic", hex), { message: CONNECTION_CLOSED });
        assert.equal(chain.axonOf(NETUID, bob.address) !== null, executed);
      }
      assert.equal(chain.extrinsics.length, 1);
    }));

  it("answers unknown methods and bad parameters as a node does", () =>
    staged(async ({ raw }) => {
      assert.equal(await refusalOf(raw.call("state_nonsense")), "-32601: Method not found: ");
      assert.match(await refusalOf(raw.call("state_getStorage", 5)), /^-32602:/);
      assert.match(await refusalOf(raw.call("chain_getBlock", `0x${"12".repeat(32)}`)), /^4003: .*UnknownBlock/);
      assert.match(await refusalOf(raw.call("state_call", SUBNET_STATE, "0x")), /^4003: .*trap/);
      assert.match(
        await refusalOf(raw.call("state_call", "Some_method", "0x")),
        /Exported method Some_method is not found/,
      );
    }));
});

describe("lies", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  it("another genesis, another chain", () =>
    staged(async ({ chain, raw }) => {
      const genesisHash = `0x${"ab".repeat(32)}`;
      chain.setFaults({ genesisHash, chain: "Moon" });
      assert.equal(await raw.call("chain_getBlockHash", 0), genesisHash);
      assert.equal(await raw.call("system_chain"), "Moon");
      chain.setFaults({});
      assert.equal(await raw.call("chain_getBlockHash", 0), chain.genesisHash);
    }));

  it("a chosen genesis is the one that signatures are for", async () => {
    const genesisHash = `0x${"2f".repeat(32)}`;
    const chain = await startSubtensorDouble({ genesisHash });
    const raw = await rawClient(chain.url);
    assert.equal(await raw.call("chain_getBlockHash", 0), genesisHash);
    const child = (await raw.call("chain_getHeader", await raw.call("chain_getBlockHash", 1))) as object;
    assert.equal((child as { parentHash: string }).parentHash, genesisHash);
    raw.close();
    await chain.close();
  });

  it("an empty subnet, none at all, cut vectors", () =>
    staged(async (stage) => {
      const { chain, api, alice } = stage;
      chain.setFaults({ metagraph: "empty" });
      assert.deepEqual((await readState(stage))?.["hotkeys"], []);
      assert.equal((await api.query["subtensorModule"]!["uids"]!(NETUID, alice.address)).isEmpty, true);
      assert.equal((await api.query["subtensorModule"]!["subnetworkN"]!(NETUID)).toString(), "0");
      chain.setFaults({ metagraph: "missing" });
      assert.equal(await readState(stage), null);
      chain.setFaults({ metagraph: "truncated" });
      const lists = await readState(stage);
      const lengths = ["hotkeys", "totalStake", "validatorPermit", "incentives"].map((name) => lists?.[name]?.length);
      assert.deepEqual(lengths, [3, 3, 1, 1]);
      chain.setFaults({});
      assert.deepEqual((await readState(stage))?.["validatorPermit"], [true, false, false]);
    }));

  it("bytes without sense", () =>
    staged(async ({ chain, raw, api }) => {
      const honest = await subnetState(raw);
      chain.setFaults({ metagraph: "garbage" });
      const garbage = (await subnetState(raw)) as string;
      assert.notEqual(garbage, honest);
      const registry = api.registry;
      assert.throws(() =>
        registry.createType("Option<PalletSubtensorRpcInfoShowSubnetSubnetState>", hexToU8a(garbage)),
      );
      const key = api.query["subtensorModule"]!["tempo"]!.key(NETUID);
      chain.setFaults({ garbledMethods: ["state_getStorage"] });
      assert.equal(await raw.call("state_getStorage", key), "0xffff");
    }));

  it("denies a hotkey everywhere", () =>
    staged(async (stage) => {
      const { chain, api, bob } = stage;
      chain.setFaults({ deniedHotkeys: [bob.address] });
      assert.equal((await api.query["subtensorModule"]!["uids"]!(NETUID, bob.address)).isEmpty, true);
      const hotkeys = (await readState(stage))?.["hotkeys"] ?? [];
      assert.deepEqual([hotkeys.length, hotkeys.includes(bob.address)], [3, false]);
      chain.setFaults({});
      assert.equal((await api.query["subtensorModule"]!["uids"]!(NETUID, bob.address)).toString(), "1");
    }));

  it("a head that stands still, or goes backwards", () =>
    staged(async ({ chain, raw }) => {
      const heads = async (): Promise<readonly unknown[]> => {
        const header = (await raw.call("chain_getHeader")) as { number: string };
        const told = raw.notifications.map(({ result }) => Number((result as { number: string }).number));
        return [Number(header.number), told.at(-1)];
      };
      await raw.call("chain_subscribeNewHeads");
      assert.deepEqual(await heads(), [1001, 1001]);
      chain.setFaults({ head: "frozen" });
      chain.advanceBlocks(3);
      assert.deepEqual(await heads(), [1001, 1001]);
      assert.equal(await raw.call("chain_getBlockHash", 1002), null);
      chain.setFaults({ head: "backwards" });
      chain.advanceBlocks(3);
      assert.deepEqual(await heads(), [1001, 1001]); // 1004 - 3
      chain.advanceBlocks(1);
      assert.deepEqual(await heads(), [1000, 1000]);
      chain.setFaults({});
      chain.advanceBlocks(1);
      assert.deepEqual(await heads(), [1009, 1009]);
    }));
});

describe("older runtimes", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  it("wrap their answers in Vec<u8>, or lack the method or the whole API", () =>
    staged(async ({ chain, raw, api }) => {
      const current = hexToU8a((await subnetState(raw)) as string);
      chain.setFaults({ runtimeApis: { [SUBNET_STATE]: "wrapped" } });
      const wrapped = api.registry.createType("Bytes", hexToU8a((await subnetState(raw)) as string));
      assert.deepEqual(wrapped.toU8a(true), current.subarray(1)); // without the byte of the Option
      chain.setFaults({ runtimeApis: { [SUBNET_STATE]: "absent" } });
      assert.match(await refusalOf(subnetState(raw)), /^4003: .*Exported method .*get_subnet_state is not found/);
      assert.ok(await raw.call("state_call", "SubnetInfoRuntimeApi_get_metagraph", ARGUMENT));
      chain.setFaults({ runtimeApis: { SubnetInfoRuntimeApi: "absent" } });
      const selective = raw.call("state_call", "SubnetInfoRuntimeApi_get_metagraph", ARGUMENT);
      assert.match(await refusalOf(selective), /is not found/);
    }));

  it("say the same in every form: metagraph, selective metagraph, neurons", () =>
    staged(async (stage) => {
      const { chain, api, bob, eve } = stage;
      chain.setAxon(NETUID, bob.address, { ip: "2001:db8::7", port: 9 });
      chain.deregister(NETUID, eve.address);
      const state = (await readState(stage))!;
      const call = api.call["subnetInfoRuntimeApi"]!;
      const full = (await call["getMetagraph"]!(NETUID)).toJSON() as Lists;
      const selective = (await call["getSelectiveMetagraph"]!(NETUID, [52, 55, 57, 69])).toJSON() as Lists;
      for (const name of ["hotkeys", "validatorPermit", "totalStake"]) {
        assert.deepEqual(full[name], state[name], name);
        assert.deepEqual(selective[name], state[name], name);
      }
      assert.deepEqual(selective["axons"], full["axons"]);
      assert.deepEqual([selective["coldkeys"], selective["incentives"]], [null, null]);
      const lite = (await api.call["neuronInfoRuntimeApi"]!["getNeuronsLite"]!(NETUID)).toJSON() as Lists[];
      assert.deepEqual(
        lite.map(({ hotkey, validatorPermit, axonInfo }) => ({ hotkey, validatorPermit, axonInfo })),
        state["hotkeys"]!.map((hotkey, uid) => ({
          hotkey,
          validatorPermit: state["validatorPermit"]![uid],
          axonInfo: full["axons"]![uid],
        })),
      );
      // plain alpha, without TAO
      assert.deepEqual(lite[0]?.["stake"], [[state["coldkeys"]![0], 1_000e9]]);
      assert.equal(chain.axonOf(NETUID, bob.address)?.ip, 0x20010db8000000000000000000000007n);
    }));

  it("a full subnet of 256 neurons", async () => {
    const neurons = Array.from({ length: 256 }, (_, uid) => ({
      hotkey: encodeAddress(blake2AsU8a(`neuron ${uid}`), 42),
      alphaStake: uid,
      validatorPermit: uid < 64,
    }));
    const chain = await startSubtensorDouble({ subnets: [{ netuid: NETUID, neurons }] });
    const api = await connectApi(chain.url);
    const state = (await readState({ api }))!;
    await api.disconnect();
    await chain.close();
    assert.deepEqual(
      state["hotkeys"],
      neurons.map(({ hotkey }) => hotkey),
    );
    assert.deepEqual(state["validatorPermit"]!.filter(Boolean).length, 64);
    assert.deepEqual(state["totalStake"]?.at(-1), 255e9);
  });
});
