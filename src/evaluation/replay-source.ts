import { open } from "node:fs/promises";
import { basename } from "node:path";
import { OperationalError, UsageError, describeError, isErrno } from "../errors.ts";
import { isSegmentHeader, type Damage, type Recording } from "../store/recording-format.ts";
import { listRecordingFolders, readRecordings, readSegment } from "../store/recording-reader.ts";
import { parseRawRequest, type RawRequest } from "./raw-request.ts";

/** What a `replay` argument stands for. */
export type ReplaySource =
  | { readonly kind: "recordings"; readonly recordings: readonly Recording[]; readonly damage: readonly Damage[] }
  | { readonly kind: "raw"; readonly file: string; readonly request: RawRequest };

/** The default body limit is 1 MiB; a JSON file may spell each byte in six. */
const MAX_RAW_BYTES = 16 * 1024 * 1024;
const SHOWN_MATCHES = 5;

/**
 * `argument` is `last`, a segment or raw request file, or an id (any unique prefix) under `<stateDir>/recordings`. `id`
 * picks one recording of a segment. Throws OperationalError where there is nothing to replay.
 */
export async function findReplaySource(
  argument: string,
  options: { stateDir: string; id: string | undefined },
): Promise<ReplaySource> {
  const bytes = await readFileIfThere(argument);
  if (bytes === null) {
    if (argument === "last") return { kind: "recordings", recordings: [await findLast(options.stateDir)], damage: [] };
    return { kind: "recordings", recordings: [await findById(argument, options.stateDir)], damage: [] };
  }
  if (bytes === "segment") return readSegmentSource(argument, options.id);
  const parsed = parseRawRequest(bytes);
  if (parsed.ok) return { kind: "raw", file: argument, request: parsed.request };
  throw new OperationalError("replay/bad_request_file", `${argument}: ${parsed.message}`);
}

/** Segments go through their own reader. A damaged header still has the name of one. */
async function readFileIfThere(path: string): Promise<Uint8Array | "segment" | null> {
  let handle;
  try {
    handle = await open(path, "r");
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR") || isErrno(error, "ENAMETOOLONG")) return null;
    throw new OperationalError("replay/unreadable", `Cannot read ${path}: ${describeError(error)}`);
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new OperationalError("replay/unreadable", `${path}: expected a file`);
    const head = new Uint8Array(16);
    await handle.read(head, 0, head.length, 0);
    if (isSegmentHeader(head) || /^\d{4}-\d{2}-\d{2}-\d+\.log$/.test(basename(path))) return "segment";
    if (stats.size <= MAX_RAW_BYTES) return await handle.readFile();
    throw new OperationalError("replay/unreadable", `${path}: expected at most ${MAX_RAW_BYTES} bytes`);
  } finally {
    await handle.close();
  }
}

async function readSegmentSource(path: string, id: string | undefined): Promise<ReplaySource> {
  const entries = await readSegment(path);
  const damage = entries.filter((entry) => entry.kind === "damage");
  const recordings = entries
    .filter((entry) => entry.kind === "recording")
    .map((entry) => entry.recording)
    .filter((recording) => id === undefined || recording.id.startsWith(id));
  if (id !== undefined && recordings.length === 0) throw notFound(id, path, damage);
  if (recordings.length === 0 && damage.length === 0) {
    throw new OperationalError("replay/not_found", `${path}: no recordings in this file`);
  }
  return { kind: "recordings", recordings, damage };
}

async function findLast(stateDir: string): Promise<Recording> {
  let last: Recording | null = null;
  for (const folder of await listRecordingFolders(stateDir)) {
    for await (const entry of readRecordings(folder, { newestFirst: true })) {
      if (entry.kind === "damage") continue;
      if (last === null || entry.recording.id > last.id) last = entry.recording;
      break;
    }
  }
  if (last !== null) return last;
  throw new OperationalError("replay/not_found", `No recordings under ${stateDir}/recordings; set --state-dir`);
}

async function findById(id: string, stateDir: string): Promise<Recording> {
  const matches: Recording[] = [];
  const damage: Damage[] = [];
  if (/^\d/.test(id)) {
    for (const folder of await listRecordingFolders(stateDir)) {
      for await (const entry of readRecordings(folder, { ids: [id] })) {
        if (entry.kind === "damage") damage.push(entry);
        else matches.push(entry.recording);
      }
    }
  }
  const [found] = matches;
  if (found === undefined) throw notFound(id, `${stateDir}/recordings`, damage);
  if (matches.length === 1) return found;
  const shown = matches.slice(0, SHOWN_MATCHES).map((match) => `${match.id} of ${match.exchange.receiver}`);
  const more = matches.length > SHOWN_MATCHES ? ", …" : "";
  throw new UsageError([
    `"${id}": ${matches.length} recordings begin so: ${shown.join(", ")}${more}; give more of the id`,
  ]);
}

function notFound(id: string, where: string, damage: readonly Damage[]): OperationalError {
  const damaged = damage.length === 0 ? "" : ` (${damage.length} damaged places there were skipped)`;
  const message = `"${id}": no such file, and no recording in ${where}${damaged}; \`inspect recordings\` lists what is there`;
  return new OperationalError("replay/not_found", message);
}
