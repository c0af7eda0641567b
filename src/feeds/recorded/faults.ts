import { z } from "zod";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../market/assets.ts";

export const API_NAMES = ["binance", "hyperliquid", "pythHistory", "pythHermes", "pythLazer"] as const;
export type ApiName = (typeof API_NAMES)[number];

const scope = {
  /** Only requests whose answer holds this asset; absent: all. */
  asset: z.enum(ASSET_SYMBOLS).optional(),
  /** Requests after which the fault is over; absent: until cleared. */
  count: z.int().positive().optional(),
};
const unixTime = z.int().min(0);
const delayMs = z.int().min(0).max(600_000);

/** What can go wrong with a feed, on request. Times are market time, unix seconds. */
export const faultSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("delay"), delayMs, ...scope }),
  /** 429; `retryAfter` in seconds or as an HTTP-date. */
  z.strictObject({
    kind: z.literal("rate_limit"),
    retryAfter: z.union([z.number().min(0), z.string()]).optional(),
    ...scope,
  }),
  /** 451. */
  z.strictObject({ kind: z.literal("geo_block"), ...scope }),
  z.strictObject({ kind: z.literal("server_error"), status: z.int().min(400).max(599).default(500), ...scope }),
  /** The socket is destroyed in the middle of the body. */
  z.strictObject({ kind: z.literal("cut"), ...scope }),
  z.strictObject({ kind: z.literal("bad_json"), ...scope }),
  /** Minutes with open times in [from, to) are missing. */
  z.strictObject({ kind: z.literal("gap"), from: unixTime, to: unixTime, ...scope }),
  /** Nothing is known after `at` (default: when the fault was set). */
  z.strictObject({ kind: z.literal("stale"), at: unixTime.optional(), ...scope }),
  /** From `at` on (default: when the fault was set) the price of that instant is repeated. */
  z.strictObject({ kind: z.literal("frozen"), at: unixTime.optional(), ...scope }),
]);

export type Fault = z.infer<typeof faultSchema>;
/** As callers may write it: defaults left out. */
export type FaultInput = z.input<typeof faultSchema>;
export type FaultKind = Fault["kind"];
export type FaultOf<Kind extends FaultKind> = Extract<Fault, { kind: Kind }>;

interface Entry {
  readonly fault: Fault;
  readonly setAtSeconds: number;
  remaining: number;
}

/** More than any test needs. */
const MAX_FAULTS = 100;

/** The faults in force, per API. A new one replaces that of the same kind and asset. */
export class FaultBoard {
  readonly #entries: Record<ApiName, Entry[]> = {
    binance: [],
    hyperliquid: [],
    pythHistory: [],
    pythHermes: [],
    pythLazer: [],
  };

  set(api: ApiName, input: FaultInput, nowSeconds: number): void {
    const fault = faultSchema.parse(input);
    const others = this.#entries[api].filter(
      (entry) => entry.fault.kind !== fault.kind || entry.fault.asset !== fault.asset,
    );
    const entry = { fault, setAtSeconds: nowSeconds, remaining: fault.count ?? Infinity };
    this.#entries[api] = [...others, entry].slice(-MAX_FAULTS);
  }

  clear(api: ApiName): void {
    this.#entries[api] = [];
  }

  list(api: ApiName): readonly Fault[] {
    return this.#entries[api].map(({ fault }) => fault);
  }

  find<Kind extends FaultKind>(
    api: ApiName,
    kind: Kind,
    assets: readonly AssetSymbol[],
  ): { readonly fault: FaultOf<Kind>; readonly setAtSeconds: number } | null {
    const entry = this.#entries[api].find(({ fault }) => fault.kind === kind && touches(fault, assets));
    return entry ? { fault: entry.fault as FaultOf<Kind>, setAtSeconds: entry.setAtSeconds } : null;
  }

  /** One request for these assets has been answered: counted faults that it met come closer to their end. */
  spend(api: ApiName, assets: readonly AssetSymbol[]): void {
    for (const entry of this.#entries[api]) if (touches(entry.fault, assets)) entry.remaining -= 1;
    this.#entries[api] = this.#entries[api].filter(({ remaining }) => remaining > 0);
  }
}

function touches(fault: Fault, assets: readonly AssetSymbol[]): boolean {
  return fault.asset === undefined || assets.includes(fault.asset);
}
