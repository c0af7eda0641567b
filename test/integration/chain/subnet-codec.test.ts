import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ApiPromise, WsProvider } from "@polkadot/api";
import type { ProviderInterface } from "@polkadot/rpc-provider/types";
import { compactAddLength } from "@polkadot/util";
import fc from "fast-check";
import { decodeAnswer, LEGACY_TYPES, SUBNET_READINGS, type SubnetReading } from "../../../src/chain/subnet-codec.ts";
import { OperationalError } from "../../../src/errors.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import type { SubtensorDouble } from "../../support/subtensor/api.ts";
import { startSubtensorDouble } from "../../support/subtensor/double.ts";
import { subtensorDoubleSkip } from "../../support/subtensor/skip.ts";

const NETUID = 247;

/** The real answers are encoded with mainnet's metadata; our own types must read them as that metadata does. */
describe("answers of runtimes that do not describe them", { skip: subtensorDoubleSkip, timeout: 60_000 }, () => {
  let chain: SubtensorDouble;
  let api: ApiPromise;
  before(async () => {
    const neurons = [1, 2, 3].map((byte) => ({
      hotkey: keypairFromSeed(new Uint8Array(32).fill(byte)).address,
      validatorPermit: byte === 2,
      alphaStake: byte * 1000.5,
      incentive: byte / 10,
      emission: byte,
      axon: { ip: `203.0.113.${byte}`, port: 8091 },
    }));
    chain = await startSubtensorDouble({ subnets: [{ netuid: NETUID, neurons }] });
    const provider = new WsProvider(chain.url) as ProviderInterface;
    api = await ApiPromise.create({ provider, types: { ...LEGACY_TYPES }, noInitWarn: true });
  });
  after(async () => {
    await api.disconnect();
    await chain.close();
  });

  /** The same connection with metadata of version 14, which lists no runtime APIs. */
  function undescribed(): ApiPromise {
    const { registry } = api;
    return { registry, runtimeMetadata: { asLatest: { apis: [] } } } as unknown as ApiPromise;
  }

  async function answerOf(reading: SubnetReading): Promise<Uint8Array> {
    return (await api.rpc.state.call(`${reading.runtimeApi}_${reading.method}`, "0xf700")).toU8a(true);
  }

  const known = SUBNET_READINGS.filter(({ legacyType }) => legacyType !== null);
  for (const reading of known) {
    it(`read ${reading.method} as the metadata does, in every wrapping`, async () => {
      const bytes = await answerOf(reading);
      const expected = reading.neuronsOf(decodeAnswer(api, reading, bytes));
      assert.equal(expected?.length, 3);
      const forms = [bytes, compactAddLength(bytes)];
      if (reading.method === "get_subnet_state") forms.push(compactAddLength(bytes.subarray(1)));
      for (const form of forms)
        assert.deepEqual(reading.neuronsOf(decodeAnswer(undescribed(), reading, form)), expected);
    });
  }

  it("are given up where neither they nor we know the type", async () => {
    const [state, metagraph] = SUBNET_READINGS;
    const bytes = await answerOf(metagraph!);
    assert.throws(() => decodeAnswer(undescribed(), metagraph!, bytes), { code: "CHAIN_UNKNOWN_TYPE" });
    assert.throws(() => decodeAnswer(undescribed(), state!, bytes), { code: "CHAIN_UNKNOWN_TYPE" });
    assert.throws(() => decodeAnswer(api, state!, bytes), { code: "CHAIN_ANSWER" });
  });

  it("are refused with a byte too many or too few", async () => {
    for (const reading of SUBNET_READINGS) {
      const bytes = await answerOf(reading);
      for (const form of [Uint8Array.of(...bytes, 0), bytes.subarray(0, -1)]) {
        assert.throws(() => decodeAnswer(api, reading, form), { code: "CHAIN_ANSWER" }, reading.method);
      }
    }
  });

  it("never make the decoder throw anything of its own, whatever the bytes", async () => {
    const bytes = await answerOf(SUBNET_READINGS[0]!);
    const cut = fc.nat({ max: bytes.length }).map((length) => bytes.subarray(0, length));
    const changed = fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 })).map(([index, value]) => {
      const copy = bytes.slice();
      copy[index] = value;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), cut, changed), (form) => {
        for (const reading of SUBNET_READINGS) {
          try {
            decodeAnswer(api, reading, form);
          } catch (error) {
            assert.ok(error instanceof OperationalError && error.code === "CHAIN_ANSWER", String(error));
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
