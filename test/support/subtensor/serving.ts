import type { RefusalForm, ServeRefusal, StoredAxon } from "./api.ts";
import type { SignedExtrinsic } from "./extrinsic.ts";
import type { ChainState } from "./state.ts";
import { axonOf, uidOf, writeAxon } from "./subnet.ts";

/** serve_axon as pallets/subtensor/src/subnets/serving.rs has it. */

export const SERVE_AXON = "subtensorModule.serveAxon";

export interface ServeCall {
  readonly netuid: number;
  readonly axon: Omit<StoredAxon, "block">;
}

export function serveCall({ args }: SignedExtrinsic): ServeCall {
  const number = (position: number): number => Number(args[position]!.toString());
  return {
    netuid: number(0),
    axon: {
      version: number(1),
      ip: BigInt(args[2]!.toString()),
      port: number(3),
      ipType: number(4),
      protocol: number(5),
      placeholder1: number(6),
      placeholder2: number(7),
    },
  };
}

const LOCALHOST_V4 = 0x7f000001n;
const MAX_V4 = 2n ** 32n - 1n;
const MAX_V6 = 2n ** 128n - 1n;

/** validate_serve_axon, in the pallet's order; `block` is the one under construction. */
export function serveRefusal(
  state: ChainState,
  request: { readonly hotkey: string; readonly call: ServeCall; readonly block: number },
): ServeRefusal | "SubnetNotExists" | null {
  const { hotkey, block } = request;
  const { netuid, axon } = request.call;
  if (!state.has("subtensorModule.networksAdded", netuid)) return "SubnetNotExists";
  if (uidOf(state, netuid, hotkey) === null) return "HotKeyNotRegisteredInNetwork";
  if (axon.ipType !== 4 && axon.ipType !== 6) return "InvalidIpType";
  if (!isValidIp(axon.ipType, axon.ip)) return "InvalidIpAddress";
  const rateLimit = state.number("subtensorModule.servingRateLimit", netuid);
  const lastServe = axonOf(state, netuid, hotkey)?.block ?? 0;
  if (rateLimit !== 0 && lastServe !== 0 && block - lastServe < rateLimit) return "ServingRateLimitExceeded";
  return axon.port === 0 ? "InvalidPort" : null;
}

/** The pallet lets 0 pass, and refuses localhost and the last address. */
function isValidIp(ipType: number, ip: bigint): boolean {
  return ipType === 4 ? ip < MAX_V4 && ip !== LOCALHOST_V4 : ip !== MAX_V6 && ip !== 1n;
}

export function serve(
  state: ChainState,
  { hotkey, call, block }: { hotkey: string; call: ServeCall; block: number },
): void {
  writeAxon(state, call.netuid, { hotkey, axon: { ...call.axon, block } });
}

/** Numbers of the transaction extension (`Custom error: N`); 255 for what has none. They differ between runtimes above 13. */
export const POOL_CODES: Readonly<Record<string, number>> = {
  SubnetNotExists: 3,
  HotKeyNotRegisteredInNetwork: 10,
  InvalidIpAddress: 11,
  ServingRateLimitExceeded: 12,
  InvalidPort: 13,
};
export const OTHER_POOL_CODE = 255;

/** How the chain treats serve_axon, as tests choose it. */
export interface ServingRules {
  form: RefusalForm;
  forced: ServeRefusal | { readonly poolCode: number } | null;
}
