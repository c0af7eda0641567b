import { compactToU8a, u8aToHex } from "@polkadot/util";
import type { Clock } from "../../../src/clock.ts";
import { createBlock, type Block } from "./block.ts";
import { encodeCall, encodeEvents, type BlockEvent } from "./events.ts";
import { loadRuntime, storageKey, type Runtime } from "./runtime.ts";
import { ChainState } from "./state.ts";
import { setTaoWeight } from "./subnet.ts";

export interface ChainOptions {
  readonly name: string;
  readonly startBlock: number;
  readonly taoWeight: number;
  readonly genesisHash: string | null;
  readonly clock: Clock | null;
}

/** What the pool gives to a block under construction. */
export interface BlockWork {
  /** Bare bytes of what is included, after the inherents; called once, with the block's own state. */
  apply(
    state: ChainState,
    number: number,
  ): { readonly extrinsics: readonly Uint8Array[]; readonly events: readonly BlockEvent[] };
}

const BLOCK_MS = 12_000;
const START_MS = Date.parse("2026-07-04T00:00:00Z");
/** Nodes keep the states of 256 blocks. */
const KEPT_STATES = 256;
const ZERO_HASH = `0x${"00".repeat(32)}`;
const NO_EXTRINSICS: BlockWork = { apply: () => ({ extrinsics: [], events: [] }) };

/** Blocks that are final as soon as they exist, one after the other, without forks. */
export class Chain {
  readonly #blocks: Block[] = [];
  readonly #byHash = new Map<string, Block>();
  readonly #listeners = new Set<(block: Block) => void>();
  readonly #options: ChainOptions;
  #nextRuntime: Runtime | null = null;
  #open: { readonly state: ChainState; readonly number: number } | null = null;
  /** The pool's side of every new block. */
  work: BlockWork = NO_EXTRINSICS;

  constructor(options: ChainOptions) {
    this.#options = options;
    const state = new ChainState(loadRuntime());
    setTaoWeight(state, options.taoWeight);
    for (let number = 0; number <= options.startBlock; number += 1) this.#add(this.#historic(state, number));
  }

  /** Blocks before the test began: headers are real, and all have the genesis state. */
  #historic(state: ChainState, number: number): Block {
    const parentHash = this.#blocks.at(-1)?.hash ?? ZERO_HASH;
    const block = createBlock(state, {
      number,
      parentHash,
      extrinsics: [],
      slot: number,
      rootSeed: this.#options.name,
    });
    return number === 0 && this.#options.genesisHash !== null ? { ...block, hash: this.#options.genesisHash } : block;
  }

  get head(): Block {
    return this.#blocks.at(-1)!;
  }

  get headState(): ChainState {
    return this.#open?.state ?? this.head.state!;
  }

  get genesisHash(): string {
    return this.#blocks[0]!.hash;
  }

  block(id: string | number): Block | null {
    return (typeof id === "number" ? this.#blocks[id] : this.#byHash.get(id)) ?? null;
  }

  onBlock(listener: (block: Block) => void): void {
    this.#listeners.add(listener);
  }

  /** From the next block's state on. */
  upgrade(runtime: Runtime): void {
    this.#nextRuntime = runtime;
  }

  /** Changes the state in a block of its own, or in the one that `batch` has open. */
  change<T>(work: (state: ChainState, number: number) => T): T {
    if (this.#open !== null) return work(this.#open.state, this.#open.number);
    const result: { value?: T } = {};
    this.seal((state, number) => {
      result.value = work(state, number);
    });
    return result.value as T;
  }

  batch(work: () => void): void {
    this.seal((state, number) => {
      this.#open = { state, number };
      try {
        work();
      } finally {
        this.#open = null;
      }
    });
  }

  seal(change: (state: ChainState, number: number) => void = () => undefined): Block {
    if (this.#open !== null) throw new Error("a block cannot be sealed inside a batch");
    const parent = this.head;
    const number = parent.number + 1;
    const runtime = this.#nextRuntime ?? parent.state!.runtime;
    const state = parent.state!.copy(runtime);
    const nowMs = this.#options.clock?.nowMs() ?? START_MS + number * BLOCK_MS;
    initialize(state, { number, parentHash: parent.hash, nowMs });
    change(state, number);
    // The old runtime wrote the block that brings the new one.
    const author = parent.state!.runtime;
    const inherent = Uint8Array.of(4, ...encodeCall(author, "Timestamp", { name: "set", args: [nowMs] }));
    const { extrinsics, events } = this.work.apply(state, number);
    finalize(state, [success(0), ...events]);
    const slot = Math.floor(nowMs / BLOCK_MS);
    const content = {
      number,
      parentHash: parent.hash,
      extrinsics: [inherent, ...extrinsics],
      slot,
      rootSeed: this.#options.name,
    };
    const block = createBlock(state, content);
    this.#nextRuntime = null;
    this.#add(block);
    for (const listener of this.#listeners) listener(block);
    return block;
  }

  #add(block: Block): void {
    this.#blocks.push(block);
    this.#byHash.set(block.hash, block);
    const old = this.#blocks[block.number - KEPT_STATES];
    if (old !== undefined) old.state = null;
  }
}

function initialize(state: ChainState, block: { number: number; parentHash: string; nowMs: number }): void {
  state.set("system.number", [], block.number);
  state.set("system.parentHash", [], block.parentHash);
  state.set("system.blockHash", [block.number - 1], block.parentHash);
  state.set("timestamp.now", [], block.nowMs);
}

function finalize(state: ChainState, events: readonly BlockEvent[]): void {
  const key = storageKey(state.runtime.entry("system.events"), []);
  state.setRaw(key, u8aToHex(events.length === 0 ? compactToU8a(0) : encodeEvents(state.runtime, events)));
  state.set("system.eventCount", [], events.length);
}

const DISPATCH_INFO = { weight: { refTime: 0, proofSize: 0 }, class: "Normal", paysFee: "No" };

/** System.ExtrinsicSuccess */
export function success(extrinsic: number): BlockEvent {
  return { extrinsic, pallet: "System", name: "ExtrinsicSuccess", fields: [DISPATCH_INFO] };
}

/** System.ExtrinsicFailed */
export function failure(extrinsic: number, dispatchError: unknown): BlockEvent {
  return { extrinsic, pallet: "System", name: "ExtrinsicFailed", fields: [dispatchError, DISPATCH_INFO] };
}
