import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allNetworks } from "@polkadot/networks";
import fc from "fast-check";
import { backoffMs, endpointsOf, endpointsSetting, NETWORKS, networkSetting } from "../../../src/chain/endpoints.ts";
import { notRegisteredMessage, registerCommand } from "../../../src/chain/registration.ts";

const FINNEY = NETWORKS.finney.url;

describe("known networks", () => {
  it("have the genesis that the network registry of polkadot-js says", () => {
    const bittensor = allNetworks.find(({ network }) => network === "bittensor");
    assert.deepEqual(bittensor?.genesisHash, [NETWORKS.finney.genesis]);
  });
});

describe("endpoints", () => {
  it("are a network's own, URLs, or both; the name says which chain it must be", () => {
    assert.deepEqual(endpointsOf({ network: "finney", chainEndpoint: null }), {
      network: "finney",
      urls: [FINNEY],
      genesis: NETWORKS.finney.genesis,
    });
    assert.deepEqual(endpointsOf({ network: "ws://a:1, finney,ws://a:1", chainEndpoint: null }), {
      network: "finney",
      urls: ["ws://a:1", FINNEY],
      genesis: NETWORKS.finney.genesis,
    });
    const own = endpointsOf({ network: "ws://a:1,wss://b", chainEndpoint: null });
    assert.deepEqual(own, { network: "ws://a:1,wss://b", urls: ["ws://a:1", "wss://b"], genesis: null });
    const override = endpointsOf({ network: "test", chainEndpoint: "ws://a:1,ws://b:2" });
    assert.deepEqual(override, { network: "test", urls: ["ws://a:1", "ws://b:2"], genesis: NETWORKS.test.genesis });
  });

  it("are refused where they are no list of such", () => {
    for (const text of ["mars", "", "finney,", "http://a", "ws://", "finney,test", "ws://a b"]) {
      assert.equal(networkSetting.safeParse(text).success, false, text);
    }
    for (const text of ["finney", "ws://a", "wss://a:443,ws://b"]) {
      assert.equal(networkSetting.safeParse(text).success, true, text);
    }
    assert.equal(endpointsSetting.safeParse("finney").success, false);
    assert.equal(endpointsSetting.safeParse("ws://a,wss://b").success, true);
  });
});

describe("back-off", () => {
  it("tries every endpoint at once, then waits longer with every round, up to a minute", () => {
    const middle = (failures: number, endpoints: number): number => backoffMs(failures, endpoints, () => 1);
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map((failures) => middle(failures, 3)),
      [100, 100, 1000, 1000, 1000, 2000],
    );
    assert.deepEqual(
      [1, 2, 3, 4, 7, 100].map((failures) => middle(failures, 1)),
      [1000, 2000, 4000, 8000, 60_000, 60_000],
    );
  });

  it("is never more than a minute, never nothing, and jittered", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (failures, endpoints, random) => {
          const ms = backoffMs(failures, endpoints, () => random);
          assert.ok(ms >= 100 && ms <= 60_000, String(ms));
        },
      ),
    );
    assert.notEqual(
      backoffMs(5, 1, () => 0),
      backoffMs(5, 1, () => 0.9),
    );
  });
});

describe("an unregistered hotkey", () => {
  const context = {
    netuid: 247,
    hotkey: "5abc",
    wallet: { name: "my wallet", hotkey: "hk" },
    network: "ws://a:1,ws://b:2",
  };

  it("is told the btcli command", () => {
    assert.equal(
      registerCommand(context),
      "btcli subnets register --netuid 247 --wallet.name 'my wallet' --wallet.hotkey hk --subtensor.network ws://a:1",
    );
    assert.match(
      notRegisteredMessage(context),
      /^Hotkey 5abc is not registered on netuid 247 .*: btcli subnets register /,
    );
  });
});
