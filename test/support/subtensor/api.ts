import type { Clock } from "../../../src/clock.ts";

/** An axon as the chain keeps it in `Axons(netuid, hotkey)`; `ip` is the address as an integer, `block` that of the serve. */
export interface StoredAxon {
  readonly block: number;
  readonly version: number;
  readonly ip: bigint;
  readonly port: number;
  readonly ipType: number;
  readonly protocol: number;
  readonly placeholder1: number;
  readonly placeholder2: number;
}

/** A neuron to register. Only the hotkey is needed; stakes are in whole tokens. */
export interface NeuronSpec {
  readonly hotkey: string;
  /** One coldkey per hotkey, derived from it, where absent. */
  readonly coldkey?: string;
  /** Alpha on this hotkey in this subnet; 0 where absent. */
  readonly alphaStake?: number;
  /** TAO on the root subnet; 0 where absent. */
  readonly taoStake?: number;
  readonly validatorPermit?: boolean;
  /** True where absent. */
  readonly active?: boolean;
  /** Shares of 0 to 1. */
  readonly incentive?: number;
  readonly consensus?: number;
  readonly dividends?: number;
  /** Alpha per tempo. */
  readonly emission?: number;
  /** A served axon; the block defaults to 1. */
  readonly axon?: { readonly ip: string; readonly port: number; readonly version?: number; readonly block?: number };
}

export interface SubnetSpec {
  readonly netuid: number;
  readonly neurons?: readonly NeuronSpec[];
  /** Blocks; 360 where absent. */
  readonly tempo?: number;
  /** Blocks between two serves; 50 where absent, 0 is no limit. */
  readonly servingRateLimit?: number;
}

export interface SubtensorDoubleOptions {
  /** 0 or absent: any free port. On 127.0.0.1. */
  readonly port?: number;
  readonly subnets?: readonly SubnetSpec[];
  /** Number of the first head; 1000 where absent. Every header from 0 up to it exists. */
  readonly startBlock?: number;
  /** system_chain; "Bittensor" (as finney says) where absent. Two chains of different names have different genesis hashes. */
  readonly chain?: string;
  /** Share of a TAO stake that counts in S; 0.18 where absent. */
  readonly taoWeight?: number;
  /** Block 0's hash where the real one of a known network is wanted; by default the hash of its header. */
  readonly genesisHash?: string;
  /** Time of new blocks; where absent the chain's time starts at 2026-07-04 and moves by 12 s a block. */
  readonly clock?: Clock;
}

/** Names of the pallet's errors that serve_axon ends with. */
export type ServeRefusal =
  "HotKeyNotRegisteredInNetwork" | "InvalidIpType" | "InvalidIpAddress" | "ServingRateLimitExceeded" | "InvalidPort";

/** Where a refused serve_axon shows: at the pool (1010, "Custom error: N"), or in its block (ExtrinsicFailed). */
export type RefusalForm = "pool" | "dispatch";

/** `wrapped`: the answer inside a Vec<u8>, as older runtimes had it. `absent`: the runtime API or method does not exist. */
export type RuntimeApiForm = "current" | "wrapped" | "absent";

/** The `error` of a JSON-RPC answer. */
export interface RpcErrorBody {
  readonly code: number;
  readonly message: string;
  readonly data?: string;
}

/**
 * What is wrong with this node; all absent: nothing. Assigned by `setFaults`, from then on for every connection. Methods
 * are named as in JSON-RPC or, inside a `state_call`, as in the runtime (`SubnetInfoRuntimeApi_get_subnet_state`).
 */
