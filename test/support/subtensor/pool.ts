import { compactAddLength, u8aToHex } from "@polkadot/util";
import type { RpcErrorBody, SeenExtrinsic } from "./api.ts";
import type { Block } from "./block.ts";
import { failure, success, type BlockWork, type Chain } from "./chain.ts";
import { moduleError, type BlockEvent } from "./events.ts";
import {
  birthOf,
  decodeExtrinsic,
  hasGoodSignature,
  MalformedExtrinsic,
  signedPayload,
  type SignedExtrinsic,
} from "./extrinsic.ts";
import {
  OTHER_POOL_CODE,
  POOL_CODES,
  SERVE_AXON,
  serve,
  serveCall,
  serveRefusal,
  type ServingRules,
} from "./serving.ts";
import type { ChainState } from "./state.ts";
import {
  alreadyImported,
  ANCIENT_BIRTH,
  BAD_PROOF,
  badFormat,
  BANNED,
  CANNOT_LOOKUP,
  customRefusal,
  NO_FEE,
  STALE,
  TRAPPED,
  type Refusal,
} from "./validity.ts";

/** A status as author_extrinsicUpdate has it. */
export type ExtrinsicStatus =
  "future" | "ready" | "invalid" | { readonly inBlock: string } | { readonly finalized: string };

interface Entry {
  readonly extrinsic: SignedExtrinsic;
  readonly watch: (status: ExtrinsicStatus) => void;
  readonly record: (outcome: SeenExtrinsic["outcome"]) => void;
}

export class PoolRefusal extends Error {
  readonly body: RpcErrorBody;

  constructor(body: RpcErrorBody) {
    super(body.message);
    this.body = body;
  }
}

const MAX_EXTRINSICS = 1000;

/** Checks extrinsics as a node's runtime does, keeps them until a block takes them, and applies them. */
export class TransactionPool {
  readonly #chain: Chain;
  readonly #rules: ServingRules;
  readonly #included = new Set<string>();
  #waiting: Entry[] = [];
  #sealed: Entry[] = [];
  readonly seen: SeenExtrinsic[] = [];

  constructor(chain: Chain, rules: ServingRules) {
    this.#chain = chain;
    this.#rules = rules;
    const work: BlockWork = { apply: (state, number) => this.#apply(state, number) };
    chain.work = work;
  }

  /** Throws PoolRefusal. Returns the hash, and what then tells the watcher where the extrinsic stands. */
  submit(
    bytes: Uint8Array,
    watch: (status: ExtrinsicStatus) => void,
  ): { readonly hash: string; readonly announce: () => void } {
    const extrinsic = this.#decode(bytes);
    const record = this.#record(bytes, extrinsic);
    const refusal = this.#refusal(extrinsic);
    if (refusal !== null) {
      record({ kind: "pool-refused", code: refusal.code, data: refusal.data ?? refusal.message });
      throw new PoolRefusal(refusal);
    }
    const future = extrinsic.nonce > this.nextNonce(extrinsic.signer);
    if (future) record({ kind: "future" });
    this.#waiting.push({ extrinsic, watch, record });
    return {
      hash: extrinsic.hash,
      announce: () => {
        watch(future ? "future" : "ready");
      },
    };
  }

  /** Of the state, and then of what waits. */
  nextNonce(address: string): number {
    const taken = new Set(
      this.#waiting.filter(({ extrinsic }) => extrinsic.signer === address).map(({ extrinsic }) => extrinsic.nonce),
    );
    let nonce = nonceIn(this.#chain.headState, address);
    while (taken.has(nonce)) nonce += 1;
    return nonce;
  }

  pending(): readonly string[] {
    return this.#waiting.map(({ extrinsic }) => u8aToHex(compactAddLength(extrinsic.bytes)));
  }

  #decode(bytes: Uint8Array): SignedExtrinsic {
    try {
      return decodeExtrinsic(this.#chain.headState.runtime, bytes);
    } catch (error) {
      if (!(error instanceof MalformedExtrinsic)) throw error;
      throw new PoolRefusal(error.part === "length" ? badFormat(error.message) : TRAPPED);
    }
  }

  #record(bytes: Uint8Array, extrinsic: SignedExtrinsic): (outcome: SeenExtrinsic["outcome"]) => void {
    const { callName: call, signer } = extrinsic;
    const entry = { hex: u8aToHex(bytes), call, callHex: u8aToHex(extrinsic.callBytes), signer };
    const index = this.seen.length;
    if (index >= MAX_EXTRINSICS) throw new Error(`more than ${MAX_EXTRINSICS} extrinsics for a double`);
    this.seen.push({ ...entry, outcome: { kind: "waiting" } });
    return (outcome) => {
      this.seen[index] = { ...entry, outcome };
    };
  }

  #refusal(extrinsic: SignedExtrinsic): RpcErrorBody | null {
    if (this.#included.has(extrinsic.hash)) return BANNED;
    if (this.#waiting.some((entry) => entry.extrinsic.hash === extrinsic.hash)) return alreadyImported(extrinsic.hash);
    return this.#verdict(extrinsic)?.body ?? null;
  }

  /** TaggedTransactionQueue_validate_transaction. Throws PoolRefusal for bytes that do not decode. */
  validity(bytes: Uint8Array): { readonly extrinsic: SignedExtrinsic; readonly refusal: Refusal | null } {
    const extrinsic = this.#decode(bytes);
    return { extrinsic, refusal: this.#verdict(extrinsic) };
  }

  #verdict(extrinsic: SignedExtrinsic): Refusal | null {
    const block = this.#chain.head.number + 1; // validated as if in the next block
    return this.#invalidity(this.#chain.headState, extrinsic, block) ?? this.#serveInvalidity(extrinsic, block);
  }

  /** Signature, nonce and fee: what every extrinsic must pass, in the pool and again in its block. */
  #invalidity(state: ChainState, extrinsic: SignedExtrinsic, block: number): Refusal | null {
    if (extrinsic.metadataHash) return CANNOT_LOOKUP; // this runtime was built without a metadata hash
    const birth = birthOf(extrinsic.era, block);
    const birthHash = birth >= block ? undefined : this.#chain.block(birth)?.hash;
    if (birthHash === undefined) return ANCIENT_BIRTH;
    const context = { runtime: state.runtime, genesisHash: this.#chain.genesisHash, birthHash };
    if (!hasGoodSignature(extrinsic, signedPayload(extrinsic, context))) return BAD_PROOF;
    if (extrinsic.nonce < nonceIn(state, extrinsic.signer)) return STALE;
    // Nobody has a balance here, so only the fee-free call gets through.
    return extrinsic.callName === SERVE_AXON && extrinsic.tip === 0n ? null : NO_FEE;
  }

  #serveInvalidity(extrinsic: SignedExtrinsic, block: number): Refusal | null {
    const { form, forced } = this.#rules;
    if (forced !== null && typeof forced === "object") return customRefusal(forced.poolCode);
    if (form === "dispatch") return null;
    const refusal = this.#serveRefusal(this.#chain.headState, extrinsic, block);
    return refusal === null ? null : customRefusal(POOL_CODES[refusal] ?? OTHER_POOL_CODE);
  }

  #serveRefusal(state: ChainState, extrinsic: SignedExtrinsic, block: number): string | null {
    const { forced } = this.#rules;
    if (typeof forced === "string") return forced;
    return serveRefusal(state, { hotkey: extrinsic.signer, call: serveCall(extrinsic), block });
  }

