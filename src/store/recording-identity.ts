import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isErrno } from "../errors.ts";

/** The software that produced an answer; a replay names what differs. */
export interface SoftwareIdentity {
  readonly packageVersion: string;
  /** Null outside a git checkout. */
  readonly gitCommit: string | null;
  readonly nodeVersion: string;
  /** SHA-256 of models/manifest.json; null where no model is installed. */
  readonly modelsSha256: string | null;
}

const packageSchema = z.object({ version: z.string() });

/** `root` is the repository's folder. */
export async function readSoftwareIdentity(root: string): Promise<SoftwareIdentity> {
  const [packageJson, gitCommit, manifest] = await Promise.all([
    readFile(join(root, "package.json"), "utf8"),
    readGitCommit(join(root, ".git")),
    readOptional(join(root, "models", "manifest.json")),
  ]);
  return {
    packageVersion: packageSchema.parse(JSON.parse(packageJson)).version,
    gitCommit,
    nodeVersion: process.version,
    modelsSha256: manifest === null ? null : createHash("sha256").update(manifest).digest("hex"),
  };
}

/** HEAD without running git: a hash, or a reference that is a loose file or a line of packed-refs. */
async function readGitCommit(gitDir: string): Promise<string | null> {
  const head = (await readOptional(join(gitDir, "HEAD")))?.toString("utf8").trim();
  if (head === undefined) return null;
  const reference = /^ref: (refs\/[\w./-]+)$/.exec(head)?.[1];
  if (reference === undefined) return /^[0-9a-f]{40,64}$/.test(head) ? head : null;
  const loose = await readOptional(join(gitDir, reference));
  if (loose !== null) return loose.toString("utf8").trim();
  const packed = (await readOptional(join(gitDir, "packed-refs")))?.toString("utf8") ?? "";
  const line = packed.split("\n").find((candidate) => candidate.endsWith(` ${reference}`));
  return line?.split(" ")[0] ?? null;
}

async function readOptional(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR")) return null;
    throw error;
  }
}
