import assert from "node:assert/strict";
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { Keyring } from "@polkadot/keyring";
import { Metadata, TypeRegistry } from "@polkadot/types";
import type { Header } from "@polkadot/types/interfaces";
import { hexToU8a, u8aToHex } from "@polkadot/util";
import { blake2AsHex } from "@polkadot/util-crypto";
import { connectApi, serveAxonCall, signServe } from "../../support/subtensor/signed-serve.ts";
import { subtensorDoubleSkip } from "../../support/subtensor/skip.ts";
import { NETUID, refusalOf, serveAndWatch, staged, submit } from "../../support/subtensor/stage.ts";

/** subtensor.md: serveAxon(50, 9012000, 203.0.113.7, 8091, 4, 4, 0, 0) */
const GOLDEN_CALL = "0x0704320020838900077100cb0000000000000000000000009b1f04040000";

/** The API forgets a block's status when the next one comes while it still reads the block's events. */
const isLasting = (status: string): boolean => status !== "InBlock";

describe("the double under an unmodified @polkadot/api", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  it("says what it was told, in the metadata's own types", () =>
    staged(async ({ api, chain, alice, bob }) => {
      assert.equal(api.genesisHash.toHex(), chain.genesisHash);
      assert.equal(api.runtimeVersion.specVersion.toNumber(), 424);
      const answer = await api.call["subnetInfoRuntimeApi"]!["getSubnetState"]!(NETUID);
      const state = answer.toJSON() as Record<string, unknown>;
      assert.deepEqual((state["hotkeys"] as string[]).slice(0, 2), [alice.address, bob.address]);
      assert.deepEqual(state["validatorPermit"], [true, false, false]);
      // alpha + 0.18 TAO, in rao
      assert.deepEqual(state["totalStake"], [1_018e9, 10e9, 0]);
      assert.deepEqual(state["incentives"], [0, 32_768, 0]);
      const query = api.query["subtensorModule"]!;
      assert.equal((await query["uids"]!(NETUID, bob.address)).toString(), "1");
      assert.equal((await query["uids"]!(NETUID + 1, bob.address)).isEmpty, true);
      assert.equal((await query["servingRateLimit"]!(NETUID)).toString(), "50");
      // nothing is stored for the next two: the metadata's defaults
      assert.equal((await query["tempo"]!(1)).toString(), "360");
      assert.equal((await query["burn"]!(1)).toString(), "100000000");
      const keys = await query["keys"]!.entries(NETUID);
      assert.deepEqual(keys.map(([, hotkey]) => hotkey.toString()).slice(0, 2), [alice.address, bob.address]);
    }));

  it("takes the golden call bytes, and executes what an sr25519 or ed25519 hotkey signs", () =>
    staged(async ({ api, chain, bob, eve }) => {
      assert.equal(serveAxonCall(api, { netuid: 50 }).method.toHex(), GOLDEN_CALL);
      for (const pair of [bob, eve]) {
        const sent = await serveAndWatch(api, pair);
        assert.deepEqual(sent.statuses.filter(isLasting), ["Ready", "Finalized"]);
        assert.deepEqual(sent.events, ["subtensorModule.AxonServed", "system.ExtrinsicSuccess"]);
        const stored = await api.query["subtensorModule"]!["axons"]!(NETUID, pair.address);
        assert.deepEqual(stored.toJSON(), {
          ...{ block: chain.blockNumber(), version: 9_012_000, ip: 3_405_803_783, port: 8091 },
          ...{ ipType: 4, protocol: 4, placeholder1: 0, placeholder2: 0 },
        });
        assert.equal(chain.nonceOf(pair.address), 1);
      }
      const [bobs] = chain.extrinsics;
      assert.equal(bobs?.callHex, GOLDEN_CALL.replace("07043200", "0704f700"));
    }));

  it("hashes headers as the chain does, in answers and in subscriptions", () =>
    staged(async ({ api, chain, raw }) => {
      chain.advanceBlocks(3);
      for (const number of [800, 1001, chain.blockNumber()]) {
        const hash = await raw.call("chain_getBlockHash", number);
        const header = await api.rpc.chain.getHeader(hash as string);
        assert.deepEqual([header.number.toNumber(), header.hash.toHex()], [number, hash]);
        assert.equal(blake2AsHex(header.toU8a()), hash);
        const { block } = await api.rpc.chain.getBlock(hash as string);
        assert.equal(block.header.hash.toHex(), hash);
      }
      const seen: Header[] = [];
      const two = Promise.withResolvers<undefined>();
      await api.rpc.chain.subscribeNewHeads((header) => {
        seen.push(header);
        if (seen.length === 1) chain.advanceBlocks(1);
        else two.resolve(undefined);
      });
      await two.promise;
      assert.equal(seen[1]!.parentHash.toHex(), seen[0]!.hash.toHex());
    }));

  it("announces a runtime upgrade; the old call's bytes are worth nothing then", () =>
    staged(async ({ api, chain, raw, bob }) => {
      const before = await signServe(api, bob);
      const decorated = new Promise((resolve) => api.once("decorated", resolve));
      chain.upgradeRuntime({ specVersion: 425, changedMetadata: true });
      assert.match(await refusalOf(submit(raw, before)), /^1002: Verification Error/);
      await decorated;
      assert.equal(api.runtimeVersion.specVersion.toNumber(), 425);
      assert.equal(serveAxonCall(api, { netuid: 50 }).method.toHex(), GOLDEN_CALL.replace("0x07", "0x6b"));
      const sent = await serveAndWatch(api, bob);
      assert.deepEqual(sent.events, ["subtensorModule.AxonServed", "system.ExtrinsicSuccess"]);
      const { block } = await api.rpc.chain.getBlock();
      assert.equal(block.extrinsics.at(-1)?.method.method, "serveAxon");
    }));

  it("refuses a signature for another spec version", () =>
    staged(async ({ api, chain, raw, bob }) => {
      const before = await signServe(api, bob);
      const decorated = new Promise((resolve) => api.once("decorated", resolve));
      chain.upgradeRuntime({ specVersion: 426 });
      await decorated;
      assert.equal(await refusalOf(submit(raw, before)), "1010: Invalid Transaction: Transaction has a bad signature");
    }));

  it("offers its metadata in the versions 14, 15 and 16, with the same pallets, calls and storage", () =>
    staged(async ({ raw }) => {
      const listed = await raw.call("state_call", "Metadata_metadata_versions", "0x");
      assert.equal(listed, "0x0c0e0000000f00000010000000");
      const shapes = [];
      for (const version of [14, 15, 16]) {
        const argument = u8aToHex(Uint8Array.of(version, 0, 0, 0));
        const answer = (await raw.call("state_call", "Metadata_metadata_at_version", argument)) as string;
        const registry = new TypeRegistry();
        const bytes = registry.createType("Option<OpaqueMetadata>", hexToU8a(answer)).unwrap();
        const metadata = new Metadata(registry, bytes.toHex());
        assert.equal(metadata.version, version);
        registry.setMetadata(metadata, undefined, undefined, true);
        shapes.push(
          metadata.asLatest.pallets.map(({ name, index, storage, calls, constants }) => [
            ...[name.toString(), index.toNumber(), calls.isSome && calls.unwrap().type.toNumber()],
            storage.isSome &&
              storage
                .unwrap()
                .items.map((item) => [
                  item.name.toString(),
                  item.modifier.type,
                  item.type.toHex(),
                  item.fallback.toHex(),
                ]),
            constants.map((constant) => [constant.name.toString(), constant.value.toHex()]),
          ]),
        );
      }
      assert.deepEqual(shapes[0], shapes[2]);
      assert.deepEqual(shapes[1], shapes[2]);
    }));
});

