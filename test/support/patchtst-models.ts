import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Of } from "../../src/engines/models/manifest.ts";

/** What scripts/vectors/patchtst_fixture.py wrote: a tiny network on the hand-made calibration, and its golden pairs. */
export const FIXTURES = join(import.meta.dirname, "../fixtures/models");

export interface ManifestJson {
  schema: number;
  models: Record<string, Record<string, unknown> & { golden: { file: string; sha256: string } }>;
}

/** Copies the fixture into the folder, as of a calibration; the path of its manifest. */
export async function installModels(
  dir: string,
  calibrationSha256: string,
  change: (manifest: ManifestJson) => void = () => undefined,
): Promise<string> {
  for (const name of ["tiny.onnx", "wild.onnx", "golden.json"]) await copyFile(join(FIXTURES, name), join(dir, name));
  const manifest = JSON.parse(await readFile(join(FIXTURES, "manifest.json"), "utf8")) as ManifestJson;
  manifest.models["LF-crypto"]!["calibrationSha256"] = calibrationSha256;
  change(manifest);
  const path = join(dir, "manifest.json");
  await writeFile(path, JSON.stringify(manifest));
  return path;
}

export async function hashOf(path: string): Promise<string> {
  return sha256Of(await readFile(path));
}
