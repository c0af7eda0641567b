import type { ReportExample } from "../backtest/report.ts";
import { LEGEND_GAP_PX, roundExtent, valueAxis, type Chart, type Coordinates, type Extent } from "./chart.ts";
import { priceText, scoreText, timeText } from "./format.ts";
import { HAPPENED, INK, MUTED } from "./style.ts";

export interface Band {
  /** Fraction of the paths inside, in percent. */
  readonly percent: number;
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** Pairs the quantiles p and 100 - p; the widest band first. */
export function centralBands({ bands }: ReportExample): Band[] {
  return bands
    .filter(({ percent }) => percent < 50)
    .flatMap(({ percent, prices }) => {
      const opposite = bands.find((band) => band.percent === 100 - percent);
      return opposite === undefined ? [] : [{ percent: 100 - 2 * percent, low: prices, high: opposite.prices }];
    })
    .sort((a, b) => b.percent - a.percent);
}

/** One axis for all engines of a prompt, so that their fans can be compared by eye. */
export function priceExtent(examples: readonly ReportExample[]): Extent {
  return roundExtent(
    examples.flatMap(({ bands, realised, samplePaths }) => [
      ...samplePaths.slice(0, MAX_SAMPLE_PATHS).flat(),
      ...bands.flatMap(({ prices }) => prices),
      ...realised.filter((price) => price !== null),
    ]),
  );
}

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3600;

export function fanChart(example: ReportExample, prices: Extent, colour: string): Chart {
  const last = example.offsetsSeconds.at(-1) ?? 0;
  const unit = last > 2 * HOUR_SECONDS ? HOUR_SECONDS : MINUTE_SECONDS;
  const times = example.offsetsSeconds.map((seconds) => seconds / unit);
  const series = fanSeries(example, times, colour);
  const { asset, engine } = example;
  const ticks = unit === HOUR_SECONDS ? 3 : 10;
  return {
    title: `${asset}, ${timeText(example.start)}: forecast of ${engine} and what happened`,
    description:
      `Bands hold the central shares of the simulated prices; the dark line is the price that happened. ` +
      `Score ${scoreText(example.total)} bps.`,
    width: 900,
    height: 380,
    option: {
      grid: { left: 90, right: 20, top: 50, bottom: 50 },
      legend: {
        top: 5,
        itemGap: LEGEND_GAP_PX,
        textStyle: { color: INK },
        data: series
          .filter(({ name }) => name !== SAMPLE)
          // The library draws a dot on a line in the legend, even if the line has none.
          .map(({ name, type }) => (type === "line" ? { name, itemStyle: { opacity: 0 } } : { name })),
      },
      xAxis: valueAxis(
        unit === HOUR_SECONDS ? "hours after the start" : "minutes after the start",
        30,
        { min: 0, max: last / unit || 1, interval: ticks },
        String,
      ),
      yAxis: valueAxis(`price of ${asset} (US dollars)`, 70, prices, priceText),
      series,
    },
  };
}

interface Series {
  readonly name: string;
  readonly type: "line" | "custom";
}

const SAMPLE = "sample path";
/** More would hide the bands. */
const MAX_SAMPLE_PATHS = 5;
/** Leaves the lines visible on the innermost band. */
const MAX_BAND_OPACITY = 0.85;

function fanSeries(example: ReportExample, times: readonly number[], colour: string): Series[] {
  const bands = centralBands(example);
  const median = example.bands.find(({ percent }) => percent === 50);
  return [
    ...bands.map((band, i) => bandSeries(band, times, { colour, layer: i + 1, layers: bands.length })),
    ...example.samplePaths
      .slice(0, MAX_SAMPLE_PATHS)
      .map((path) => lineSeries(SAMPLE, times, path, { color: MUTED, width: 0.7, opacity: 0.6 })),
    ...(median === undefined
      ? []
      : [lineSeries("median", times, median.prices, { color: colour, width: 1.5, type: "dashed" })]),
    lineSeries("what happened", times, example.realised, { color: HAPPENED, width: 2 }),
  ];
}

function lineSeries(name: string, times: readonly number[], values: readonly (number | null)[], style: object): Series {
  const line = {
    data: times.map((time, i) => [time, values[i] ?? null]),
    symbol: "none",
    clip: false,
    silent: true,
    lineStyle: style,
    itemStyle: style,
  };
  return { name, type: "line", ...line };
}

interface BandLook {
  readonly colour: string;
  /** 1 is the widest band. */
  readonly layer: number;
  readonly layers: number;
}

/** Bands lie on each other: what shows, and stands in the legend, is the opacity of all layers up to this one. */
function bandSeries(band: Band, times: readonly number[], { colour, layer, layers }: BandLook): Series {
  const outline = [
    ...times.map((time, i) => [time, band.high[i]!]),
    ...times.map((time, i) => [time, band.low[i]!]).reverse(),
  ];
  const opacity = MAX_BAND_OPACITY / layers;
  const polygon = {
    silent: true,
    data: [[0, 0]],
    itemStyle: { color: colour, opacity: 1 - (1 - opacity) ** layer },
    renderItem: (_: unknown, api: Coordinates) => ({
      type: "polygon",
      shape: { points: outline.map((point) => api.coord(point)) },
      style: { fill: colour, opacity },
    }),
  };
  return { name: `${String(Math.round(band.percent))} % of paths`, type: "custom", ...polygon };
}
