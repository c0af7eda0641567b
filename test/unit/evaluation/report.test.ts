import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { BacktestReport, ReportAggregate } from "../../../src/evaluation/backtest/report.ts";
import { roundExtent } from "../../../src/evaluation/report/chart.ts";
import { html } from "../../../src/evaluation/report/html.ts";
import { horizonViews, pooledCalibration, pooledSplits } from "../../../src/evaluation/report/pooled.ts";
import { renderReport } from "../../../src/evaluation/report/render.ts";
import { ASSETS } from "../../../src/market/assets.ts";
import { emptyReport, exampleReport } from "../../support/backtest-report.ts";

const NASTY = `</title></svg><script>alert("x")</script><img src=x onerror='alert(1)'>&`;

describe("escaping", () => {
  it("never lets a string open a tag, close an attribute or start an entity", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const { markup } = html`${text}`;
        assert.doesNotMatch(markup, /[<>"']|&(?!(?:amp|lt|gt|quot|#39);)/);
      }),
    );
  });

  it("keeps every string of the report out of the markup, in text, attributes and charts", async () => {
    const page = await renderReport(renamed(exampleReport(), NASTY));
    assert.ok(page.includes("&lt;script&gt;alert("));
    assert.doesNotMatch(page, /<(?:script|img|link|iframe|object|embed|base|form)\b/i);
    assert.doesNotMatch(page.replaceAll(/"[^"]*"/g, '""'), /<[^>]*\son\w+=/i);
  });
});

