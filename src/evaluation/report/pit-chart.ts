import type { ReportCalibration } from "../backtest/report.ts";
import { roundExtent, valueAxis, type Chart, type Coordinates } from "./chart.ts";
import { counted } from "./format.ts";
import { INK } from "./style.ts";

/** Each bin's count as a multiple of the count that a calibrated forecast expects there. */
export function relativeFrequencies({ observations, pitHistogram }: ReportCalibration): number[] {
  return pitHistogram.map((count) => (observations === 0 ? 0 : (count * pitHistogram.length) / observations));
}

export function pitChart(engine: string, quantity: string, calibration: ReportCalibration, look: PitLook): Chart {
  const frequencies = relativeFrequencies(calibration);
  const width = 1 / frequencies.length;
  return {
    title: `PIT histogram of ${engine}, ${quantity}`,
    description: `Where ${counted(calibration.observations, "observation")} fell within the simulated values, in ${frequencies.length} bins; all bars at 1 is perfect.`,
    width: 320,
    height: 220,
    option: {
      grid: { left: 50, right: 12, top: 14, bottom: 48 },
      xAxis: valueAxis("share of paths below what happened", 28, { min: 0, max: 1, interval: 0.25 }, String),
      yAxis: valueAxis("frequency (1 = ideal)", 34, roundExtent([0, look.maxFrequency]), String),
      series: [
        {
          type: "custom",
          silent: true,
          data: frequencies.map((frequency, bin) => [bin * width, frequency]),
          renderItem: ({ dataIndex }: { dataIndex: number }, api: Coordinates) => {
            const [x, y] = api.coord([dataIndex * width, frequencies[dataIndex]!]);
            const [right, bottom] = api.coord([(dataIndex + 1) * width, 0]);
            const shape = { x: x + 0.5, y, width: Math.max(right - x - 1, 0), height: bottom - y };
            return { type: "rect", shape, style: { fill: look.colour } };
          },
          markLine: {
            silent: true,
            symbol: "none",
            label: { show: false },
            lineStyle: { color: INK, type: "dashed", width: 1 },
            data: [{ yAxis: 1 }],
          },
        },
      ],
    },
  };
}

export interface PitLook {
  readonly colour: string;
  /** Shared by the histograms of a row, so that they can be compared by eye. */
  readonly maxFrequency: number;
}