export interface Faults {
  /** New WebSocket connections are refused with HTTP 503. */
  readonly refuseConnections?: boolean;
  /** Connections are accepted, but nothing is ever answered: no JSON-RPC, no pong, no close. */
  readonly halfOpen?: boolean;
  /** Every answer waits this long (real time). */
  readonly delayMs?: number;
  /** Calls to these methods are neither carried out nor answered. */
  readonly silentMethods?: readonly string[];
  /** Calls to these methods are answered with this JSON-RPC error. */
  readonly failingMethods?: Readonly<Record<string, RpcErrorBody>>;
  /** The genesis hash that is claimed (chain_getBlockHash of 0). */
  readonly genesisHash?: string;
  /** The chain name that is claimed. */
  readonly chain?: string;
  /**
   * What is claimed about every subnet: nobody is in it, its vectors are cut in half (keys are not), it does not exist; in
   * storage as well as in runtime APIs. `garbage`: bytes without sense from the runtime APIs.
   */
  readonly metagraph?: "empty" | "truncated" | "garbage" | "missing";
  /** Hotkeys that this node denies: no uid in storage, absent from every metagraph. */
  readonly deniedHotkeys?: readonly string[];
  /**
   * The head that is claimed: `frozen` never moves again from when the fault is set; `backwards` claims ever lower numbers.
   * Existing subscriptions see it too.
   */
  readonly head?: "frozen" | "backwards";
  /** By runtime method, or by the name of a whole API. */
  readonly runtimeApis?: Readonly<Record<string, RuntimeApiForm>>;
  /** The first 8 bytes of values from these storage methods, or from `state_call`, are replaced by 0xff. */
  readonly garbledMethods?: readonly string[];
}

/** One JSON-RPC call that arrived. */
export interface SeenCall {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** An extrinsic that reached the pool. */
export interface SeenExtrinsic {
  readonly hex: string;
  /** "subtensorModule.serveAxon". */
  readonly call: string;
  readonly callHex: string;
  readonly signer: string;
  readonly outcome:
    | { readonly kind: "pool-refused"; readonly code: number; readonly data: string }
    | { readonly kind: "included"; readonly block: number; readonly dispatchError: string | null }
    /** Left out of a block because it had become invalid. */
    | { readonly kind: "dropped"; readonly data: string }
    /** In the pool; `future`: for a later nonce. */
    | { readonly kind: "waiting" }
    | { readonly kind: "future" };
}

export interface SubtensorDouble {
  /** ws://127.0.0.1:port */
  readonly url: string;
  readonly port: number;
  readonly genesisHash: string;
  readonly connections: number;
  /** Everything asked so far, oldest first; bounded to the last 10,000. */
  readonly calls: readonly SeenCall[];
  readonly extrinsics: readonly SeenExtrinsic[];
  blockNumber(): number;

  /** Each change below seals a block of its own, as an extrinsic that did it would; `batch` puts several in one block. */
  batch(change: () => void): void;
  /** Returns the uid: the next free one. */
  register(netuid: number, neuron: NeuronSpec): number;
  /** The uid is taken over by a fresh, unknown hotkey, as a re-registration of that slot does. */
  deregister(netuid: number, hotkey: string): void;
  setPermit(netuid: number, hotkey: string, permit: boolean): void;
  /** Whole tokens; what is absent stays. */
  setStake(netuid: number, hotkey: string, stake: { readonly alpha?: number; readonly tao?: number }): void;
  setAxon(
    netuid: number,
    hotkey: string,
    axon: { readonly ip: string; readonly port: number; readonly version?: number },
  ): void;
  setServingRateLimit(netuid: number, blocks: number): void;
  setTempo(netuid: number, blocks: number): void;
  axonOf(netuid: number, hotkey: string): StoredAxon | null;
  nonceOf(address: string): number;
  advanceBlocks(count: number): void;

  /** `instant` (the default): every extrinsic gets a block of its own at once; `manual`: it waits for the next block. */
  setSealing(sealing: "instant" | "manual"): void;
  setRefusalForm(form: RefusalForm): void;
  /** The next serve_axon ends with this error whatever its arguments; null: by the pallet's rules. `code` overrides the pool's number (255). */
  forceRefusal(refusal: ServeRefusal | { readonly poolCode: number } | null): void;
  /** A runtime upgrade at the next block; `changed`: with metadata whose pallet and type indices differ a little. */
  upgradeRuntime(upgrade?: { readonly specVersion?: number; readonly changedMetadata?: boolean }): void;

  /** Replaces all faults. */
  setFaults(faults: Faults): void;
  /** Ends every connection at once, without a closing handshake. */
  cutConnections(): void;
  /**
   * Cuts every connection instead of answering the Nth call from now (1: the very next). `method` counts only calls to it;
   * `executed`: the call takes effect before the cut (a submitted extrinsic is in the chain, its sender does not know).
   */
  cutAfterCalls(count: number, options?: { readonly method?: string; readonly executed?: boolean }): void;
  close(): Promise<void>;
}
