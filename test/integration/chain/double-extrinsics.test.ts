import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { hexToU8a, u8aToHex } from "@polkadot/util";
import { blake2AsHex } from "@polkadot/util-crypto";
import fc from "fast-check";
import type { ServeRefusal } from "../../support/subtensor/api.ts";
import { startSubtensorDouble } from "../../support/subtensor/double.ts";
import { connectApi, signServe, type ServeArguments } from "../../support/subtensor/signed-serve.ts";
import { subtensorDoubleSkip } from "../../support/subtensor/skip.ts";
import { NETUID, refusalOf, serveAndWatch, stage, staged, submit, type Stage } from "../../support/subtensor/stage.ts";

describe("signatures", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  let set: Stage;
  before(async () => {
    set = await stage();
  });
  after(() => set.close());

  it("cover every byte: a signed extrinsic with one bit changed is refused", async () => {
    const { api, raw, chain, bob } = set;
    const bytes = hexToU8a(await signServe(api, bob));
    const changed = fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (place, bit) => {
      const copy = Uint8Array.from(bytes);
      copy[place] = copy[place]! ^ (1 << bit);
      const refusal = await refusalOf(submit(raw, u8aToHex(copy)));
      assert.match(refusal, /^(1001|1002|1010|1011):/);
      assert.equal(chain.axonOf(NETUID, bob.address), null);
    });
    await fc.assert(changed, { numRuns: 300 });
    // and the unchanged one is good
    await submit(raw, u8aToHex(bytes));
    assert.equal(chain.axonOf(NETUID, bob.address)?.port, 8091);
  });

  it("any bytes at all are refused, and harm nothing", async () => {
    const anything = fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      assert.match(await refusalOf(submit(set.raw, u8aToHex(bytes))), /^(1001|1002):/);
    });
    await fc.assert(anything, { numRuns: 200 });
  });

  it("are for one genesis", async () => {
    const other = await startSubtensorDouble({ chain: "Elsewhere" });
    const [api, signer] = [await connectApi(other.url), set.eve];
    assert.notEqual(other.genesisHash, set.chain.genesisHash);
    const refusal = await refusalOf(submit(set.raw, await signServe(api, signer)));
    await api.disconnect();
    await other.close();
    assert.equal(refusal, "1010: Invalid Transaction: Transaction has a bad signature");
  });

  it("are for one genesis, also where only that differs", () =>
    staged(async ({ chain, raw, bob }) => {
      chain.setFaults({ genesisHash: `0x${"ab".repeat(32)}` });
      const deceived = await connectApi(chain.url);
      const refusal = await refusalOf(submit(raw, await signServe(deceived, bob)));
      await deceived.disconnect();
      assert.equal(refusal, "1010: Invalid Transaction: Transaction has a bad signature");
    }));

  it("cannot commit to a metadata hash that this runtime does not know", async () => {
    const signing = { mode: 1, metadataHash: `0x${"11".repeat(32)}` };
    const refusal = await refusalOf(submit(set.raw, await signServe(set.api, set.eve, { signing })));
    assert.match(refusal, /^1011: Unknown Transaction Validity/);
  });

  it("pay no tip from an empty account", async () => {
    const refusal = await refusalOf(submit(set.raw, await signServe(set.api, set.eve, { signing: { tip: 1 } })));
    assert.match(refusal, /^1010: .*Inability to pay some fees/);
  });

  it("of other calls cannot be paid for", async () => {
    const remark = await set.api.tx["system"]!["remark"]!("0x00").signAsync(set.eve, { nonce: -1 });
    assert.match(await refusalOf(submit(set.raw, remark.toHex())), /^1010: .*Inability to pay some fees/);
  });

  it("are given the same verdict by TaggedTransactionQueue_validate_transaction", async () => {
    const { api, raw, eve, zoe } = set;
    const verdict = async (hex: string): Promise<string> => {
      const input = `0x02${hex.slice(2)}${"00".repeat(32)}`;
      const answer = await raw.call("state_call", "TaggedTransactionQueue_validate_transaction", input);
      return (answer as string).slice(0, 8);
    };
    assert.equal((await verdict(await signServe(api, eve))).slice(0, 4), "0x00"); // Ok
    assert.equal(await verdict(await signServe(api, zoe)), "0x010007"); // Err(Invalid(Custom(
  });
});

