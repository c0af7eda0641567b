import type { BacktestReport } from "../backtest/report.ts";

/**
 * The report as one HTML file that needs nothing else: charts are inline SVG drawn here, styles are inline, and there is
 * no script. Loads the chart library (0.2 s) only when called, so that other commands start without it.
 */
export async function renderReport(report: BacktestReport): Promise<string> {
  const { renderPage } = await import("./page.ts");
  return renderPage(report);
}
