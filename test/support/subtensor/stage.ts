import assert from "node:assert/strict";
import type { ApiPromise } from "@polkadot/api";
import { Keyring } from "@polkadot/keyring";
import type { KeyringPair } from "@polkadot/keyring/types";
import type { ISubmittableResult } from "@polkadot/types/types";
import { cryptoWaitReady } from "@polkadot/util-crypto";
import type { SubtensorDouble } from "./api.ts";
import { startSubtensorDouble } from "./double.ts";
import { rawClient, RawRpcError, type RawClient } from "./raw-client.ts";
import { connectApi, serveAxonCall, type ServeArguments } from "./signed-serve.ts";

/** A chain with three neurons, and two clients connected to it. */

export const NETUID = 247;

export interface Stage {
  readonly chain: SubtensorDouble;
  readonly api: ApiPromise;
  readonly raw: RawClient;
  /** Validator with permit, 1000 alpha and 100 TAO. */
  readonly alice: KeyringPair;
  /** A miner, sr25519. */
  readonly bob: KeyringPair;
  /** A miner, ed25519. */
  readonly eve: KeyringPair;
  /** Registered nowhere. */
  readonly zoe: KeyringPair;
  close(): Promise<void>;
}

export async function stage(): Promise<Stage> {
  await cryptoWaitReady();
  const sr25519 = new Keyring({ type: "sr25519", ss58Format: 42 });
  const [alice, bob, zoe] = ["//Alice", "//Bob", "//Zoe"].map((uri) => sr25519.addFromUri(uri));
  const eve = new Keyring({ type: "ed25519", ss58Format: 42 }).addFromUri("//Eve");
  const chain = await startSubtensorDouble({
    subnets: [
      {
        netuid: NETUID,
        neurons: [
          { hotkey: alice!.address, validatorPermit: true, alphaStake: 1000, taoStake: 100 },
          { hotkey: bob!.address, alphaStake: 10, incentive: 0.5 },
          { hotkey: eve.address },
        ],
      },
    ],
  });
  const [api, raw] = [await connectApi(chain.url), await rawClient(chain.url)];
  const close = async (): Promise<void> => {
    raw.close();
    await api.disconnect();
    await chain.close();
  };
  return { chain, api, raw, alice: alice!, bob: bob!, eve, zoe: zoe!, close };
}

/** One chain per case: a used nonce or a rate limit of one case is nothing to the next. */
export async function staged(work: (stage: Stage) => Promise<void>): Promise<void> {
  const set = await stage();
  try {
    await work(set);
  } finally {
    await set.close();
  }
}

/** `code: message: data` of the refusal; fails when there is none. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    assert.fail(`expected a refusal, found ${JSON.stringify(await call)}`);
  } catch (error) {
    if (error instanceof RawRpcError) return error.message;
    throw error;
  }
}

export function submit(raw: RawClient, hex: string): Promise<unknown> {
  return raw.call("author_submitExtrinsic", hex);
}

export interface Sent {
  readonly statuses: readonly string[];
  readonly events: readonly string[];
  readonly error: string | null;
}

/** Through @polkadot/api's own signing and watching, until it is final. */
export async function serveAndWatch(api: ApiPromise, pair: KeyringPair, call: ServeArguments = {}): Promise<Sent> {
  const statuses: string[] = [];
  const final = Promise.withResolvers<ISubmittableResult>();
  const onStatus = (result: ISubmittableResult): void => {
    statuses.push(result.status.type);
    if (result.isFinalized || result.isError) final.resolve(result);
  };
  await serveAxonCall(api, call).signAndSend(pair, { nonce: -1 }, onStatus);
  const { events, dispatchError } = await final.promise;
  return {
    statuses,
    events: events.map(({ event }) => `${event.section}.${event.method}`),
    error: dispatchError === undefined ? null : api.registry.findMetaError(dispatchError.asModule).name,
  };
}