describe("nonces, eras and blocks", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  it("a nonce is used once; a later one waits for those before it", () =>
    staged(async ({ api, chain, raw, bob }) => {
      chain.setServingRateLimit(NETUID, 0);
      const hex = await Promise.all([0, 1, 2].map((nonce) => signServe(api, bob, { signing: { nonce } })));
      const late = await raw.call("author_submitAndWatchExtrinsic", hex[1]);
      assert.equal(typeof late, "string");
      assert.equal(chain.nonceOf(bob.address), 0);
      assert.equal(await refusalOf(submit(raw, hex[1]!)).then((refusal) => refusal.slice(0, 5)), "1013:");
      await submit(raw, hex[0]!);
      assert.equal(chain.nonceOf(bob.address), 2);
      assert.match(await refusalOf(submit(raw, hex[0]!)), /^1012:/);
      const again = await signServe(api, bob, { signing: { nonce: 0 }, call: { port: 9 } });
      assert.equal(await refusalOf(submit(raw, again)), "1010: Invalid Transaction: Transaction is outdated");
      await submit(raw, hex[2]!);
      const statuses = raw.notifications.map(({ result }) => result);
      assert.deepEqual(statuses.slice(0, 2), ["future", { inBlock: await raw.call("chain_getBlockHash", 1004) }]);
    }));

  it("a mortal signature is good in its blocks and bad from then on", () =>
    staged(async ({ api, chain, raw, bob }) => {
      const hex = await signServe(api, bob, { signing: { era: 8 } });
      chain.advanceBlocks(7);
      const last = await signServe(api, bob, { signing: { era: 64 } });
      chain.advanceBlocks(1);
      assert.equal(await refusalOf(submit(raw, hex)), "1010: Invalid Transaction: Transaction has a bad signature");
      await submit(raw, last);
      assert.equal(chain.extrinsics.at(-1)?.outcome.kind, "included");
    }));

  it("an extrinsic that expires in the pool is dropped", () =>
    staged(async ({ api, chain, raw, bob }) => {
      chain.setSealing("manual");
      const hex = await signServe(api, bob, { signing: { era: 4, nonce: 1 } });
      await raw.call("author_submitAndWatchExtrinsic", hex);
      assert.equal(chain.extrinsics[0]?.outcome.kind, "future");
      chain.advanceBlocks(8);
      assert.equal(chain.extrinsics.at(0)?.outcome.kind, "dropped");
      await raw.call("system_health");
      assert.deepEqual(
        raw.notifications.map(({ result }) => result),
        ["future", "invalid"],
      );
    }));

  it("with manual sealing the next block takes what waits", () =>
    staged(async ({ api, chain, raw, bob }) => {
      chain.setSealing("manual");
      const hash = await submit(raw, await signServe(api, bob));
      assert.deepEqual([chain.blockNumber(), chain.axonOf(NETUID, bob.address)], [1001, null]);
      assert.equal(((await raw.call("author_pendingExtrinsics")) as string[]).length, 1);
      assert.equal(await raw.call("system_accountNextIndex", bob.address), 1);
      chain.advanceBlocks(1);
      assert.equal(chain.axonOf(NETUID, bob.address)?.block, 1002);
      assert.deepEqual(await raw.call("author_pendingExtrinsics"), []);
      assert.equal(hash, blake2AsHex(hexToU8a(chain.extrinsics[0]!.hex)));
    }));

  it("a batch is one block, and a failed one none", () =>
    staged(({ chain, alice, bob }) => {
      chain.batch(() => {
        chain.setPermit(NETUID, alice.address, false);
        chain.setPermit(NETUID, bob.address, true);
      });
      assert.equal(chain.blockNumber(), 1002);
      assert.throws(() => {
        chain.batch(() => {
          chain.setPermit(NETUID, bob.address, false);
          chain.deregister(NETUID, "5EYCAe5jLQhn6ofDSvqF6iY53erXNkwhyE1aCEgvi1NNs91F");
        });
      });
      assert.equal(chain.blockNumber(), 1002);
      return Promise.resolve();
    }));

  it("answers about old blocks as they were, and forgets states after 256 blocks", () =>
    staged(async ({ api, chain, raw, bob }) => {
      const hash = (await raw.call("chain_getBlockHash")) as string;
      chain.deregister(NETUID, bob.address);
      const then = await api.at(hash);
      assert.equal((await then.query["subtensorModule"]!["uids"]!(NETUID, bob.address)).toString(), "1");
      const key = api.query["subtensorModule"]!["uids"]!.key(NETUID, bob.address);
      assert.equal(await raw.call("state_getStorage", key), null);
      chain.advanceBlocks(256);
      assert.match(await refusalOf(raw.call("state_getStorage", key, hash)), /State already discarded/);
    }));
});

