import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ManifestJson } from "./patchtst-models.ts";

/** What scripts/vectors/lgbm_fixture.py wrote: tiny trees on the hand-made calibration, and their golden pairs. */
export const TREE_FIXTURES = join(import.meta.dirname, "../fixtures/lgbm");

/** Copies the fixture into the folder, as of a calibration; the path of its manifest. */
export async function installTrees(
  dir: string,
  calibrationSha256: string,
  change: (manifest: ManifestJson) => void = () => undefined,
): Promise<string> {
  for (const name of ["trees.onnx", "wild.onnx", "golden.json"]) {
    await copyFile(join(TREE_FIXTURES, name), join(dir, name));
  }
  const manifest = JSON.parse(await readFile(join(TREE_FIXTURES, "manifest.json"), "utf8")) as ManifestJson;
  manifest.models["LF-BTC"]!["calibrationSha256"] = calibrationSha256;
  change(manifest);
  const path = join(dir, "manifest.json");
  await writeFile(path, JSON.stringify(manifest));
  return path;
}
