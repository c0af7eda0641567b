import type { Faults } from "./api.ts";
import type { Block } from "./block.ts";
import type { Chain } from "./chain.ts";
import type { ChainState } from "./state.ts";
import { deregisterNeuron, emptySubnet, subnetsOf, truncateVectors, uidOf } from "./subnet.ts";

/** The chain as this node tells of it: with no faults, as it is. Lies about the state are made on a copy, so that all reads agree. */
export class NodeView {
  readonly #chain: Chain;
  readonly #chainName: string;
  #faults: Faults = {};
  #headAtFault = 0;
  #states = new WeakMap<ChainState, ChainState>();

  constructor(chain: Chain, chainName: string) {
    this.#chain = chain;
    this.#chainName = chainName;
  }

  get faults(): Faults {
    return this.#faults;
  }

  setFaults(faults: Faults): void {
    this.#faults = faults;
    this.#headAtFault = this.#chain.head.number;
    this.#states = new WeakMap();
  }

  get chainName(): string {
    return this.#faults.chain ?? this.#chainName;
  }

  /** The claimed head. */
  head(): Block {
    const { head } = this.#chain;
    if (this.#faults.head === undefined) return head;
    const since = head.number - this.#headAtFault;
    const claimed = this.#headAtFault - (this.#faults.head === "backwards" ? since : 0);
    return this.#chain.block(Math.max(claimed, 0))!;
  }

  blockHash(number: number): string | null {
    if (number === 0) return this.#faults.genesisHash ?? this.#chain.genesisHash;
    return number > this.head().number ? null : (this.#chain.block(number)?.hash ?? null);
  }

  block(hash: string): Block | null {
    return hash === this.#faults.genesisHash ? this.#chain.block(0) : this.#chain.block(hash);
  }

  /** Null where the state is pruned. */
  state(block: Block): ChainState | null {
    const { state } = block;
    if (state === null) return null;
    const { metagraph, deniedHotkeys = [] } = this.#faults;
    if (metagraph === undefined && deniedHotkeys.length === 0) return state;
    const known = this.#states.get(state);
    if (known !== undefined) return known;
    const lie = state.copy();
    for (const netuid of subnetsOf(state)) {
      for (const hotkey of deniedHotkeys) {
        if (uidOf(lie, netuid, hotkey) !== null) deregisterNeuron(lie, netuid, { hotkey, block: block.number });
      }
      if (metagraph === "empty") emptySubnet(lie, netuid);
      if (metagraph === "truncated") truncateVectors(lie, netuid);
      if (metagraph === "missing") lie.delete("subtensorModule.networksAdded", netuid);
    }
    this.#states.set(state, lie);
    return lie;
  }
}