describe("refusals of serve_axon", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  interface Case {
    readonly error: ServeRefusal;
    readonly code: number;
    readonly call?: ServeArguments;
    readonly who?: "zoe";
  }
  const cases: readonly Case[] = [
    { error: "HotKeyNotRegisteredInNetwork", code: 10, who: "zoe" },
    { error: "InvalidIpType", code: 255, call: { ipType: 5 } },
    { error: "InvalidIpAddress", code: 11, call: { ip: 0x7f000001n } },
    { error: "InvalidIpAddress", code: 11, call: { ip: 1n, ipType: 6 } },
    { error: "InvalidPort", code: 13, call: { port: 0 } },
  ];
  it("come from the pool with a number, or from the block with a name", () =>
    staged(async ({ api, chain, raw, ...pairs }) => {
      for (const { error, code, call = {}, who = "bob" } of cases) {
        chain.setRefusalForm("pool");
        const refusal = await refusalOf(submit(raw, await signServe(api, pairs[who], { call })));
        assert.equal(refusal, `1010: Invalid Transaction: Custom error: ${code}`, error);
        chain.setRefusalForm("dispatch");
        const sent = await serveAndWatch(api, pairs[who], call);
        assert.deepEqual([sent.error, sent.events], [error, ["system.ExtrinsicFailed"]]);
      }
      assert.equal(chain.axonOf(NETUID, pairs.bob.address), null);
    }));

  it("the rate limit counts blocks from the last serve", () =>
    staged(async ({ api, chain, raw, bob }) => {
      await submit(raw, await signServe(api, bob));
      const served = chain.axonOf(NETUID, bob.address)!.block;
      const attempt = (): Promise<string> => signServe(api, bob, { call: { port: 8092 } });
      chain.advanceBlocks(48); // the attempt would be in block 49 after the last
      assert.match(await refusalOf(submit(raw, await attempt())), /Custom error: 12$/);
      chain.advanceBlocks(1);
      await submit(raw, await attempt());
      assert.deepEqual(
        [chain.axonOf(NETUID, bob.address)?.block, chain.axonOf(NETUID, bob.address)?.port],
        [served + 50, 8092],
      );
    }));

  it("can be forced, whatever the arguments", () =>
    staged(async ({ api, chain, raw, bob }) => {
      chain.forceRefusal({ poolCode: 255 });
      assert.match(await refusalOf(submit(raw, await signServe(api, bob))), /Custom error: 255$/);
      chain.setRefusalForm("dispatch");
      chain.forceRefusal("InvalidPort");
      assert.equal((await serveAndWatch(api, bob)).error, "InvalidPort");
      chain.forceRefusal(null);
      assert.equal((await serveAndWatch(api, bob)).error, null);
    }));
});
