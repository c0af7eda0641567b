import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { steadyClock, type Clock } from "../clock.ts";
import { describeError, isErrno, OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { millisToNanos } from "../units.ts";

/** One request's claim to be new. */
export interface NonceClaim {
  /** The pair that counts upwards (`hotkey:uuid`); a key that holds its nonce makes every pair single-use. */
  readonly key: string;
  /** Unix nanoseconds. */
  readonly nonce: bigint;
  /** At the first sight of the key, only nonces above this are new. */
  readonly notBeforeNs: bigint;
  readonly notAfterNs: bigint;
}

export type NonceRefusal = "too old" | "a newer one was last processed" | "too far in the future";

export interface NonceBook {
  /** Looks without remembering: for the cheap check before a signature is verified. */
  check(claim: NonceClaim): NonceRefusal | undefined;
  /** Checks and remembers in one step: of two equal claims exactly one succeeds. For verified senders only. */
  claim(claim: NonceClaim): NonceRefusal | undefined;
  size(): number;
  close(): void;
}

const HEADER = "synth-nonces 1";
/** Appended lines beyond twice the live ones before the journal is rewritten. */
const COMPACTION_SLACK = 4096;
/** While the disk refuses, one try in this time: a rewrite of 60,000 pairs holds the event loop for 26 ms. */
const REPAIR_EVERY_MS = 5000;

/**
 * The last accepted nonce of every pair, bounded by `maxNonces`. Forgetting a pair raises the floor to its nonce, below
 * which no unseen pair is admitted, so that a forgotten nonce is never new again. Pairs older than `retentionSeconds`
 * (the widest freshness window) are forgotten first: the window refuses their nonces by itself.
 *
 * The journal `file` has this as its only writer. Every claim is appended before it counts (it survives the process, not
 * the power); a line cut short at the end was never answered and is dropped; any other damage makes the floor now.
 * While the disk refuses, nonces are kept in memory only, from the start on if need be. Throws OperationalError
 * NONCE_JOURNAL if there is a journal that can neither be read nor replaced.
 */
export function openNonceBook(options: {
  file: string;
  maxNonces: number;
  retentionSeconds: number;
  /** Of nonces. */
  clock: Clock;
  /** Of retries; the process's own unless given. */
  steadyClock?: Clock;
  logger: Logger;
}): NonceBook {
  const { file, maxNonces, clock, logger } = options;
  const nowNs = (): bigint => millisToNanos(clock.nowMs());
  const retentionNs = BigInt(Math.ceil(options.retentionSeconds * 1000)) * 1_000_000n;
  const loaded = loadJournal(file, nowNs(), logger);
  const last = loaded.last;
  let floor = loaded.floor;
  shrink();
  const journal = openJournal({
    file,
    live: () => ({ last, floor }),
    isUnreadable: loaded.isUnreadable,
    steadyClock: options.steadyClock ?? steadyClock,
    logger,
  });

  function refusal(claim: NonceClaim): NonceRefusal | undefined {
    if (claim.nonce > claim.notAfterNs) return "too far in the future";
    const previous = last.get(claim.key);
    if (previous !== undefined) return claim.nonce > previous ? undefined : "a newer one was last processed";
    return claim.nonce > claim.notBeforeNs && claim.nonce > floor ? undefined : "too old";
  }

  /** Forgets the expired pairs and, if that is not enough, the oldest eighth: sorting is paid once per eighth. */
  function shrink(): void {
    if (last.size <= maxNonces) return;
    const keep = Math.floor(maxNonces * 0.875);
    const oldestKept = nowNs() - retentionNs;
    const byAge = [...last].sort((a, b) => (a[1] < b[1] ? -1 : 1));
    for (const [key, nonce] of byAge) {
      if (last.size <= keep && nonce >= oldestKept) break;
      last.delete(key);
      if (nonce > floor) floor = nonce;
    }
  }

  return {
    check: refusal,
    claim: (claim) => {
      const refused = refusal(claim);
      if (refused !== undefined) return refused;
      last.set(claim.key, claim.nonce);
      shrink(); // the floor that this raises is rebuilt from the journal's lines, or written when they are rewritten
      journal.append(claimLine(claim.key, claim.nonce));
      return undefined;
    },
    size: () => last.size,
    close: () => {
      journal.close();
    },
  };
}

interface Journal {
  append(line: string): void;
  close(): void;
}

/**
 * Starts with a rewrite, which also heals a torn tail; rewrites again when most lines are outdated, when one failed, and
 * when the file was deleted or replaced: what is appended to it then is lost.
 */
function openJournal(options: {
  file: string;
  live: () => Pairs;
  isUnreadable: boolean;
  steadyClock: Clock;
  logger: Logger;
}): Journal {
  const { file, live, isUnreadable, logger } = options;
  const nowMs = (): number => options.steadyClock.nowMs();
  let journal: OpenJournal | null = null;
  let appended = 0;
  let damaged = false;
  let repairAtMs = -Infinity;

  const rewrite = (): void => {
    const previous = journal;
    journal = rewriteJournal(file, live(), { setAside: isUnreadable && previous === null });
    appended = 0;
    if (damaged) logger.info({ file }, "Nonce journal is whole again");
    damaged = false;
    if (previous !== null) closeSync(previous.descriptor);
  };
  /** Nonces are refused again while this process lives; a later claim rewrites the journal whole. */
  const setDamaged = (error: unknown): void => {
    if (!damaged) logger.warn({ file, reason: describeError(error) }, "Nonce journal cannot be written");
    damaged = true;
    repairAtMs = nowMs() + REPAIR_EVERY_MS;
  };
  const append = (line: string): void => {
    const isReplaced = !damaged && !isInPlace(journal, file);
    const isOutdated = appended > 2 * live().last.size + COMPACTION_SLACK;
    if (damaged || isReplaced ? nowMs() >= repairAtMs : isOutdated) {
      if (isReplaced) logger.warn({ file }, "Nonce journal was deleted or replaced; writing it anew");
      repairAtMs = nowMs() + REPAIR_EVERY_MS;
      rewrite();
    } else if (!damaged && journal !== null) {
      writeWhole(journal.descriptor, line);
      appended += 1;
    }
  };

  try {
    rewrite();
  } catch (error) {
    // A wrong path or owner rather than a full disk: a person must look.
    if (isUnreadable) {
      const message = `Nonce journal ${file} can neither be read nor replaced: check its path and owner`;
      throw new OperationalError("NONCE_JOURNAL", message, { cause: error });
    }
    setDamaged(error);
  }
  return {
    append: (line) => {
      try {
        append(line);
      } catch (error) {
        setDamaged(error);
      }
    },
    close: () => {
      try {
        if (damaged) rewrite();
      } catch (error) {
        logger.warn({ file, reason: describeError(error) }, "Nonces since the journal was damaged are lost");
      }
      if (journal !== null) closeSync(journal.descriptor);
    },
  };
}

function claimLine(key: string, nonce: bigint): string {
  return `${nonce.toString()} ${key}\n`;
}

function floorLine(floor: bigint): string {
  return `${floor.toString()}\n`;
}

interface Pairs {
  readonly last: Map<string, bigint>;
  readonly floor: bigint;
}

interface Loaded extends Pairs {
  /** There is something in the journal's place whose nonces are not known. */
  readonly isUnreadable: boolean;
}

function loadJournal(file: string, nowNs: bigint, logger: Logger): Loaded {
  try {
    return { ...parseJournal(readFileSync(file, "latin1")), isUnreadable: false };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return { last: new Map(), floor: 0n, isUnreadable: false };
    logger.warn(
      { file, reason: describeError(error) },
      "Nonce journal is unreadable; refusing every nonce older than now, the damaged file is kept as .corrupt",
    );
    return { last: new Map(), floor: nowNs, isUnreadable: true };
  }
}

/** Lines: the header, then `<nonce> <key>` for a claim or `<nonce>` for a raised floor. */
function parseJournal(text: string): Pairs {
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  if (lines.shift() !== HEADER) throw new Error(`expected the first line to be "${HEADER}"`);
  lines.pop(); // after the last newline
  const last = new Map<string, bigint>();
  let floor = 0n;
  for (const [index, line] of lines.entries()) {
    const match = /^(\d{1,20})(?: ([\x21-\x7e]{1,256}))?$/.exec(line);
    if (match === null) throw new Error(`line ${index + 2} is damaged`);
    const nonce = BigInt(match[1]!);
    if (match[2] === undefined) floor = nonce > floor ? nonce : floor;
    else last.set(match[2], nonce);
  }
  return { last, floor };
}

interface OpenJournal {
  readonly descriptor: number;
  readonly inode: number;
}

function isInPlace(journal: OpenJournal | null, file: string): boolean {
  return journal !== null && statSync(file, { throwIfNoEntry: false })?.ino === journal.inode;
}

/**
 * Replaces the journal by the live pairs in one step; returns it open for appending. What has to be set aside stays in
 * its place until then: a start that finds nothing there refuses nothing.
 */
function rewriteJournal(file: string, { last, floor }: Pairs, { setAside }: { setAside: boolean }): OpenJournal {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.tmp`;
  const lines = [...last].map(([key, nonce]) => claimLine(key, nonce));
  const descriptor = openSync(temporary, "w", 0o600);
  try {
    writeWhole(descriptor, `${HEADER}\n${floorLine(floor)}${lines.join("")}`);
    fsyncSync(descriptor);
    if (setAside) moveAside(file);
    renameSync(temporary, file);
    fsyncFolder(dirname(file));
    return { descriptor, inode: fstatSync(descriptor).ino };
  } catch (error) {
    closeSync(descriptor);
    rmSync(temporary, { force: true }); // a full disk needs the room
    throw error;
  }
}

function moveAside(file: string): void {
  try {
    renameSync(file, `${file}.corrupt`);
  } catch {
    // Kept for inspection only; where it is in the way, the rename that follows reports it.
  }
}

function fsyncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A disk that is nearly full takes part of it without an error; the error comes with the rest. */
function writeWhole(descriptor: number, text: string): void {
  const content = Buffer.from(text, "latin1");
  for (let written = 0; written < content.length;) written += writeSync(descriptor, content, written);
}
