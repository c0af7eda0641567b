import type { Codec } from "@polkadot/types-codec/types";
import { hexToU8a, u8aToHex } from "@polkadot/util";
import { hexOf, storageKey, typed, type Runtime } from "./runtime.ts";

/**
 * The chain's storage: SCALE bytes by hashed key, as a node has it. Names are those of @polkadot, `subtensorModule.axons`;
 * what is absent reads as the metadata's default. A block keeps its state for ever: change a copy.
 */
export class ChainState {
  readonly runtime: Runtime;
  readonly #values: Map<string, string>;

  constructor(runtime: Runtime, values: Iterable<readonly [string, string]> = []) {
    this.runtime = runtime;
    this.#values = new Map(values);
  }

  copy(runtime: Runtime = this.runtime): ChainState {
    return new ChainState(runtime, this.#values);
  }

  /** Hex SCALE bytes of a hashed key; null where nothing is stored. */
  raw(key: string): string | null {
    return this.#values.get(key) ?? null;
  }

  setRaw(key: string, value: string | null): void {
    if (value === null) this.#values.delete(key);
    else this.#values.set(key, value);
  }

  /** In the order of a trie. */
  keys(prefix: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  keysOf(name: string, ...args: readonly unknown[]): string[] {
    return this.keys(u8aToHex(this.runtime.entry(name).keyPrefix(...args)));
  }

  has(name: string, ...args: readonly unknown[]): boolean {
    return this.#values.has(storageKey(this.runtime.entry(name), args));
  }

  set(name: string, args: readonly unknown[], value: unknown): void {
    const entry = this.runtime.entry(name);
    this.#values.set(storageKey(entry, args), hexOf(typed(this.runtime, this.#valueType(name), value)));
  }

  delete(name: string, ...args: readonly unknown[]): void {
    this.#values.delete(storageKey(this.runtime.entry(name), args));
  }

  /** The stored value or the metadata's default, which for an optional item is nothing at all: ask `has` first. */
  read(name: string, ...args: readonly unknown[]): Codec {
    const entry = this.runtime.entry(name);
    const stored = this.#values.get(storageKey(entry, args));
    const bytes = stored === undefined ? entry.meta.fallback.toU8a(true) : hexToU8a(stored);
    return typed(this.runtime, this.#valueType(name), bytes);
  }

  bigint(name: string, ...args: readonly unknown[]): bigint {
    return BigInt(this.read(name, ...args).toString());
  }

  number(name: string, ...args: readonly unknown[]): number {
    return Number(this.bigint(name, ...args));
  }

  /** An account's ss58 address. */
  address(name: string, ...args: readonly unknown[]): string {
    return this.read(name, ...args).toString();
  }

  /** A stored vector; u64 as bigint and all else as JSON has it are both what `set` takes. */
  list<T extends boolean | number | bigint>(name: string, args: readonly unknown[], parse: (text: string) => T): T[] {
    const items: readonly Codec[] = [...(this.read(name, ...args) as Codec & Iterable<Codec>)];
    return items.map((item) => parse(item.toString()));
  }

  #valueType(name: string): number {
    const { type } = this.runtime.entry(name).meta;
    return (type.isPlain ? type.asPlain : type.asMap.value).toNumber();
  }
}

export const asBoolean = (text: string): boolean => text === "true";
