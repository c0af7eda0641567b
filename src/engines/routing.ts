import { readFileSync } from "node:fs";
import { z } from "zod";
import { describeError, OperationalError } from "../errors.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../market/assets.ts";
import { ENGINE_NAMES, type EngineName } from "./engine.ts";
import type { HorizonClass } from "./horizon.ts";

/** Engines in the order they are asked. */
export type Row = readonly [...EngineName[], "baseline"];
export type Routes = Readonly<Record<AssetSymbol, Readonly<Record<HorizonClass, Row>>>>;

/**
 * What `backtest --propose-routing` writes (models/routing.json): the engines of an asset and horizon in order, and the scores
 * that they are in this order for. What it does not list is routed as built in.
 */
const cell = z.strictObject({
  order: z
    .array(z.enum(ENGINE_NAMES))
    .min(1)
    .refine((names) => new Set(names).size === names.length, "expected every engine once")
    .refine((names) => names.at(-1) === "baseline", "expected the baseline at last"),
  /** Mean score over the EWMA engine's, with the 95 % interval of a bootstrap by days. */
  evidence: z.array(
    z.strictObject({
      engine: z.enum(ENGINE_NAMES),
      prompts: z.int().min(0),
      ratio: z.number().nullable(),
      low: z.number().nullable(),
      high: z.number().nullable(),
    }),
  ),
  /** The backtest that says so. */
  commandLine: z.string(),
});

const routingFile = z.strictObject({
  schema: z.literal(1),
  routes: z.partialRecord(z.enum(ASSET_SYMBOLS), z.strictObject({ "1h": cell.optional(), "24h": cell.optional() })),
});

export type RoutingCell = z.infer<typeof cell>;
export type RoutingFile = z.infer<typeof routingFile>;

/** Throws OperationalError `routing/unreadable`, `routing/corrupt`. */
export function readRouting(path: string): RoutingFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new OperationalError("routing/unreadable", `${path}: ${describeError(cause)}`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new OperationalError("routing/corrupt", `${path}: ${describeError(cause)}`, { cause });
  }
  const parsed = routingFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const message = `${path}: expected what \`backtest --propose-routing\` writes (${issue.path.join(".")}: ${issue.message})`;
  throw new OperationalError("routing/corrupt", message);
}

/** The file's rows, and the built-in ones for what it does not list. */
export function routesOf({ routes }: RoutingFile, builtIn: Routes): Routes {
  const row = (asset: AssetSymbol, horizon: HorizonClass): Row =>
    (routes[asset]?.[horizon]?.order as Row | undefined) ?? builtIn[asset][horizon];
  return Object.fromEntries(
    ASSET_SYMBOLS.map((asset) => [asset, { "1h": row(asset, "1h"), "24h": row(asset, "24h") }]),
  ) as Record<AssetSymbol, Record<HorizonClass, Row>>;
}
