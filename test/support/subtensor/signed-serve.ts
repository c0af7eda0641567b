import { ApiPromise, WsProvider } from "@polkadot/api";
import type { ProviderInterface } from "@polkadot/rpc-provider/types";
import type { KeyringPair } from "@polkadot/keyring/types";

/** The chain as an unmodified @polkadot/api sees it: the client whose agreement shows that the double is honest. */

/** Does not connect again after a cut. */
export async function connectApi(url: string): Promise<ApiPromise> {
  const provider = new WsProvider(url, false);
  await provider.connect();
  // @polkadot's types do not agree with exactOptionalPropertyTypes about `ttl`.
  return ApiPromise.create({ provider: provider as ProviderInterface, noInitWarn: true });
}

export interface ServeArguments {
  readonly netuid?: number;
  readonly version?: number;
  readonly ip?: bigint;
  readonly port?: number;
  readonly ipType?: number;
}

/** 203.0.113.7 */
export const TEST_IP = 3_405_803_783n;

export function serveAxonCall(api: ApiPromise, call: ServeArguments = {}): ReturnType<ApiPromise["tx"]> {
  const { netuid = 247, version = 9_012_000, ip = TEST_IP, port = 8091, ipType = 4 } = call;
  return api.tx["subtensorModule"]!["serveAxon"]!(netuid, version, ip, port, ipType, 4, 0, 0);
}

/** Hex of a signed, mortal serve_axon; nonce and era from the chain. */
export async function signServe(
  api: ApiPromise,
  pair: KeyringPair,
  options: { readonly call?: ServeArguments; readonly signing?: Record<string, unknown> } = {},
): Promise<string> {
  const extrinsic = serveAxonCall(api, options.call);
  const signed = await extrinsic.signAsync(pair, { nonce: -1, ...options.signing });
  return signed.toHex();
}
