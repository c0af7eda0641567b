import type { EChartsCoreOption } from "echarts/core";
import { CustomChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { html, trusted, type Html } from "./html.ts";
import { GRID, INK, MUTED } from "./style.ts";

use([CustomChart, LineChart, ScatterChart, GridComponent, LegendComponent, MarkLineComponent, SVGRenderer]);

/** The library guesses text widths; fonts wider than its guess must not run into the next entry. */
export const LEGEND_GAP_PX = 28;

export interface Chart {
  /** What a screen reader says first. */
  readonly title: string;
  /** What the chart shows, in a sentence or two. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  readonly option: EChartsCoreOption;
}

/** Draws on the server: the file holds plain SVG and needs no script. */
export function chartSvg({ title, description, width, height, option }: Chart): Html {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: "inherit", color: INK }, ...option });
    return html`<div class="chart">${described(chart.renderToSVGString(), title, description)}</div>`;
  } finally {
    // An undisposed chart keeps the process alive.
    chart.dispose();
  }
}

/**
 * The library's SVG with a name and a description, without what only its browser runtime reads (hover styles,
 * metadata), namespaces (HTML knows svg) and clip paths (axes hold all data; their ids differ from call to call). Text in it is escaped, so that a quoted attribute is never part of a text.
 */
function described(svg: string, title: string, description: string): Html {
  const plain = svg
    .replaceAll(/<(style|defs)\b[\s\S]*?<\/\1>/g, "")
    .replaceAll(/ (?:class|clip-path|pointer-events|ecmeta_\w+|xmlns(?::\w+)?|baseProfile|version)="[^"]*"/g, "");
  const start = plain.indexOf(">") + 1;
  const name = html`<title>${title}</title><desc>${description}</desc>`;
  const label = html` role="img" aria-label="${title}">`;
  return trusted(plain.slice(0, start - 1) + label.markup + name.markup + plain.slice(start));
}

/** What a custom series is drawn with: data to pixels. */
export interface Coordinates {
  coord(point: readonly number[]): [number, number];
}

export interface Extent {
  readonly min: number;
  readonly max: number;
  readonly interval: number;
}

/** Closer values are drawn as equal: tick labels show no more digits, in prices (US dollars) or in ratios. */
const MIN_RELATIVE_SPAN = 1e-4;
const MIN_SPAN = 1e-9;

/** The smallest axis of round numbers (steps of 1, 2 or 5 times a power of ten, about five of them) over `values`. */
export function roundExtent(values: readonly number[]): Extent {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return { min: 0, max: 1, interval: 0.2 };
  const span = Math.max(high - low, Math.abs(high) * MIN_RELATIVE_SPAN, MIN_SPAN);
  const power = 10 ** Math.floor(Math.log10(span / 5));
  const interval = power * ([1, 2, 5].find((factor) => factor * power >= span / 5) ?? 10);
  const min = Math.floor(low / interval);
  const max = Math.max(Math.ceil(high / interval), min + 1);
  return { min: rounded(min * interval), max: rounded(max * interval), interval };
}

/** 0.1 + 0.2 shows as 0.3. */
function rounded(value: number): number {
  return Number(value.toPrecision(12));
}

/** An axis of numbers with a name in the middle; `gap`: pixels between the axis and its name. */
export function valueAxis(name: string, gap: number, extent: Extent, label: (value: number) => string): object {
  return {
    ...axis(name, gap),
    type: "value",
    ...extent,
    splitLine: { lineStyle: { color: GRID } },
    axisLabel: { color: MUTED, formatter: label, hideOverlap: true },
  };
}

export function categoryAxis(categories: readonly string[]): object {
  return {
    ...axis("", 0),
    type: "category",
    inverse: true,
    data: [...categories],
    axisTick: { show: false },
    splitLine: { show: true, lineStyle: { color: GRID } },
    axisLabel: { color: INK, interval: 0 },
  };
}

function axis(name: string, gap: number): object {
  return {
    name,
    nameLocation: "middle",
    nameGap: gap,
    nameTextStyle: { color: MUTED },
    axisLine: { show: true, lineStyle: { color: MUTED } },
  };
}
