/**
 * 24h prompts per second that the backtest forecasts and scores with the EWMA engine (1000 paths of 289 points,
 * simulation, score and PIT included), on generated minutes of BTC: the state advanced from origin to origin, and
 * rebuilt from scratch at each. Run: node test/bench/backtest.bench.ts [seconds of stride]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { runBacktest } from "../../src/evaluation/backtest/run.ts";
import { HISTORY_SECONDS, planPrompts } from "../../src/evaluation/backtest/plan.ts";
import { rollingPrompts } from "../../src/evaluation/backtest/prompts.ts";
import { backtestSettings, generatedMinutes, MONDAY, writeCandles } from "../support/candle-folder.ts";

const PROMPTS = 300;
const STRIDE_SECONDS = Number(process.argv[2] ?? 4500);
const DAY = 86_400;

const dir = await mkdtemp(join(tmpdir(), "backtest-bench-"));
try {
  const from = MONDAY + HISTORY_SECONDS + DAY;
  const to = from + PROMPTS * STRIDE_SECONDS + DAY;
  const candles = generatedMinutes("BTC", MONDAY, to + DAY);
  await writeCandles(dir, { asset: "BTC", resolution: "1m", candles });
  const prompts = rollingPrompts(["BTC"], { horizon: "24h", from, to, strideSeconds: STRIDE_SECONDS }).slice(
    0,
    PROMPTS,
  );
  const { chunks } = planPrompts(prompts, { dirs: [dir], minObserved: 0.5 });
  const apart = chunks.flatMap((chunk) =>
    chunk.starts.map((start) => ({ ...chunk, starts: [start], historyFrom: start - HISTORY_SECONDS })),
  );

  const rateOf = async (parts: typeof chunks): Promise<number> => {
    const startMs = performance.now();
    const { results } = await runBacktest({
      chunks: parts,
      contestants: ["ewma"],
      withOracle: false,
      settings: backtestSettings(1000),
      workers: availableParallelism(),
      signal: new AbortController().signal,
      onProgress: () => undefined,
    });
    return results.length / ((performance.now() - startMs) / 1000);
  };

  const rates = { incremental: await rateOf(chunks), scratch: await rateOf(apart) };
  const ratio = rates.incremental / rates.scratch;
  process.stdout.write(
    `${PROMPTS} 24h prompts, EWMA engine, ${availableParallelism()} workers, node ${process.version}; start of threads included\n` +
      `state advanced from origin to origin   ${rates.incremental.toFixed(1)} prompts/s\n` +
      `state rebuilt from scratch at each     ${rates.scratch.toFixed(1)} prompts/s\n` +
      `ratio                                  ${ratio.toFixed(2)}\n`,
  );
} finally {
  await rm(dir, { recursive: true });
}
