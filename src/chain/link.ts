import type { SignatureScheme } from "../bittensor/signature.ts";

/** How a client of the chain talks to one endpoint; the real one (connection.ts) lives in a thread (thread.ts). */

/** What an endpoint said about itself when it was opened. */
export interface ChainFacts {
  /** Hash of block 0, `0x` + 64 hex digits. */
  readonly genesis: string;
  readonly chain: string;
  readonly specVersion: number;
  /** Number of its newest block. */
  readonly block: number;
}

export type MetagraphSource = "get_subnet_state" | "get_metagraph" | "get_neurons_lite";

/** A neuron as the chain has it, in whole tokens and shares of 0 to 1. */
export interface ChainNeuron {
  readonly uid: number;
  readonly hotkey: string;
  readonly coldkey: string;
  /** Metagraph S; with source get_neurons_lite plain alpha, which is not S. */
  readonly stake: number;
  readonly validatorPermit: boolean;
  readonly active: boolean;
  readonly incentive: number;
  /** Alpha per tempo. */
  readonly emission: number;
  /** Block of its last weights. */
  readonly lastUpdate: number;
  /** Published axon; null where none is. */
  readonly ip: string | null;
  readonly port: number | null;
}

export interface SubnetAnswer {
  readonly source: MetagraphSource;
  /** Block whose state this is. */
  readonly block: number;
  readonly neurons: readonly ChainNeuron[];
}

/** `Axons(netuid, hotkey)`. */
export interface ServedAxon {
  /** Of the last serve; the rate limit counts from it. */
  readonly block: number;
  readonly version: number;
  readonly ip: bigint;
  readonly port: number;
  readonly ipType: number;
  readonly protocol: number;
}

export interface AxonAnswer {
  /** Newest block. */
  readonly block: number;
  /** Null: not registered. */
  readonly uid: number | null;
  readonly axon: ServedAxon | null;
  /** Blocks between two serves; 0 is no limit. */
  readonly rateLimitBlocks: number;
}

/** Arguments of `SubtensorModule.serve_axon`. */
export interface ServeAxonCall {
  readonly netuid: number;
  readonly version: number;
  readonly ip: bigint;
  readonly port: number;
  readonly ipType: 4 | 6;
  readonly protocol: number;
  readonly placeholder1: number;
  readonly placeholder2: number;
}

export interface Submission {
  readonly call: ServeAxonCall;
  readonly hotkey: { readonly address: string; readonly scheme: SignatureScheme };
}

export interface Inclusion {
  readonly blockHash: string;
  readonly extrinsicHash: string;
}

/**
 * One connection at a time. Every method settles within the call timeout it was made with and rejects with
 * OperationalError: CHAIN_UNREACHABLE, CHAIN_TIMEOUT, CHAIN_LOST, CHAIN_ANSWER (not what its type says), CHAIN_NO_SUBNET,
 * CHAIN_REFUSED (details.refusal of serve_axon), CHAIN_RPC (the endpoint answered with an error).
 */
export interface ChainLink {
  /** Ends the connection there was, opens one to `url`. */
  open: (url: string) => Promise<ChainFacts>;
  readSubnet: (netuid: number) => Promise<SubnetAnswer>;
  readAxon: (neuron: { netuid: number; hotkey: string }) => Promise<AxonAnswer>;
  /** The call's bytes by the endpoint's metadata, `0x…`; nothing is signed or sent. */
  encodeServeAxon: (call: ServeAxonCall) => Promise<string>;
  /** Signs through the owner, submits, resolves when it is in a block. */
  serveAxon: (submission: Submission) => Promise<Inclusion>;
  close: () => Promise<void>;
}

export interface ChainEvents {
  /** A new head of the open connection. */
  readonly onHead: (block: number) => void;
  /** The open connection is gone. */
  readonly onLost: (reason: string) => void;
  /** The runtime changed: whoever wants to go on reading opens the endpoint anew. */
  readonly onUpgrade: (specVersion: number) => void;
}

/** Signs the bytes of an extrinsic payload for exactly this call, or throws. */
export type SignPayload = (payload: Uint8Array, call: ServeAxonCall) => Uint8Array | Promise<Uint8Array>;

/** Method names, for messages between threads. */
export const LINK_METHODS = ["open", "readSubnet", "readAxon", "encodeServeAxon", "serveAxon", "close"] as const;
export type LinkMethod = (typeof LINK_METHODS)[number];
