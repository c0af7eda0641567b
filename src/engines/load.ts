import { existsSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock, type Clock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import { describeError } from "../errors.ts";
import { readEwmaCalibration, type EwmaCalibration } from "./ewma/calibration.ts";
import { coverageWarnings, readEvents, type ScheduledEvent } from "../market/events.ts";
import type { Recalibrations } from "./recalibration.ts";
import type { UnixSeconds } from "../units.ts";
import { sha256Of } from "./models/manifest.ts";
import { openModels } from "./models/source.ts";
import { createEngines, ROUTES, type Engines } from "./route.ts";
import { readRouting, routesOf, type Routes } from "./routing.ts";

const PACKAGE_ROOT = fileURLToPath(new URL("../..", import.meta.url));

export const EVENTS_FILE = "config/events.json";
/** What `scripts/train` exports, and what `backtest --propose-routing` makes of it. */
export const MODELS_FILE = "models/manifest.json";
export const ROUTING_FILE = "models/routing.json";

export interface EngineFiles {
  readonly calibration: EwmaCalibration | null;
  /** Of the calibration's file: a model corrects the sigmas of one alone. */
  readonly calibrationSha256: string | null;
  readonly events: readonly ScheduledEvent[];
  /** Files that could not be used, and why; what needs them falls back. */
  readonly problems: readonly string[];
}

/** What was learned offline, read once. A relative path is one of the package's. Never throws: a miner answers without. */
export function readEngineFiles({ calibration: path }: Pick<Config["engines"], "calibration">): EngineFiles {
  const problems: string[] = [];
  const read = <T>(reader: (path: string) => T, file: string, consequence: string): T | null => {
    try {
      return reader(isAbsolute(file) ? file : join(PACKAGE_ROOT, file));
    } catch (error) {
      problems.push(`${describeError(error)}; ${consequence}`);
      return null;
    }
  };
  const calibration =
    path === null
      ? null
      : read(
          (file) => ({ content: readEwmaCalibration(file), sha256: sha256Of(readFileSync(file)) }),
          path,
          "the plain EWMA answers",
        );
  return {
    calibration: calibration?.content ?? null,
    calibrationSha256: calibration?.sha256 ?? null,
    events: read(readEvents, EVENTS_FILE, "no scheduled event is looked at") ?? [],
    problems,
  };
}

/** What the operator should know of the table of events: that it cannot be read, or before it ends. */
export function eventWarnings(now: UnixSeconds): readonly string[] {
  const { events, problems } = readEngineFiles({ calibration: null });
  return problems.length > 0 ? problems : coverageWarnings(events, now);
}

/** The rows of models/routing.json; the built-in ones where it is missing, or cannot be read, which `onProblem` hears. */
function routesFrom(file: string, onProblem: (problem: string) => void): Routes {
  const path = isAbsolute(file) ? file : join(PACKAGE_ROOT, file);
  if (!existsSync(path)) return ROUTES;
  try {
    return routesOf(readRouting(path), ROUTES);
  } catch (error) {
    onProblem(`${describeError(error)}; requests are routed as built in`);
    return ROUTES;
  }
}

/** Where the files lie that no setting names, and the clock that paces looks at them. */
export interface ModelFiles {
  readonly manifest: string;
  readonly routing: string;
  readonly clock: Clock;
}

const SHIPPED: ModelFiles = { manifest: MODELS_FILE, routing: ROUTING_FILE, clock: systemClock };

/** The engines of a configuration; `onProblem` hears of every file that could not be used, of models also later. */
export function openEngines(
  config: { readonly engines: Pick<Config["engines"], "ewma" | "lgbm" | "calibration" | "rankMatching"> },
  onProblem: (problem: string) => void,
  recalibration: Recalibrations | null = null,
  files: Partial<ModelFiles> = {},
): Engines {
  const { manifest, routing, clock } = { ...SHIPPED, ...files };
  const { calibration, calibrationSha256, events, problems } = readEngineFiles(config.engines);
  problems.forEach(onProblem);
  const models = openModels({
    manifestFile: manifest,
    calibration: calibration && { content: calibration, sha256: calibrationSha256! },
    clock,
    onProblem,
  });
  return createEngines({
    choices: config.engines.ewma,
    calibration,
    events,
    recalibration: recalibration?.ewma ?? null,
    rankMatching: config.engines.rankMatching,
    routes: routesFrom(routing, onProblem),
    patchtst: { models, recalibration: recalibration?.patchtst ?? null },
    lgbm: { models, recalibration: recalibration?.lgbm ?? null, choices: config.engines.lgbm },
  });
}
