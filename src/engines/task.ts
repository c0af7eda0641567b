import type { BaselineInput } from "./baseline.ts";
import type { EwmaInput } from "./ewma/ewma.ts";
import type { LgbmInput } from "./lgbm/lgbm.ts";
import type { PatchTstInput } from "./patchtst/patchtst.ts";
import type { EngineName, ForecastRequest, HandOver } from "./engine.ts";

export type EngineInput = PatchTstInput | LgbmInput | EwmaInput | BaselineInput;

export function anchorPriceOf(input: EngineInput): number {
  switch (input.engine) {
    case "patchtst":
    case "lgbm":
      return input.base.anchorPrice;
    case "ewma":
      return input.model.anchorPrice;
    case "baseline":
      return input.anchorPrice;
  }
}

export function withAnchorPrice(input: EngineInput, anchorPrice: number): EngineInput {
  switch (input.engine) {
    case "patchtst":
    case "lgbm":
      return { ...input, base: { ...input.base, anchorPrice } };
    case "ewma":
      return { ...input, model: { ...input.model, anchorPrice } };
    case "baseline":
      return { ...input, anchorPrice };
  }
}

/** One forecast: plain data, recorded verbatim, so that a replay needs neither state nor network. Workers get it row by row. */
export interface ForecastTask {
  readonly request: ForecastRequest;
  /** Prepared inputs in route order; the first engine whose simulation succeeds answers. Never empty. */
  readonly inputs: readonly EngineInput[];
}

export interface ForecastResult {
  readonly engine: EngineName;
  readonly engineVersion: number;
  /** JSON text of `[start_timestamp, time_increment, path_1, …, path_n]`. */
  readonly simulationOutput: Uint8Array<ArrayBuffer>;
  /** Hex SHA-256 of simulationOutput. */
  readonly digest: string;
  /** CRC-32 of each path's JSON text (brackets included), so that a replay can name the paths that differ. */
  readonly pathChecksums: Uint32Array;
  /** Engines that failed while simulating (those that handed over in `prepare` are not here). */
  readonly handOvers: readonly HandOver[];
  readonly simulateMs: number;
  readonly encodeMs: number;
}
