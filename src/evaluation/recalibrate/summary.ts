import type { Clock } from "../../clock.ts";
import {
  loadRecalibration,
  recalibrationPath,
  type LengthStatistics,
  type RecalibrationSeries,
} from "../../store/recalibration-store.ts";

/** What a list shows of one length's factor. */
export interface FactorSummary
  extends
    Pick<RecalibrationSeries, "asset" | "horizon" | "engine" | "engineVersion" | "calibration" | "prompts">,
    Pick<LengthStatistics, "seconds" | "factor" | "basis" | "raw" | "effectiveBlocks"> {
  /** Since the end of the newest prompt counted. */
  readonly ageSeconds: number;
}

export type RecalibrationSummary =
  | {
      readonly status: "ok";
      readonly path: string;
      readonly writtenAt: string;
      readonly rows: readonly FactorSummary[];
    }
  | { readonly status: "missing" | "corrupt"; readonly path: string; readonly reason: string | null };

/** `clock` is the market's. Throws OperationalError `store/read_failed`. */
export function summariseRecalibration(stateDir: string, clock: Clock): RecalibrationSummary {
  const path = recalibrationPath(stateDir);
  const loaded = loadRecalibration(stateDir);
  if (loaded.status === "missing") return { status: "missing", path, reason: "score-recordings has not run yet" };
  if (loaded.status === "corrupt") return { status: "corrupt", path, reason: loaded.reason };
  const nowSeconds = clock.nowMs() / 1000;
  const rows = loaded.state.series.flatMap(({ lengths, newestEnd, ...series }) => {
    const ageSeconds = Math.round(nowSeconds - newestEnd);
    return lengths.map(({ seconds, factor, basis, raw, effectiveBlocks }) => {
      return { ...series, seconds, factor, basis, raw, effectiveBlocks, ageSeconds };
    });
  });
  return { status: "ok", path, writtenAt: loaded.state.writtenAt, rows };
}
