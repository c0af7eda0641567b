import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import type { StateSnapshot } from "../engines/engine.ts";
import { OperationalError, describeError, isErrno } from "../errors.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { unixMillis, type UnixMillis, type UnixSeconds } from "../units.ts";
import { decodeState, encodeState } from "../volatility/state-codec.ts";
import { newestCandle, type VolatilityState } from "../volatility/state.ts";
import { removeDeadTempFiles, writeFileAtomic } from "./atomic-file.ts";

export interface GoodState {
  readonly status: "ok";
  readonly state: VolatilityState;
  /** First 16 hex digits of the file's SHA-256: names the state in recordings. */
  readonly identity: string;
  readonly writtenAtMs: UnixMillis;
}

export type LoadedState =
  GoodState | { readonly status: "missing" } | { readonly status: "corrupt"; readonly reason: string };

/** Seven days of candles are half a megabyte; a file this large is not one of ours. */
const MAX_STATE_BYTES = 64 * 1024 * 1024;
/** Files of either kind kept per asset, for whoever looks into it; older ones go. */
const MAX_SET_ASIDE = 3;
/** How often a reader looks for a newer file. The updater writes once a minute. */
const RECHECK_MS = 500;

/** `<state dir>/volatility/<asset>.msgpack`. Only the updater saves and sets aside; anybody loads. */
export class VolatilityStore {
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#folder = join(stateDir, "volatility");
  }

  path(asset: AssetSymbol): string {
    return join(this.#folder, `${asset}.msgpack`);
  }

  /** Clears away what a killed writer left. For the one writer, before its first save. */
  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await removeDeadTempFiles(this.#folder);
  }

  async save(state: VolatilityState): Promise<void> {
    const path = this.path(state.asset);
    try {
      await writeFileAtomic(path, encodeState(state));
    } catch (cause) {
      const message = `Cannot write ${path}: ${describeError(cause)}`;
      throw new OperationalError("store/write_failed", message, { details: { path }, cause });
    }
  }

  /** Throws OperationalError `store/read_failed` when the file is there but the system does not let us read it. */
  load(asset: AssetSymbol): LoadedState {
    const path = this.path(asset);
    try {
      return loadFile(path, asset);
    } catch (cause) {
      if (isErrno(cause, "ENOENT")) return { status: "missing" };
      const message = `Cannot read ${path}: ${describeError(cause)}`;
      throw new OperationalError("store/read_failed", message, { details: { path }, cause });
    }
  }

  /**
   * Renames a file that is corrupt, or ahead of the clock, out of the way, so that it can be looked into or put back,
   * and returns its new path.
   */
  async setAside(asset: AssetSymbol, { as, atMs }: { as: "corrupt" | "ahead"; atMs: UnixMillis }): Promise<string> {
    const path = this.path(asset);
    const time = new Date(atMs).toISOString().replaceAll(/[-:.]/g, "");
    const target = `${path}.${as}-${time}`;
    await rename(path, target);
    const prefix = `${asset}.msgpack.${as}-`;
    const names = (await readdir(this.#folder)).filter((name) => name.startsWith(prefix)).sort();
    for (const name of names.slice(0, -MAX_SET_ASIDE)) await rm(join(this.#folder, name), { force: true });
    return target;
  }
}

/** One open file throughout, so that size, time and bytes are of one version. */
function loadFile(path: string, asset: AssetSymbol): LoadedState {
  const file = openSync(path, "r");
  try {
    const { size, mtimeMs } = fstatSync(file);
    if (size > MAX_STATE_BYTES) return { status: "corrupt", reason: `file has ${size} bytes` };
    const bytes = readFileSync(file);
    const decoded = decodeState(bytes);
    if (!decoded.ok) return { status: "corrupt", reason: decoded.reason };
    if (decoded.state.asset !== asset) {
      return { status: "corrupt", reason: `file holds the state of ${decoded.state.asset}` };
    }
    const identity = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    return { status: "ok", state: decoded.state, identity, writtenAtMs: unixMillis(mtimeMs) };
  } finally {
    closeSync(file);
  }
}

interface Known {
  checkedAtMs: number;
  /** Inode, size and modification time of the file that `current` came from; null where there was none. */
  stamp: string | null;
  current: LoadedState;
  /** What to serve while the file is damaged or away, until it is stale. */
  lastGood: GoodState | null;
}

/**
 * An axon's view of the updater's files. A file is read again only when it changed, which takes the event loop a few
 * milliseconds once a minute and asset.
 */
export class VolatilityReader {
  readonly #store: VolatilityStore;
  readonly #maxStateAgeSeconds: number;
  readonly #clock: Clock;
  readonly #known = new Map<AssetSymbol, Known>();

  /** `clock` paces the checks (wall time); ages are by the `nowSeconds` of each call (market time). */
  constructor(store: VolatilityStore, options: { maxStateAgeSeconds: number; clock: Clock }) {
    this.#store = store;
    this.#maxStateAgeSeconds = options.maxStateAgeSeconds;
    this.#clock = options.clock;
  }

  /** Never throws. The age counts from the close of the newest candle. */
  snapshot(asset: AssetSymbol, nowSeconds: UnixSeconds): StateSnapshot {
    const { current, lastGood } = this.#refresh(asset);
    const ageOf = ({ state }: GoodState): number => nowSeconds - (newestCandle(state)!.openTime + MINUTE_STEP_SECONDS);
    const good = current.status === "ok" ? current : lastGood;
    if (good === null) return current as Exclude<LoadedState, GoodState>;
    const { state, identity } = good;
    const ageSeconds = ageOf(good);
    if (ageSeconds <= this.#maxStateAgeSeconds) return { status: "ok", state, ageSeconds, identity };
    return current.status === "ok" ? { status: "stale", state, ageSeconds, identity } : current;
  }

  #refresh(asset: AssetSymbol): Known {
    const nowMs = this.#clock.nowMs();
    const before = this.#known.get(asset);
    if (before && Math.abs(nowMs - before.checkedAtMs) < RECHECK_MS) return before;
    const stamp = stampOf(this.#store.path(asset));
    if (before && stamp === before.stamp) {
      before.checkedAtMs = nowMs;
      return before;
    }
    const current = this.#load(asset);
    const lastGood = current.status === "ok" ? current : (before?.lastGood ?? null);
    const after = { checkedAtMs: nowMs, stamp, current, lastGood };
    this.#known.set(asset, after);
    return after;
  }

  #load(asset: AssetSymbol): LoadedState {
    try {
      return this.#store.load(asset);
    } catch (error) {
      return { status: "corrupt", reason: describeError(error) };
    }
  }
}

function stampOf(path: string): string | null {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    // Missing or unreadable: the load says which.
    return null;
  }
}
