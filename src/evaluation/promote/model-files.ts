import { readFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import {
  besideManifest,
  modelPath,
  readManifest,
  readVerified,
  type ModelEntry,
  type ModelManifest,
  type ModelName,
} from "../../engines/models/manifest.ts";
import { describeError, isErrno, OperationalError } from "../../errors.ts";
import { writeFileAtomic } from "../../store/atomic-file.ts";

/** A file that an entry names, relative to its manifest's folder, and its content's hash. */
export interface NamedFile {
  readonly file: string;
  readonly sha256: string;
}

/** Digits of the hash in a file's name: two models of one miner never share them. */
const NAME_DIGITS = 12;
/** What `addressed` names: such files are ours to delete, others belong to whoever put them there. */
export const ADDRESSED = /-[0-9a-f]{12}\.[a-z]+$/;

/** Every file of an entry, wherever in it: an object with `file` and `sha256`. */
export function filesOf(value: unknown): NamedFile[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(filesOf);
  return isNamedFile(value) ? [{ file: value.file, sha256: value.sha256 }, ...inner] : inner;
}

function isNamedFile(value: object): value is NamedFile {
  return "file" in value && typeof value.file === "string" && "sha256" in value && typeof value.sha256 === "string";
}

/** "patchtst/hf.onnx" → "patchtst/hf-de69949a582b.onnx", whatever hash it had in its name. */
export function addressed({ file, sha256 }: NamedFile): string {
  const extension = extname(file);
  const stem = basename(file, extension).replace(/-[0-9a-f]{12}$/, "");
  return join(dirname(file), `${stem}-${sha256.slice(0, NAME_DIGITS)}${extension}`);
}

/** The entry with all its files under their content's name. */
export function addressedEntry<T>(entry: T): T {
  return JSON.parse(
    JSON.stringify(entry, (_, value: unknown) =>
      typeof value === "object" && value !== null && isNamedFile(value) ? { ...value, file: addressed(value) } : value,
    ),
  ) as T;
}

export function manifestText(manifest: ModelManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** A manifest, and its text as it was read; null where there is none. Throws OperationalError `model/corrupt`. */
export function readOptionalManifest(path: string): { readonly manifest: ModelManifest; readonly text: string } | null {
  let text: string;
  try {
    text = readFileSync(modelPath(path), "utf8");
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) return null;
    throw new OperationalError("model/corrupt", `${path}: ${describeError(cause)}`, { cause });
  }
  return { manifest: readManifest(path), text };
}

/** One entry with its files in a folder of their own, out of reach of whoever trains: what is judged is what is installed. */
export interface Snapshot {
  readonly manifestFile: string;
  readonly entry: ModelEntry;
}

/**
 * Copies the entry's verified files and writes a manifest of it alone. Throws OperationalError `model/not_installed`,
 * `model/corrupt`, `model/mismatch`.
 */
export async function takeSnapshot(
  {
    name,
    entry,
    manifestFile,
  }: { readonly name: ModelName; readonly entry: ModelEntry; readonly manifestFile: string },
  dir: string,
): Promise<Snapshot> {
  const own = addressedEntry(entry);
  for (const file of filesOf(entry)) {
    await writeFileAtomic(
      join(dir, addressed(file)),
      readVerified(besideManifest(manifestFile, file.file), file.sha256),
    );
  }
  return { manifestFile: await writeManifest(dir, { schema: 1, models: { [name]: own } }), entry: own };
}

/** Of no model: what is asked through it hands over. */
export async function emptySnapshot(dir: string): Promise<string> {
  return writeManifest(dir, { schema: 1, models: {} });
}

async function writeManifest(dir: string, manifest: ModelManifest): Promise<string> {
  const path = join(dir, "manifest.json");
  await writeFileAtomic(path, manifestText(manifest));
  return path;
}
