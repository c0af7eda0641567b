import {
  LEGEND_GAP_PX,
  roundExtent,
  valueAxis,
  categoryAxis,
  type Chart,
  type Coordinates,
  type Extent,
} from "./chart.ts";
import { INK } from "./style.ts";

export interface RatioRow {
  readonly label: string;
  readonly ratios: readonly Ratio[];
}

export interface Ratio {
  /** Name of the series. */
  readonly against: string;
  readonly ratio: number | null;
  readonly ratioLow?: number | null;
  readonly ratioHigh?: number | null;
}

export interface RatioSeries {
  readonly against: string;
  readonly colour: string;
}

/** Shape tells the series apart where colour does not. */
const SYMBOLS = ["circle", "rect", "triangle", "diamond"];
const SERIES_GAP_PX = 13;

/** One axis for all engines, so that charts can be compared by eye. */
export function ratioExtent(rows: readonly RatioRow[]): Extent {
  const values = rows.flatMap(({ ratios }) => ratios.flatMap((one) => [one.ratio, one.ratioLow, one.ratioHigh]));
  return roundExtent([1, ...values.filter((value) => typeof value === "number")]);
}

export interface RatioChart {
  readonly title: string;
  readonly description: string;
  readonly rows: readonly RatioRow[];
  readonly series: readonly RatioSeries[];
  readonly extent: Extent;
}

/** A dot for each ratio of means, with its 95 % interval as a whisker; the line at 1 means "as good as the baseline". */
export function ratioChart({ title, description, rows, series, extent }: RatioChart): Chart {
  const rowHeight = SERIES_GAP_PX * (series.length + 1);
  return {
    title,
    description,
    width: 900,
    height: 95 + rowHeight * rows.length,
    option: {
      grid: { left: 130, right: 30, top: 40, bottom: 55 },
      legend: {
        top: 5,
        itemGap: LEGEND_GAP_PX,
        textStyle: { color: INK },
        data: series.map(({ against }, i) => ({ name: against, icon: SYMBOLS[i % SYMBOLS.length] })),
      },
      xAxis: valueAxis("score divided by the baseline's score (below 1: better)", 30, extent, String),
      yAxis: categoryAxis(rows.map(({ label }) => label)),
      series: series.flatMap((one, i) =>
        seriesOf(one, rows, { index: i, offset: (i - (series.length - 1) / 2) * SERIES_GAP_PX }),
      ),
    },
  };
}

function seriesOf(
  { against, colour }: RatioSeries,
  rows: readonly RatioRow[],
  place: { index: number; offset: number },
): object[] {
  const found = rows.flatMap(({ ratios }, row) => {
    const one = ratios.find((candidate) => candidate.against === against);
    return one === undefined || one.ratio === null ? [] : [{ row, ...one }];
  });
  const whiskers = found.flatMap(({ row, ratioLow, ratioHigh }) =>
    typeof ratioLow === "number" && typeof ratioHigh === "number" ? [{ row, ratioLow, ratioHigh }] : [],
  );
  const dots = {
    type: "scatter",
    name: against,
    silent: true,
    data: found.map(({ row, ratio }) => [ratio, row]),
    symbol: SYMBOLS[place.index % SYMBOLS.length],
    symbolSize: 9,
    symbolOffset: [0, place.offset],
    itemStyle: { color: colour, opacity: 1 },
    markLine: {
      silent: true,
      symbol: "none",
      label: { show: false },
      lineStyle: { color: INK, type: "dashed", width: 1 },
      data: [{ xAxis: 1 }],
    },
  };
  const lines = {
    type: "custom",
    silent: true,
    data: whiskers.map(({ row, ratioLow }) => [ratioLow, row]),
    renderItem: ({ dataIndex }: { dataIndex: number }, api: Coordinates) => {
      const { row, ratioLow, ratioHigh } = whiskers[dataIndex]!;
      const [x1, y] = api.coord([ratioLow, row]);
      const [x2] = api.coord([ratioHigh, row]);
      const shape = { x1, x2, y1: y + place.offset, y2: y + place.offset };
      return { type: "line", shape, style: { stroke: colour, lineWidth: 2.5 } };
    },
  };
  return [lines, dots];
}
