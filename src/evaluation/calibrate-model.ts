import { ENGINE_VERSIONS } from "../engines/forecast.ts";
import { readManifest, type ModelName } from "../engines/models/manifest.ts";
import { OperationalError } from "../errors.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { loadRecalibration, type LengthStatistics } from "../store/recalibration-store.ts";
import { scoreRecordings, type ScoringOptions, type ScoringResult } from "./recalibrate/run.ts";

/** What live scores ask of a model's sigma on one asset; no lengths where no answer of it was scored yet. */
export interface ModelScale {
  readonly asset: AssetSymbol;
  readonly prompts: number;
  readonly lengths: readonly LengthStatistics[];
}

/**
 * Scores our own answers whose horizon has passed, as `score-recordings` does, and gives the factors of the model's assets. They
 * belong to the engine: a model that is trained anew by the same recipe inherits them, and what was seen of its predecessor
 * fades. The caller holds the lock. Throws OperationalError `model/not_installed`, `model/corrupt` and those of `scoreRecordings`.
 */
export async function calibrateModel(
  name: ModelName,
  { manifestFile, ...scoring }: ScoringOptions & { readonly manifestFile: string },
): Promise<{ readonly result: ScoringResult; readonly scales: readonly ModelScale[] }> {
  const entry = readManifest(manifestFile).models[name];
  if (entry === undefined) throw new OperationalError("model/not_installed", `${manifestFile} lists no model ${name}`);
  const result = await scoreRecordings(scoring);
  const loaded = loadRecalibration(scoring.stateDir);
  const series = loaded.status === "ok" ? loaded.state.series : [];
  const scales = entry.assets.map((asset) => {
    const own = series.find(
      (one) =>
        one.asset === asset &&
        one.horizon === entry.horizon &&
        one.engine === entry.kind &&
        one.engineVersion === ENGINE_VERSIONS[entry.kind],
    );
    return { asset, prompts: own?.prompts ?? 0, lengths: own?.lengths ?? [] };
  });
  return { result, scales };
}
