import { hexToU8a, isHex, u8aToHex } from "@polkadot/util";
import { blake2AsU8a, decodeAddress } from "@polkadot/util-crypto";
import type { RuntimeVersion } from "@polkadot/types/interfaces";
import type { RpcErrorBody } from "./api.ts";
import { headerJson, type Block } from "./block.ts";
import type { Chain } from "./chain.ts";
import type { NodeView } from "./node-view.ts";
import { PoolRefusal, type ExtrinsicStatus, type TransactionPool } from "./pool.ts";
import { BadRuntimeArguments, callRuntime, encodeOutput, UnknownRuntimeMethod } from "./runtime-api.ts";
import type { ChainState } from "./state.ts";

/** The JSON-RPC methods that answer once. */

export class RpcError extends Error {
  readonly body: RpcErrorBody;

  constructor(body: RpcErrorBody) {
    super(body.message);
    this.body = body;
  }
}

export interface Node {
  readonly chain: Chain;
  readonly view: NodeView;
  readonly pool: TransactionPool;
  /** Puts what waits into a block, where blocks are instant. */
  readonly sealWaiting: () => void;
}

export type Method = (node: Node, params: Params) => unknown;

/** Positional parameters of a call. */
export class Params {
  readonly #values: readonly unknown[];

  constructor(values: readonly unknown[]) {
    this.#values = values;
  }

  text(position: number): string {
    const value = this.#values[position];
    if (typeof value === "string") return value;
    throw invalidParams(`expected a string in place ${position}`);
  }

