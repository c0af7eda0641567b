import { BASELINE_NAMES, BASELINE_TEXTS, type BaselineName } from "../backtest/report.ts";

const MISSING = "–";
const SCORE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2, minimumFractionDigits: 2 });
const COUNT = new Intl.NumberFormat("en-US");

export function scoreText(bps: number | null): string {
  return bps === null ? MISSING : SCORE.format(bps);
}

export function countText(count: number): string {
  return COUNT.format(count);
}

/** Four decimals: differences of 0.1 % are what engines compete for. */
export function ratioText(ratio: number | null): string {
  return ratio === null ? MISSING : ratio.toFixed(4);
}

export function intervalText({ ratioLow, ratioHigh }: { ratioLow: number | null; ratioHigh: number | null }): string {
  return ratioLow === null || ratioHigh === null ? MISSING : `${ratioText(ratioLow)} to ${ratioText(ratioHigh)}`;
}

export function percentText(fraction: number | null): string {
  return fraction === null ? MISSING : `${(100 * fraction).toFixed(1)} %`;
}

export function pValueText(p: number | null): string {
  if (p === null) return MISSING;
  return p < 0.001 ? "< 0.001" : p.toFixed(3);
}

/** Prices from fractions of a cent to hundreds of thousands of dollars. */
export function priceText(price: number | null): string {
  if (price === null) return MISSING;
  return price.toLocaleString("en-US", price >= 1000 ? { maximumFractionDigits: 1 } : { maximumSignificantDigits: 6 });
}

/** `2025-10-01T12:05:00Z` → `2025-10-01 12:05 UTC`; other spellings unchanged. */
export function timeText(iso: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)$/.exec(iso);
  return match === null ? iso : `${match[1]!} ${match[2]!} UTC`;
}

/** `3 prompts`, `1 prompt`. */
export function counted(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listText(items: readonly string[]): string {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)!}`;
}

const BASELINE_LABELS: Readonly<Record<BaselineName, string>> = {
  reference: "the reference miner",
  trailing3d: "the trailing 3-day Gaussian",
  oracle: "the oracle constant",
};

export function baselineLabel(name: BaselineName): string {
  return BASELINE_LABELS[name];
}

export function isBaselineName(name: string): name is BaselineName {
  return BASELINE_NAMES.some((baseline) => baseline === name);
}

const ENGINE_TEXTS: ReadonlyMap<string, string> = new Map([
  ["ewma", "follows the recent volatility with an exponentially weighted average; heavy-tailed random steps"],
  ["patchtst", "a neural network (patch transformer) trained offline"],
  ["lgbm", "gradient-boosted trees trained offline: the EWMA's paths with their middle and scale corrected"],
  ["lgbm/no-centre", "the same trees without their correction of the middle"],
  ["lgbm/no-residual", "the same trees without their correction of the scale"],
  ["baseline", "constant volatility per asset: the miner's last resort"],
]);

/** What a forecaster does, in plain words; nothing for a name unknown here. */
export function forecasterText(name: string): string {
  return isBaselineName(name) ? BASELINE_TEXTS[name] : (ENGINE_TEXTS.get(name) ?? "");
}
