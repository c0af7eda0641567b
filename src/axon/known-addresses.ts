import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { describeError, isErrno } from "../errors.ts";
import type { Logger } from "../log.ts";
import { writeFileAtomic } from "../store/atomic-file.ts";

/**
 * Addresses that validators publish or that a valid signature of theirs came from: they go first where strangers could
 * crowd them out.
 */
export interface KnownAddresses {
  add(ip: string): void;
  has(ip: string): boolean;
  /** Resolves when what is being written is on disk, or cannot be. Never rejects. */
  close(): Promise<void>;
}

/** Validators ask every minute; one that moved or was down is known again with its first request. */
const MAX_AGE_MS = 24 * 3600 * 1000;
/** Far more than there are validators. */
const MAX_ADDRESSES = 1024;
/** New ones are written at once, the times of old ones so often. */
const WRITE_EVERY_MS = 10 * 60 * 1000;

const SCHEMA = 1;
const fileSchema = z.object({
  schema: z.literal(SCHEMA),
  addresses: z
    .array(z.tuple([z.string().refine((ip) => isIP(ip) !== 0), z.number().int().nonnegative()]))
    .max(MAX_ADDRESSES),
});

/**
 * Reads what an earlier life of this axon knew: a flood at our start must not shut out a validator that asked yesterday.
 * A file that cannot be read or written is logged; the addresses are then learnt anew.
 */
export async function openKnownAddresses(options: {
  file: string;
  published: (ip: string) => boolean;
  clock: Clock;
  logger: Logger;
}): Promise<KnownAddresses> {
  const { file, published, clock, logger } = options;
  /** Address → when it was last seen, the oldest first. */
  const seen = await readAddresses(file, { nowMs: clock.nowMs(), logger });
  let writtenMs = -Infinity;
  let writing = Promise.resolve();
  let isDue = false;
  const isRecent = (atMs: number): boolean => clock.nowMs() - atMs < MAX_AGE_MS;
  const write = (): void => {
    if (isDue) return; // what is added meanwhile goes with it
    isDue = true;
    writtenMs = clock.nowMs();
    writing = writing.then(async () => {
      isDue = false;
      const addresses = [...seen].filter(([, atMs]) => isRecent(atMs));
      try {
        await writeFileAtomic(file, `${JSON.stringify({ schema: SCHEMA, addresses })}\n`, 0o600);
      } catch (error) {
        logger.warn({ file, reason: describeError(error) }, "Validators' addresses cannot be written");
      }
    });
  };
  return {
    add: (ip) => {
      if (isIP(ip) === 0) return; // a socket that is gone has none
      const isNew = !seen.delete(ip);
      seen.set(ip, clock.nowMs());
      const [oldest] = seen.keys();
      if (seen.size > MAX_ADDRESSES && oldest !== undefined) seen.delete(oldest);
      if (isNew || Math.abs(clock.nowMs() - writtenMs) > WRITE_EVERY_MS) write();
    },
    has: (ip) => {
      const atMs = seen.get(ip);
      return (atMs !== undefined && isRecent(atMs)) || published(ip);
    },
    close: () => writing,
  };
}

async function readAddresses(file: string, context: { nowMs: number; logger: Logger }): Promise<Map<string, number>> {
  const { nowMs, logger } = context;
  try {
    const { addresses } = fileSchema.parse(JSON.parse(await readFile(file, "utf8")));
    // A time from the future, of a wrong clock, would never age.
    const seen = addresses.map(([ip, atMs]): [string, number] => [ip, Math.min(atMs, nowMs)]);
    return new Map(seen.sort((a, b) => a[1] - b[1]));
  } catch (error) {
    if (!isErrno(error, "ENOENT")) {
      logger.warn({ file, reason: describeError(error) }, "Validators' addresses cannot be read: they are learnt anew");
    }
    return new Map();
  }
}
