import type { AssetSymbol } from "../market/assets.ts";
import type { UnixSeconds } from "../units.ts";
import type { VolatilityState } from "../volatility/state.ts";

export const ENGINE_NAMES = ["patchtst", "lgbm", "ewma", "baseline"] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** What is asked of an engine. `seed` is derived from the request, so that one request has one answer. */
export interface ForecastRequest {
  readonly asset: AssetSymbol;
  /** Unix seconds of point 0, possibly fractional seconds already floored. */
  readonly startTime: UnixSeconds;
  readonly horizonSeconds: number;
  readonly stepSeconds: number;
  readonly numSimulations: number;
  readonly seed: string;
}

/** The price the paths start from and where it came from; `ageSeconds` is relative to the market clock. */
export interface AnchorPrice {
  readonly price: number;
  readonly source: "binance" | "hyperliquid" | "pyth" | "last_close" | "reference";
  readonly ageSeconds: number | null;
}

/** What the stores know at request time. The three bad results of a load stay distinct. */
export type StateSnapshot =
  | { readonly status: "ok"; readonly state: VolatilityState; readonly ageSeconds: number; readonly identity: string }
  | {
      readonly status: "stale";
      readonly state: VolatilityState;
      readonly ageSeconds: number;
      readonly identity: string;
    }
  | { readonly status: "missing" }
  | { readonly status: "corrupt"; readonly reason: string };

export interface MarketSnapshot {
  readonly asset: AssetSymbol;
  readonly volatility: StateSnapshot;
  readonly anchor: AnchorPrice;
}

/** Why an engine passes a request on to the next row of its route. Logged, counted and recorded; never silent. */
export interface HandOver {
  readonly engine: EngineName;
  readonly code: string;
  readonly message: string;
}

export type Prepared<Input> =
  { readonly ok: true; readonly input: Input } | { readonly ok: false; readonly handOver: HandOver };

/**
 * A forecast in two halves. `prepare` is pure and cheap (event loop): it reduces the snapshot to the few numbers the
 * forecast depends on, which are recorded, or hands over. `simulate` runs in a worker thread and is a function of
 * (request, input) alone, so a recording replays to the same bytes.
 */
export interface Engine<Input extends { readonly engine: EngineName }> {
  readonly name: Input["engine"];
  /** Raised with every change that alters paths for the same input; recorded. */
  readonly version: number;
  prepare(request: ForecastRequest, snapshot: MarketSnapshot): Prepared<Input>;
  /** Prices, row-major [path, point], numSimulations rows of horizonSeconds / stepSeconds + 1 points. */
  simulate(request: ForecastRequest, input: Input): Float64Array | Promise<Float64Array>;
}
