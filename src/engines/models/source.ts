import { statSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../clock.ts";
import { describeError } from "../../errors.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import type { UnixMillis } from "../../units.ts";
import type { EwmaCalibration, HorizonCalibration } from "../ewma/calibration.ts";
import type { HorizonClass } from "../horizon.ts";
import { openCheckThread, referenceOf, type ModelChecker } from "./check.ts";
import type { ModelCheck } from "./golden.ts";
import {
  modelPath,
  problemOf,
  readManifest,
  type EntryOf,
  type ModelEntry,
  type ModelKind,
  type ModelManifest,
  type ModelName,
  type ModelProblem,
  type ModelReference,
} from "./manifest.ts";

/** A model that was checked, ready to be asked. */
export interface ServedModel<Kind extends ModelKind = ModelKind> {
  readonly reference: ModelReference;
  readonly entry: EntryOf<Kind>;
  /** Of the calibration that it corrects. */
  readonly horizon: HorizonCalibration;
}

/** The models of all trained engines. */
export interface ModelSource {
  /** The model of the kind that serves the asset now, or why there is none. */
  find<Kind extends ModelKind>(
    kind: Kind,
    asset: AssetSymbol,
    horizon: HorizonClass,
  ): ServedModel<Kind> | ModelProblem;
  /** When everything installed has been checked once. */
  whenReady(): Promise<void>;
}

export interface ModelSourceOptions {
  /** As seen from the package, or absolute. */
  readonly manifestFile: string;
  /** The calibration in use, whose sigmas the models correct; null: none, and no model is used. */
  readonly calibration: { readonly sha256: string; readonly content: EwmaCalibration } | null;
  /** Paces the looks at the manifest. */
  readonly clock: Clock;
  /** Hears once of every model that cannot be used. */
  readonly onProblem: (problem: string) => void;
  /** Asked for one at every manifest that is read. */
  readonly openChecker?: () => ModelChecker;
}

const RECHECK_MS = 10_000;
/** After a failure, when the manifest is what it was. */
const RETRY_MS = 300_000;
const OTHER_CALIBRATION = "model/other_calibration";
/** What another look would find again: no manifest, and models of another calibration. */
const SETTLED: ReadonlySet<string> = new Set(["model/loading", OTHER_CALIBRATION]);

/**
 * The models of a manifest. It is looked at every ten seconds at most, when a forecast is asked for; what is new in it is
 * checked beside the running models (what is the same is not), and a model that fails its checks leaves its predecessor where
 * it is. A failure that may pass is looked at again after five minutes.
 */
export function openModels(options: ModelSourceOptions): ModelSource {
  const { manifestFile, calibration, clock, onProblem, openChecker = openCheckThread } = options;
  const served = new Map<ModelName, ServedModel>();
  let manifest: ModelManifest | ModelProblem = { code: "model/loading", message: "models are still being checked" };
  const problems = new Map<ModelName, ModelProblem>();
  let stamp: string | null | undefined;
  const tell = once(onProblem);
  let lookedAtMs = -Infinity as UnixMillis;
  let loadedAtMs = -Infinity as UnixMillis;
  let loading: Promise<void> | null = null;

  function look(): void {
    const nowMs = clock.nowMs();
    if (loading !== null || Math.abs(nowMs - lookedAtMs) < RECHECK_MS) return;
    lookedAtMs = nowMs;
    const current = stampOf(manifestFile);
    if (current === stamp && !isRetryDue({ manifest, problems }, nowMs - loadedAtMs)) return;
    stamp = current;
    loadedAtMs = nowMs;
    loading = load()
      .catch((error: unknown) => {
        tell(`models were not looked at: ${describeError(error)}`);
      })
      .finally(() => {
        loading = null;
      });
  }

  async function load(): Promise<void> {
    const next = manifestOrProblem(manifestFile);
    if ("code" in next) {
      // Nothing installed is how things stand; a manifest that went away or broke is an event, and may be back at the next look.
      if (served.size > 0 || next.code !== "model/not_installed") tell(consequence(next, served.size > 0));
      if (served.size === 0) manifest = next;
      stamp = undefined;
      return;
    }
    for (const name of served.keys()) if (!(name in next.models)) served.delete(name);
    const checker = openChecker();
    try {
      for (const [name, entry] of Object.entries(next.models)) await install(name as ModelName, entry, checker);
    } finally {
      checker.close();
    }
    manifest = next;
  }

  async function install(name: ModelName, entry: ModelEntry, checker: ModelChecker): Promise<void> {
    const before = served.get(name);
    if (isDeepStrictEqual(before?.entry, entry)) {
      problems.delete(name);
      return;
    }
    const checked = await checkedModel({ name, entry, manifestFile }, calibration, checker);
    if (!("code" in checked)) {
      served.set(name, checked);
      problems.delete(name);
      return;
    }
    problems.set(name, checked);
    // Another calibration is a choice, which every hand-over names; losing a running model to it is an event.
    if (checked.code !== OTHER_CALIBRATION || before !== undefined) tell(consequence(checked, before !== undefined));
  }

  return {
    find: (kind, asset, horizon) => {
      look();
      return findModel({ served, manifest, problems }, kind, asset, horizon);
    },
    whenReady: async () => {
      look();
      await loading;
    },
  };
}

function manifestOrProblem(path: string): ModelManifest | ModelProblem {
  try {
    return readManifest(path);
  } catch (error) {
    return problemOf(error);
  }
}

async function checkedModel(
  model: Omit<ModelCheck, "horizon">,
  calibration: ModelSourceOptions["calibration"],
  checker: ModelChecker,
): Promise<ServedModel | ModelProblem> {
  const { name, entry } = model;
  const horizon = calibration?.content.horizons[entry.horizon] ?? null;
  if (horizon === null || calibration?.sha256 !== entry.calibrationSha256) {
    return { code: OTHER_CALIBRATION, message: `${name} corrects another calibration than the one in use` };
  }
  return (await checker.check({ ...model, horizon })) ?? { reference: referenceOf(model), entry, horizon };
}

/** A file that was not there yet, or a check that ran out of time, gets another chance. */
function isRetryDue({ manifest, problems }: Omit<Found, "served">, sinceMs: number): boolean {
  const failed = [...("code" in manifest ? [manifest] : []), ...problems.values()];
  return failed.some(({ code }) => !SETTLED.has(code)) && Math.abs(sinceMs) >= RETRY_MS;
}

/** Each problem once, however often it is found again. */
function once(onProblem: (problem: string) => void): (problem: string) => void {
  const told = new Set<string>();
  return (problem) => {
    if (told.has(problem)) return;
    told.add(problem);
    onProblem(problem);
  };
}

interface Found {
  readonly served: ReadonlyMap<ModelName, ServedModel>;
  readonly manifest: ModelManifest | ModelProblem;
  readonly problems: ReadonlyMap<ModelName, ModelProblem>;
}

function findModel<Kind extends ModelKind>(
  { served, manifest, problems }: Found,
  kind: Kind,
  asset: AssetSymbol,
  horizon: HorizonClass,
): ServedModel<Kind> | ModelProblem {
  const isFor = (entry: ModelEntry): entry is EntryOf<Kind> =>
    entry.kind === kind && entry.horizon === horizon && entry.assets.some((one) => one === asset);
  for (const { entry, ...model } of served.values()) if (isFor(entry)) return { ...model, entry };
  if ("code" in manifest) return manifest;
  const [name] = Object.entries(manifest.models).find(([, entry]) => isFor(entry)) ?? [];
  const message = `no ${kind} model was trained for ${asset} at ${horizon}`;
  return (name !== undefined && problems.get(name as ModelName)) || { code: "model/not_installed", message };
}

function consequence({ code, message }: ModelProblem, isReplacing: boolean): string {
  return `${code}: ${message}; ${isReplacing ? "the model before it stays" : "the next engine answers"}`;
}

function stampOf(path: string): string | null {
  try {
    const { ino, size, mtimeNs } = statSync(modelPath(path), { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    // Missing or unreadable: the load says which.
    return null;
  }
}
