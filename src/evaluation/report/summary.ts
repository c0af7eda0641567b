import type { BacktestReport, ReportTotal } from "../backtest/report.ts";
import {
  baselineLabel,
  counted,
  countText,
  forecasterText,
  isBaselineName,
  listText,
  scoreText,
  timeText,
} from "./format.ts";
import { html, type Html } from "./html.ts";
import { aggregatesOf, handedOver, horizonViews, type HorizonView } from "./pooled.ts";

/** The answer in plain words, for somebody who reads nothing else. */
export function summary(report: BacktestReport): Html {
  const views = horizonViews(report);
  const findings = views.map(
    (view) =>
      html`<p><strong>Result, ${view.horizon} prompts.</strong> ${verdict(view)}</p>
        <ul>
          ${view.engines.map((engine) => html`<li>${margins(view, engine)}</li>`)}
        </ul>`,
  );
  const nothing =
    views.length === 0 ? html`<p><strong>No prompt was scored, so there is no result.</strong></p>` : html``;
  return html`${partialNotice(report)}
    <section class="summary" aria-labelledby="summary">
      <h2 id="summary">In short</h2>
      <p><strong>What was tested.</strong> ${tested(report)}</p>
      <p><strong>How the score works.</strong> ${scoreWords(report)}</p>
      ${findings}${nothing}
    </section>`;
}

function partialNotice({ metadata: { partial, prompts } }: BacktestReport): Html {
  if (!partial) return html``;
  return html`<p class="warning" role="note">
    <strong>Partial report.</strong> The run was interrupted after ${countText(prompts.scored)} of
    ${countText(prompts.planned)} planned prompts. What is here is sound, but it is not all that was asked for.
  </p>`;
}

function tested({ metadata }: BacktestReport): string {
  const { engines, baselines, assets, resolutions, prompts, from, to } = metadata;
  const horizons = [...new Set(resolutions.map(({ horizon }) => horizon))];
  const lengths = horizons.map((horizon) => (horizon === "24h" ? "the next 24 hours" : "the next hour"));
  const candles = resolutions.map(
    ({ horizon, resolution }) => `${resolution.replace("m", "-minute")} candles (${horizon})`,
  );
  return [
    `The forecaster${engines.length === 1 ? "" : "s"} ${listText(engines)} had to simulate`,
    ` ${countText(metadata.pathsPerPrompt)} possible price paths of ${listText(assets)}`,
    lengths.length === 0 ? "" : ` for ${listText(lengths)}`,
    `, ${counted(prompts.scored, "time")}`,
    from === null || to === null ? "" : ` with starts from ${timeText(from)} to ${timeText(to)}`,
    ", each time knowing no more than was known a minute before the start (one such task is a “prompt”).",
    " What then happened was read from recorded market data",
    candles.length === 0 ? "" : `, ${listText([...new Set(candles)])}`,
    `. For comparison the same prompts went to ${counted(baselines.length, "simple baseline")}`,
    baselines.length === 0 ? "." : `: ${listText(baselines.map(baselineLabel))}.`,
  ].join("");
}

/** Three sentences. */
function scoreWords({ metadata }: BacktestReport): string {
  const hasVolatility = metadata.resolutions.some(({ horizon }) => horizon === "1h");
  return [
    "The score is the one that the validators of the Synth subnet compute, the CRPS (continuous ranked probability",
    "score): the average distance between the simulated price changes and the real one, less half the average distance",
    "among the simulated ones, so a forecast does well only if it is both close and as uncertain as it should be.",
    "It is summed over price changes of several lengths",
    hasVolatility ? "(for 1h prompts, over the volatility inside the hour as well)," : "and given",
    "in basis points (bps, hundredths of a percent).",
    "Lower is better; a ratio of 0.95 to a baseline means a score 5 % below that baseline's on the same prompts.",
  ].join(" ");
}

/** Best first. */
export function ranked(totals: readonly ReportTotal[]): (ReportTotal & { weightedScore: number })[] {
  return totals
    .flatMap((row) => (row.weightedScore === null ? [] : [{ ...row, weightedScore: row.weightedScore }]))
    .sort((a, b) => a.weightedScore - b.weightedScore);
}

/** The oracle knows the span in advance: it is a yardstick, not a competitor. */
function verdict(view: HorizonView): string {
  const order = ranked(view.totals);
  const [best, next] = order.filter(({ engine }) => engine !== "oracle");
  if (best === undefined) return "Nothing could be averaged over the assets.";
  const name = isBaselineName(best.engine) ? `The baseline ${best.engine}` : best.engine;
  const lead = next === undefined ? "" : `, ahead of ${next.engine} with ${scoreText(next.weightedScore)} bps`;
  const oracle = order.find(({ engine }) => engine === "oracle");
  const hindsight =
    oracle === undefined
      ? ""
      : ` The oracle, which picks its one constant with hindsight, comes to ${scoreText(oracle.weightedScore)} bps.`;
  return (
    `${name} has the lowest mean score, ${scoreText(best.weightedScore)} bps over ` +
    `${counted(best.assets.length, "asset")} weighted as on the subnet's leaderboard${lead}.${hindsight}`
  );
}

function margins(view: HorizonView, engine: string): Html {
  const texts = view.totals.find((row) => row.engine === engine)?.comparisons.map(marginText) ?? [];
  const about = forecasterText(engine);
  const comparison = texts.length === 0 ? "no comparison with a baseline could be made" : texts.join("; ");
  const rows = aggregatesOf(view, engine);
  const others = handedOver(rows);
  const prompts = rows.reduce((total, row) => total + row.prompts, 0);
  const caution =
    others === 0
      ? html``
      : html` <strong
          >Careful: another engine answered ${countText(others)} of its ${counted(prompts, "prompt")}.</strong
        >`;
  return html`<strong>${engine}</strong>${about === "" ? "" : ` (${about})`}: ${comparison}.${caution}`;
}

function marginText({ baseline, ratio, ratioLow, ratioHigh }: ReportTotal["comparisons"][number]): string {
  const against = baselineLabel(baseline);
  if (ratio === null) return `no ratio to ${against}`;
  const margin = `score ${percentBelow(ratio)} that of ${against}`;
  if (ratioLow === null || ratioHigh === null) return `${margin} (too little data for an interval)`;
  const doubt = ratioLow <= 1 && ratioHigh >= 1 ? ", so the difference may be chance" : "";
  return `${margin} (95 % interval: ${percentBelow(ratioHigh)} to ${percentBelow(ratioLow)}${doubt})`;
}

/** `2.0 % below` for 0.98. Two decimals below 1 %, where engines compete. */
function percentBelow(ratio: number): string {
  const percent = Math.abs(100 * (ratio - 1));
  return `${percent.toFixed(percent < 1 ? 2 : 1)} % ${ratio <= 1 ? "below" : "above"}`;
}