  optionalText(position: number): string | null {
    return (this.#values[position] ?? null) === null ? null : this.text(position);
  }

  /** With or without 0x: async-substrate-interface leaves it out. */
  bytes(position: number): Uint8Array {
    const text = this.text(position);
    const hex = text.startsWith("0x") ? text : `0x${text}`;
    if (isHex(hex) || hex === "0x") return hexToU8a(hex);
    throw invalidParams(`expected hex bytes in place ${position}`);
  }

  texts(position: number): readonly string[] {
    const value = this.#values[position];
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw invalidParams(`expected a list of strings in place ${position}`);
  }

  number(position: number): number {
    const value = this.#values[position];
    const number = typeof value === "string" ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number;
    throw invalidParams(`expected a number in place ${position}`);
  }

  isAbsent(position: number): boolean {
    return (this.#values[position] ?? null) === null;
  }
}

function invalidParams(data: string): RpcError {
  return new RpcError({ code: -32602, message: "Invalid params", data });
}

/** sc_rpc_api::state::error */
function clientError(message: string): RpcError {
  return new RpcError({ code: 4003, message: `Client error: ${message}` });
}

export function blockAt(node: Node, hash: string | null): Block {
  if (hash === null) return node.view.head();
  const block = node.view.block(hash);
  if (block === null) throw clientError(`UnknownBlock: Header was not found in the database: ${hash}`);
  return block;
}

function stateAt(node: Node, hash: string | null): ChainState {
  const block = blockAt(node, hash);
  const state = node.view.state(block);
  if (state === null) throw clientError(`UnknownBlock: State already discarded for ${block.hash}`);
  return state;
}

export function runtimeVersionJson(state: ChainState): Record<string, unknown> {
  const { registry, versionBytes } = state.runtime;
  const version = registry.createTypeUnsafe<RuntimeVersion>("RuntimeVersion", [versionBytes]);
  const number = (field: { toNumber(): number }): number => field.toNumber();
  return {
    specName: version.specName.toString(),
    implName: version.implName.toString(),
    authoringVersion: number(version.authoringVersion),
    specVersion: number(version.specVersion),
    implVersion: number(version.implVersion),
    apis: version.apis.map(([id, apiVersion]) => [u8aToHex(id.toU8a(true)), apiVersion.toNumber()]),
    transactionVersion: number(version.transactionVersion),
    systemVersion: 1,
    stateVersion: 1,
  };
}

/** The first bytes of a value made senseless, for the methods that the faults name. */
function garbled(node: Node, method: string, hex: string | null): string | null {
  if (hex === null || !(node.view.faults.garbledMethods ?? []).includes(method)) return hex;
  const bytes = hexToU8a(hex);
  return u8aToHex(bytes.fill(0xff, 0, Math.min(8, bytes.length)));
}

function runtimeCall(node: Node, params: Params): string | null {
  const method = params.text(0);
  const { faults } = node.view;
  const form = faults.runtimeApis?.[method] ?? faults.runtimeApis?.[method.split("_")[0]!] ?? "current";
  const missing = clientError(`Execution failed: Other: Exported method ${method} is not found`);
  if (form === "absent") throw missing;
  if (faults.metagraph === "garbage" && METAGRAPH_METHOD.test(method)) return u8aToHex(senselessBytes(method));
  const state = stateAt(node, params.optionalText(2));
  const input = params.bytes(1);
  if (method === VALIDATE) return u8aToHex(validate(node, input));
  try {
    return garbled(node, method, u8aToHex(callRuntime(state, { method, input, wrapped: form === "wrapped" })));
  } catch (error) {
    if (error instanceof UnknownRuntimeMethod) throw missing;
    if (!(error instanceof BadRuntimeArguments)) throw error;
    throw clientError(`Execution failed: Execution aborted due to trap: ${error.message}`);
  }
}

const VALIDATE = "TaggedTransactionQueue_validate_transaction";

/** `input`: the source's byte, the extrinsic, and a block hash that nothing depends on. */
function validate(node: Node, input: Uint8Array): Uint8Array {
  const { runtime } = node.chain.headState;
  try {
    const { extrinsic, refusal } = node.pool.validity(input.subarray(1, -32));
    const tag = (nonce: number): string => `${extrinsic.signer} ${nonce}`;
    const next = node.pool.nextNonce(extrinsic.signer);
    const requires = extrinsic.nonce > next ? [tag(extrinsic.nonce - 1)] : [];
    const valid = { priority: 0, requires, provides: [tag(extrinsic.nonce)], longevity: 64, propagate: true };
    return encodeOutput(runtime, VALIDATE, refusal === null ? { Ok: valid } : { Err: refusal.validity });
  } catch (error) {
    if (error instanceof PoolRefusal) throw clientError(error.message);
    throw error;
  }
}

const METAGRAPH_METHOD = /metagraph|mechagraph|subnet_state|get_neurons/;

/** The same for the same method. */
function senselessBytes(method: string): Uint8Array {
  return Buffer.concat([1, 2, 3, 4].map((round) => blake2AsU8a(`${method} ${round}`, 512)));
}

/** Throws RpcError for what the pool refuses. */
export function submitExtrinsic(
  node: Node,
  bytes: Uint8Array,
  watch: (status: ExtrinsicStatus) => void,
): ReturnType<TransactionPool["submit"]> {
  try {
    return node.pool.submit(bytes, watch);
  } catch (error) {
    if (error instanceof PoolRefusal) throw new RpcError(error.body);
    throw error;
  }
}

function keysPaged(node: Node, params: Params): string[] {
  const count = params.number(1);
  if (count > 1000)
    throw new RpcError({ code: 4002, message: `count exceeds maximum value. value: ${count}, max: 1000` });
  const after = params.optionalText(2);
  const keys = stateAt(node, params.optionalText(3)).keys(params.text(0));
  return (after === null ? keys : keys.filter((key) => key > after)).slice(0, count);
}

function nextNonce(node: Node, params: Params): number {
  try {
    decodeAddress(params.text(0));
  } catch {
    throw invalidParams("expected an ss58 address");
  }
  return node.pool.nextNonce(params.text(0));
}

function storage(method: string): Method {
  return (node, params) => garbled(node, method, stateAt(node, params.optionalText(1)).raw(params.text(0)));
}

function blockHash(node: Node, params: Params): string | null {
  return params.isAbsent(0) ? node.view.head().hash : node.view.blockHash(params.number(0));
}

export const METHODS: Readonly<Record<string, Method>> = {
  account_nextIndex: nextNonce,
  system_accountNextIndex: nextNonce,
  author_pendingExtrinsics: ({ pool }) => pool.pending(),
  author_submitExtrinsic: (node, params) => {
    const { hash } = submitExtrinsic(node, params.bytes(0), () => undefined);
    node.sealWaiting();
    return hash;
  },
  chain_getBlock: (node, params) => {
    const block = blockAt(node, params.optionalText(0));
    return { block: { header: headerJson(block), extrinsics: block.extrinsics }, justifications: null };
  },
  chain_getBlockHash: blockHash,
  chain_getFinalisedHead: ({ view }) => view.head().hash,
  chain_getFinalizedHead: ({ view }) => view.head().hash,
  chain_getHead: blockHash,
  chain_getHeader: ({ view }, params) => {
    const hash = params.optionalText(0);
    const block = hash === null ? view.head() : view.block(hash);
    return block === null ? null : headerJson(block);
  },
  payment_queryInfo: () => ({ weight: { ref_time: 0, proof_size: 0 }, class: "normal", partialFee: "0" }),
  state_call: runtimeCall,
  state_callAt: runtimeCall,
  state_getKeysPaged: keysPaged,
  state_getMetadata: (node, params) => {
    return u8aToHex(stateAt(node, params.optionalText(0)).runtime.metadataAt(14));
  },
  state_getRuntimeVersion: (node, params) => runtimeVersionJson(stateAt(node, params.optionalText(0))),
  state_getStorage: storage("state_getStorage"),
  state_getStorageAt: storage("state_getStorageAt"),
  state_queryStorageAt: (node, params) => {
    const block = blockAt(node, params.optionalText(1));
    const state = stateAt(node, block.hash);
    const value = (key: string): string | null => garbled(node, "state_queryStorageAt", state.raw(key));
    return [{ block: block.hash, changes: params.texts(0).map((key) => [key, value(key)]) }];
  },
  system_chain: ({ view }) => view.chainName,
  system_chainType: () => "Live",
  system_health: () => ({ peers: 8, isSyncing: false, shouldHavePeers: true }),
  system_name: () => "Subtensor Double",
  system_properties: () => ({ isEthereum: false, ss58Format: 42, tokenDecimals: 9, tokenSymbol: "TAO" }),
  system_version: () => "4.0.0-double",
};