describe("one self-contained file", () => {
  it("refers to nothing outside itself and holds no script", async () => {
    const page = await renderReport(exampleReport());
    assert.doesNotMatch(page, /https?:|\bsrc=|url\(|@import|<script|<link/i);
    for (const [, target] of page.matchAll(/href="([^"]*)"/g)) assert.match(target!, /^#/);
    assert.match(page, /Content-Security-Policy" content="default-src &#39;none&#39;/);
  });

  it("has unique ids, and a target for every link, label and aria reference", async () => {
    const page = await renderReport(exampleReport());
    const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id!);
    assert.equal(new Set(ids).size, ids.length);
    for (const [, id] of page.matchAll(/(?:href="#|for="|aria-labelledby=")([^"]*)"/g))
      assert.ok(ids.includes(id!), id);
  });

  it("is the same for the same report, however many were rendered before", async () => {
    assert.equal(await renderReport(exampleReport()), await renderReport(exampleReport()));
  });
});

describe("summary", () => {
  it("says in plain words what was tested, on which data, who wins and by how much", async () => {
    const words = textOf(await renderReport(exampleReport()));
    for (const phrase of [
      "The forecaster ewma had to simulate 1,000 possible price paths of BTC and ETH",
      "612 times with starts from 2025-10-01 00:00 UTC to 2025-12-31 00:00 UTC",
      "5-minute candles (24h) and 1-minute candles (1h)",
      "ewma has the lowest mean score, 981.64 bps over 2 assets",
      "score 8.4 % below that of the reference miner (95 % interval: 7.1 % below to 9.7 % below)",
    ]) {
      assert.ok(words.includes(phrase), phrase);
    }
  });

  it("names a baseline that beats the engines, but never the oracle, as the winner", async () => {
    const report = exampleReport();
    for (const row of report.totals) if (row.engine === "ewma") row.weightedScore = 2000;
    const words = textOf(await renderReport(report));
    assert.match(words, /The baseline trailing3d has the lowest mean score/);
  });

  it("says so when the interval holds 1", async () => {
    const report = exampleReport();
    report.totals[0]!.comparisons[0]!.ratioHigh = 1.01;
    assert.match(textOf(await renderReport(report)), /to 9\.7 % below, so the difference may be chance/);
  });

  it("warns where another engine answered, for that engine only", async () => {
    const words = textOf(await renderReport(exampleReport()));
    assert.equal(words.split("Careful: another engine answered 3 of its 306 prompts").length, 2 + 1);
    const report = exampleReport();
    for (const row of report.aggregates) row.handOvers = {};
    assert.doesNotMatch(textOf(await renderReport(report)), /Careful/);
  });

  it("announces a partial report, and only that", async () => {
    const prompts = { planned: 620, scored: 301, skipped: [] };
    const partial = textOf(await renderReport(exampleReport({ partial: true, prompts })));
    assert.match(partial, /Partial report\. The run was interrupted after 301 of 620 planned prompts/);
    assert.match(partial, /319 were not reached/);
    assert.doesNotMatch(textOf(await renderReport(exampleReport())), /partial|interrupted/i);
  });
});

describe("charts", () => {
  it("have a name, a description, axis labels with units and a legend", async () => {
    const page = await renderReport(exampleReport());
    const charts = [...page.matchAll(/<svg\b([^>]*)>([\s\S]*?)<\/svg>/g)];
    // Per horizon: one fan, one by asset, one by split, PIT of four forecasters for changes and final prices.
    assert.equal(charts.length, 2 * (1 + 1 + 1 + 8));
    for (const [, attributes, content] of charts) {
      assert.match(attributes!, /role="img" aria-label="[^"]+"/);
      assert.match(content!, /^<title>[^<]+<\/title><desc>[^<]+<\/desc>/);
      assert.doesNotMatch(content!, /NaN|Infinity|undefined/);
    }
    for (const label of ["price of BTC (US dollars)", "hours after the start", "minutes after the start"]) {
      assert.ok(page.includes(`>${label}</text>`), label);
    }
    for (const entry of ["98 % of paths", "what happened", "median", "reference", "trailing3d", "oracle"]) {
      assert.ok(page.includes(`>${entry}</text>`), entry);
    }
  });

  it("take every series colour from the style sheet, so that they follow light and dark", async () => {
    const page = await renderReport(exampleReport());
    const shapes = [...page.matchAll(/<(?:polygon|line|path|rect)\b[^>]*>/g)].map(([shape]) => shape);
    assert.ok(shapes.filter((shape) => shape.includes("var(--c0)")).length > 20);
    const fixed = shapes.filter((shape) => /stroke="#(?!b7b9be)/.test(shape) && !/stroke-width="0"/.test(shape));
    assert.deepEqual(fixed, []);
  });

  it("offer each example prompt once, the first one chosen, with a bound on their number", async () => {
    const report = exampleReport();
    assert.equal(radios(await renderReport(report)).length, 2);
    const [first] = report.examples;
    report.examples = Array.from({ length: 30 }, (_, i) => ({ ...first!, start: `2025-10-${String(i + 1)}` }));
    const page = await renderReport(report);
    assert.equal(radios(page).length, 24);
    assert.equal(radios(page).filter((radio) => radio.includes("checked")).length, 1);
    assert.match(textOf(page), /6 further examples in the JSON report/);
  });
});

describe("tables", () => {
  it("hold the numbers of the report", async () => {
    const page = await renderReport(exampleReport());
    const cells = new Set([...page.matchAll(/<t[dh][^>]*>([^<]*)<\/t[dh]>/g)].map(([, cell]) => cell!.trim()));
    for (const cell of [
      "981.23",
      "1,071.45",
      "951.23",
      "30.00",
      "0.9158\n0.9035 to 0.9292",
      "-90.22",
      "-3.21",
      "0.002",
      "51.2 %",
      "98.6 %",
      "0.4300 %",
      "ewma → baseline: state/too_short",
      "the instrument changes inside the prompt (segment border)",
    ]) {
      assert.ok(cells.has(cell), cell);
    }
    assert.match(page, /24h prompts of BTC ran on 5-minute candles/);
  });
});

describe("a report with little in it", () => {
  it("renders without a single scored prompt", async () => {
    const words = textOf(await renderReport(emptyReport()));
    assert.match(words, /No prompt was scored, so there is no result/);
    assert.match(words, /The report holds no example prompt/);
  });

  it("renders where nothing could be computed", async () => {
    const page = await renderReport(withoutNumbers(exampleReport()));
    assert.doesNotMatch(textOf(page), /null|NaN|undefined|Infinity/);
    assert.match(page, /Nothing could be averaged/);
  });
});

describe("pooling over assets", () => {
  const [view] = horizonViews(exampleReport());

  it("counts every observation once", () => {
    const rows = view!.aggregates.filter(({ engine }) => engine === "ewma");
    const pooled = pooledCalibration(rows, "change");
    assert.equal(pooled.observations, rows[0]!.calibration.change.observations * 2);
    assert.deepEqual(
      pooled.pitHistogram,
      rows[0]!.calibration.change.pitHistogram.map((count) => 2 * count),
    );
    assert.equal(pooled.coverage["80"], 0.8077);
    assert.equal(pooledCalibration([], "change").coverage["80"], null);
  });

  it("weights splits by the assets' coefficients, over the assets that both have", () => {
    const report = exampleReport();
    const low = (engine: string, asset: string): ReportAggregate["splits"][number] =>
      report.aggregates.find((row) => row.engine === engine && row.asset === asset)!.splits[0]!;
    low("ewma", "BTC").meanScore = 100;
    low("ewma", "ETH").meanScore = 300;
    low("reference", "BTC").meanScore = 200;
    low("reference", "ETH").meanScore = null;
    const [split] = pooledSplits(horizonViews(report)[0]!, "ewma");
    const { coefficient } = ASSETS.ETH;
    assert.equal(split!.weightedScore, (100 + 300 * coefficient) / (1 + coefficient));
    assert.deepEqual(split!.ratios[0], { baseline: "reference", ratio: 0.5 });
  });
});

describe("axis of round numbers", () => {
  it("holds all values between at most 12 ticks", () => {
    const value = fc.double({ min: -1e9, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const { min, max, interval } = roundExtent(values);
        const slack = 1e-9 * Math.max(Math.abs(min), Math.abs(max));
        for (const one of values) assert.ok(one >= min - slack && one <= max + slack, `${one} in ${min}..${max}`);
        assert.ok((max - min) / interval < 12 && max > min);
      }),
    );
  });

  it("is what a reader would choose", () => {
    assert.deepEqual(roundExtent([0.913, 1, 1.021]), { min: 0.9, max: 1.05, interval: 0.05 });
    assert.deepEqual(roundExtent([95_612, 104_310]), { min: 94_000, max: 106_000, interval: 2000 });
  });
});

function radios(page: string): string[] {
  return [...page.matchAll(/<input\s+type="radio"[^>]*>/g)].map(([radio]) => radio);
}

/** The words that a reader sees, spaces as in a browser. */
function textOf(page: string): string {
  return page
    .replace(/<style>[\s\S]*?<\/style>/g, "")
    .replace(/<[^>]*>/g, "")
    .replace(/\s+/g, " ");
}

/** Every free string replaced by `text`. */
function renamed(report: BacktestReport, text: string): BacktestReport {
  const { metadata } = report;
  Object.assign(metadata, {
    created: text,
    commandLine: text,
    packageVersion: text,
    gitCommit: text,
    nodeVersion: text,
  });
  Object.assign(metadata, {
    from: text,
    to: text,
    promptsFile: text,
    dataDirs: [text],
    notes: [text],
    engines: [text],
  });
  for (const skipped of metadata.prompts.skipped) Object.assign(skipped, { asset: text, horizon: text });
  for (const row of [...report.aggregates, ...report.totals, ...report.examples]) {
    if (row.engine === "ewma") row.engine = text;
  }
  for (const row of report.aggregates) Object.assign(row, { handOvers: { [text]: 1 }, meanByInterval: { [text]: 1 } });
  for (const one of report.examples) one.start = text;
  return report;
}

function withoutNumbers(report: BacktestReport): BacktestReport {
  for (const row of report.totals) {
    row.weightedScore = null;
    for (const one of row.comparisons) Object.assign(one, { ratio: null, ratioLow: null, ratioHigh: null });
  }
  for (const row of report.aggregates) {
    Object.assign(row, { meanScore: null, meanPriceCrps: null, meanVolatilityCrps: null, meanByInterval: {} });
    row.comparisons = [];
    for (const split of row.splits) Object.assign(split, { meanScore: null, ratios: [] });
    for (const one of Object.values(row.calibration)) {
      one.observations = 0;
      one.coverage = { "50": null, "80": null, "95": null, "99": null };
      one.pitHistogram.fill(0);
    }
  }
  for (const one of report.examples) one.realised.fill(null);
  return report;
}
