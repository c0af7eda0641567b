import { horizonClass } from "../../engines/horizon.ts";
import { quantile } from "../../scoring/leaderboard.ts";
import { scoringRulesFor } from "../../scoring/intervals.ts";
import { scorePrompt } from "../../scoring/prompt-score.ts";
import { enginesOf, forecast, type Contestant } from "./contestant.ts";
import { realisedPrices } from "./data.ts";
import { originsOf, type BacktestSettings } from "./origin.ts";
import type { Chunk } from "./plan.ts";
import { FAN_PERCENTS, type ReportExample } from "./report.ts";

export interface ExampleTask {
  readonly kind: "example";
  /** Its last start is drawn; the earlier ones bring the state to the last bit of what was scored. */
  readonly chunk: Chunk;
  readonly contestant: Contestant;
  readonly settings: BacktestSettings;
}

const SAMPLE_PATHS = 5;
/** Digits of a price that a chart can show. */
const CHART_DIGITS = 7;

/** The fan of one prompt's paths against what happened. */
export async function drawExample({ chunk, contestant, settings }: ExampleTask): Promise<ReportExample> {
  const origin = [...originsOf(chunk, settings)].at(-1);
  if (origin === undefined) throw new RangeError("expected a chunk with a start");
  const { request, snapshot } = origin;
  const { asset, stepSeconds, horizonSeconds, numSimulations: pathCount } = request;
  const points = horizonSeconds / stepSeconds + 1;
  const realised = realisedPrices(chunk.source, { start: request.startTime, stepSeconds, points });
  const { paths } = await forecast(contestant, origin, enginesOf(settings));
  const { total } = scorePrompt({ paths, pathCount, realised, stepSeconds }, scoringRulesFor(request));
  const columns = Array.from({ length: points }, (_, point) =>
    Array.from({ length: pathCount }, (_, path) => paths[path * points + point]!),
  );
  return {
    asset,
    start: new Date(request.startTime * 1000).toISOString(),
    horizon: horizonClass(horizonSeconds),
    engine: contestant,
    resolution: chunk.source.resolution,
    stepSeconds,
    anchorPrice: snapshot.anchor.price,
    total,
    offsetsSeconds: columns.map((_, point) => point * stepSeconds),
    bands: FAN_PERCENTS.map((percent) => ({
      percent,
      prices: columns.map((column) => chartPrice(quantile(column, percent / 100))),
    })),
    realised: Array.from(realised, (price) => (Number.isNaN(price) ? null : chartPrice(price))),
    samplePaths: Array.from({ length: Math.min(SAMPLE_PATHS, pathCount) }, (_, path) =>
      Array.from(paths.subarray(path * points, (path + 1) * points), chartPrice),
    ),
  };
}

function chartPrice(price: number): number {
  return Number(price.toPrecision(CHART_DIGITS));
}
