import { headerJson, type Block } from "./block.ts";
import type { ExtrinsicStatus } from "./pool.ts";
import { blockAt, runtimeVersionJson, submitExtrinsic, type Node, type Params } from "./rpc.ts";

/** The JSON-RPC methods that go on telling. One of these per connection. */

/** What a method has to say: its answer, and what follows once that is on its way. */
export interface Opened {
  readonly id: string;
  readonly afterAnswer: () => void;
}

interface Subscription {
  /** Called for every block. */
  readonly onBlock: (block: Block) => void;
}

const KINDS: readonly (readonly [notification: string, opening: readonly string[], closing: readonly string[]])[] = [
  ["author_extrinsicUpdate", ["author_submitAndWatchExtrinsic"], ["author_unwatchExtrinsic"]],
  ["chain_allHead", ["chain_subscribeAllHeads"], ["chain_unsubscribeAllHeads"]],
  [
    "chain_finalizedHead",
    ["chain_subscribeFinalizedHeads", "chain_subscribeFinalisedHeads"],
    ["chain_unsubscribeFinalizedHeads", "chain_unsubscribeFinalisedHeads"],
  ],
  [
    "chain_newHead",
    ["chain_subscribeNewHeads", "chain_subscribeNewHead"],
    ["chain_unsubscribeNewHeads", "chain_unsubscribeNewHead"],
  ],
  ["state_runtimeVersion", ["state_subscribeRuntimeVersion"], ["state_unsubscribeRuntimeVersion"]],
  ["state_storage", ["state_subscribeStorage"], ["state_unsubscribeStorage"]],
];
const NOTIFICATIONS = new Map(KINDS.flatMap(([notification, opening]) => opening.map((name) => [name, notification])));
const CLOSING = new Set(KINDS.flatMap(([, , closing]) => closing));

export const SUBSCRIPTION_METHODS: readonly string[] = [...NOTIFICATIONS.keys(), ...CLOSING];

/** Real time from the inclusion to the word of finality: clients ask for the block's events in between, and so see both. */
const FINALITY_MS = 25;
const MAX_SUBSCRIPTIONS = 1024;

export class Subscriptions {
  readonly #node: Node;
  readonly #notify: (method: string, id: string, result: unknown) => void;
  readonly #open = new Map<string, Subscription>();
  #next = 0;

  constructor(node: Node, notify: (method: string, id: string, result: unknown) => void) {
    this.#node = node;
    this.#notify = notify;
  }

  isOpening(method: string): boolean {
    return NOTIFICATIONS.has(method);
  }

  isClosing(method: string): boolean {
    return CLOSING.has(method);
  }

  close(id: string): boolean {
    return this.#open.delete(id);
  }

  onBlock(block: Block): void {
    for (const subscription of this.#open.values()) subscription.onBlock(block);
  }

  /** Throws RpcError for a refused extrinsic or a bad parameter. */
  open(method: string, params: Params): Opened {
    if (this.#open.size >= MAX_SUBSCRIPTIONS) throw new Error("a double has no room for so many subscriptions");
    this.#next += 1;
    const id = `double${this.#next}`;
    const notification = NOTIFICATIONS.get(method)!;
    const tell = (result: unknown): void => {
      if (this.#open.has(id)) this.#notify(notification, id, result);
    };
    const afterAnswer = this.#start(method, params, { id, tell });
    return { id, afterAnswer };
  }

  #start(method: string, params: Params, { id, tell }: { id: string; tell: (result: unknown) => void }): () => void {
    switch (method) {
      case "author_submitAndWatchExtrinsic":
        return this.#watchExtrinsic(params, { id, tell });
      case "state_subscribeRuntimeVersion":
        return this.#watchRuntime({ id, tell });
      case "state_subscribeStorage":
        return this.#watchStorage(params.texts(0), { id, tell });
      default: {
        const tellHead = (): void => {
          tell(headerJson(this.#node.view.head()));
        };
        this.#open.set(id, { onBlock: tellHead });
        return tellHead;
      }
    }
  }

  #watchExtrinsic(params: Params, { id, tell }: { id: string; tell: (result: unknown) => void }): () => void {
    const watch = (status: ExtrinsicStatus): void => {
      if (typeof status === "string" || !("finalized" in status)) {
        tell(status);
        if (status === "invalid") this.#open.delete(id);
        return;
      }
      setTimeout(() => {
        tell(status);
        this.#open.delete(id);
      }, FINALITY_MS).unref();
    };
    const { announce } = submitExtrinsic(this.#node, params.bytes(0), watch);
    this.#open.set(id, { onBlock: () => undefined });
    return () => {
      announce();
      this.#node.sealWaiting();
    };
  }

  #watchRuntime({ id, tell }: { id: string; tell: (result: unknown) => void }): () => void {
    let told = -1;
    const tellVersion = (): void => {
      const state = this.#node.view.head().state;
      if (state === null || state.runtime.specVersion === told) return;
      told = state.runtime.specVersion;
      tell(runtimeVersionJson(state));
    };
    this.#open.set(id, { onBlock: tellVersion });
    return tellVersion;
  }

  #watchStorage(keys: readonly string[], { id, tell }: { id: string; tell: (result: unknown) => void }): () => void {
    const told = new Map<string, string | null>();
    const tellChanges = (): void => {
      const block = blockAt(this.#node, null);
      const state = this.#node.view.state(block);
      if (state === null) return;
      const changes = keys
        .map((key) => [key, state.raw(key)] as const)
        .filter(([key, value]) => {
          return !told.has(key) || told.get(key) !== value;
        });
      for (const [key, value] of changes) told.set(key, value);
      if (changes.length > 0) tell({ block: block.hash, changes });
    };
    this.#open.set(id, { onBlock: tellChanges });
    return tellChanges;
  }
}