  #apply(state: ChainState, number: number): { extrinsics: Uint8Array[]; events: BlockEvent[] } {
    const extrinsics: Uint8Array[] = [];
    const events: BlockEvent[] = [];
    const later: Entry[] = [];
    const ordered = [...this.#waiting].sort((one, other) => one.extrinsic.nonce - other.extrinsic.nonce);
    for (const entry of ordered) {
      const { extrinsic } = entry;
      const refusal = this.#invalidity(state, extrinsic, number) ?? this.#stillServable(state, extrinsic, number);
      if (refusal !== null) {
        entry.record({ kind: "dropped", data: refusal.body.data ?? refusal.body.message });
        entry.watch("invalid");
      } else if (extrinsic.nonce > nonceIn(state, extrinsic.signer)) {
        later.push(entry);
      } else {
        extrinsics.push(extrinsic.bytes);
        events.push(...this.#execute(state, { entry, number, index: extrinsics.length }));
        this.#included.add(extrinsic.hash);
        this.#sealed.push(entry);
      }
    }
    this.#waiting = later;
    return { extrinsics, events };
  }

  /** In the pool's form the transaction extension checks once more, and a block does not take what has become wrong. */
  #stillServable(state: ChainState, extrinsic: SignedExtrinsic, number: number): Refusal | null {
    if (this.#rules.form === "dispatch") return null;
    const refusal = this.#serveRefusal(state, extrinsic, number);
    return refusal === null ? null : customRefusal(POOL_CODES[refusal] ?? OTHER_POOL_CODE);
  }

  /** `index`: the extrinsic's place in the block, after the inherent. */
  #execute(state: ChainState, { entry, number, index }: { entry: Entry; number: number; index: number }): BlockEvent[] {
    const { extrinsic } = entry;
    const account = { nonce: nonceIn(state, extrinsic.signer) + 1, consumers: 0, providers: 0, sufficients: 0 };
    state.set("system.account", [extrinsic.signer], account);
    const refusal = this.#serveRefusal(state, extrinsic, number);
    entry.record({ kind: "included", block: number, dispatchError: refusal });
    if (refusal !== null) return [failure(index, moduleError(state.runtime, "SubtensorModule", refusal))];
    const call = serveCall(extrinsic);
    serve(state, { hotkey: extrinsic.signer, call, block: number });
    const fields = [call.netuid, extrinsic.signer];
    return [{ extrinsic: index, pallet: "SubtensorModule", name: "AxonServed", fields }, success(index)];
  }

  /** Tells those who watch; to be called when the block is known. */
  announce(block: Block): void {
    const sealed = this.#sealed;
    this.#sealed = [];
    for (const { watch } of sealed) {
      watch({ inBlock: block.hash });
      watch({ finalized: block.hash });
    }
  }
}

export function nonceIn(state: ChainState, address: string): number {
  const account = state.read("system.account", address) as unknown as { readonly nonce: { toString(): string } };
  return Number(account.nonce.toString());
}