describe("the rehearsal chain", { skip: subtensorDoubleSkip, timeout: 120_000 }, () => {
  const entry = path.join(import.meta.dirname, "../../support/subtensor/main.ts");
  const hotkey = "5EYCAe5jLQhn6ofDSvqF6iY53erXNkwhyE1aCEgvi1NNs91F";
  const start = (...args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> =>
    spawn(process.execPath, [entry, "--port", "0", ...args], { stdio: ["ignore", "pipe", "pipe"] });

  it("registers the hotkey beside validators, takes extrinsics into timed blocks, and ends at SIGINT", async (test) => {
    const child = start("--hotkey", hotkey, "--block-seconds", "0.2");
    // A failure must not leave it behind: the runner would wait for it.
    test.after(() => child.kill("SIGKILL"));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const said = async (): Promise<string> => String((await lines.next()).value);
    const url = /^ws:\S+\d/.exec(await said())![0];
    const api = await connectApi(url);
    const alice = new Keyring({ type: "sr25519", ss58Format: 42 }).addFromUri("//Alice");
    const query = api.query["subtensorModule"]!;
    assert.equal((await query["uids"]!(NETUID, hotkey)).toString(), "4");
    assert.deepEqual((await query["validatorPermit"]!(NETUID)).toJSON(), [true, true, true, true, false]);
    const sent = await serveAndWatch(api, alice);
    assert.deepEqual([sent.statuses.filter(isLasting), sent.error], [["Ready", "Finalized"], null]);
    await api.disconnect();
    assert.match(await said(), /^subtensorModule.serveAxon by 5Grwva.*"included"/);
    child.kill("SIGINT");
    const [code] = (await once(child, "exit")) as [number];
    assert.equal(code, 0);
  });

  it("says what is wrong with its arguments", async () => {
    const child = start("--hotkey", "nobody");
    const [errors, [code]] = await Promise.all([text(child.stderr), once(child, "exit") as Promise<[number]>]);
    assert.equal(code, 2);
    assert.match(errors, /--hotkey: expected an ss58 address/);
  });
});

const python = process.env["SYNTH_TEST_PYTHON"];
const sdkSkip =
  subtensorDoubleSkip !== false
    ? subtensorDoubleSkip
    : python === undefined && "set SYNTH_TEST_PYTHON to a Python with test/e2e/python/requirements.txt (.ci/run does)";

describe("the double under the real Bittensor SDK", { skip: sdkSkip, timeout: 120_000 }, () => {
  it("gives it a metagraph, takes its serve_axon, and refuses the next one", () =>
    staged(async ({ chain, alice, bob, eve }) => {
      chain.setAxon(NETUID, alice.address, { ip: "203.0.113.1", port: 8091 });
      const script = path.join(import.meta.dirname, "../../support/subtensor/sdk_client.py");
      const child = spawn(python!, [script, chain.url, String(NETUID), "//Bob"], { stdio: ["ignore", "pipe", "pipe"] });
      const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
      const line = out.split("\n").find((candidate) => candidate.startsWith("{"));
      assert.ok(line !== undefined, errors.slice(-2000));
      const found = JSON.parse(line) as Record<string, unknown>;
      assert.deepEqual(found["hotkeys"], [alice.address, bob.address, eve.address]);
      assert.deepEqual(found["S"], [1018, 10, 0]);
      assert.deepEqual(found["permits"], [true, false, false]);
      assert.deepEqual((found["ips"] as string[])[0], "203.0.113.1");
      const [first, second] = found["served"] as { success: boolean; message: string }[];
      assert.deepEqual([first?.success, second?.success], [true, false]);
      assert.match(second!.message, /Custom error: 12/);
      assert.deepEqual(found["axon"], { ip: "203.0.113.9", port: 8091, version: 10_000_001 });
      assert.equal(found["registered"], true);
      assert.deepEqual(found["calls"], ["set", "serve_axon"]);
      assert.equal(chain.axonOf(NETUID, bob.address)?.port, 8091);
    }));
});
