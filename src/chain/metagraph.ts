import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { z } from "zod";
import { publicKeyOf } from "../bittensor/ss58.ts";
import type { Clock } from "../clock.ts";
import { describeError, OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { hotkey, unixMillis, type Hotkey, type UnixMillis } from "../units.ts";

export interface Neuron {
  readonly hotkey: Hotkey;
  readonly uid: number;
  /** Metagraph S: alpha + tao * TaoWeight. */
  readonly stake: number;
  readonly validatorPermit: boolean;
  /** Published axon address, if any. */
  readonly ip: string | null;
}

/** Who is registered on the subnet. Lookups are synchronous: the admission makes one per request. */
export interface Metagraph {
  /** Open: hotkeys that it does not know are admitted all the same (demo only). */
  readonly open: boolean;
  neuron(hotkey: string): Neuron | undefined;
  /** Neurons with a validator permit; the same array until the metagraph changes. */
  validators(): readonly Neuron[];
  /** Seconds since this was last known to be the current metagraph. */
  ageSeconds(): number;
  /** Why nobody is known at present; null while the metagraph can be used. */
  voidReason(): string | null;
}

/** Admits every correctly signed request. */
export function openMetagraph(): Metagraph {
  return { open: true, neuron: () => undefined, validators: () => [], ageSeconds: () => 0, voidReason: () => null };
}

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_NEURONS = 65_536;

const metagraphFileSchema = z.object({
  /** Written where the chain client keeps its last metagraph; optional in a file of one's own. */
  netuid: z.int().min(0).optional(),
  updatedAt: z.iso.datetime({ offset: true }).optional(),
  neurons: z
    .array(
      z.object({
        hotkey: z.string().refine((address) => publicKeyOf(address) !== undefined, "expected an ss58 address"),
        /** The place in the list where absent. */
        uid: z.int().min(0).max(65_535).optional(),
        stake: z.number().min(0),
        validator_permit: z.boolean(),
        ip: z
          .string()
          .refine((address) => isIP(address) !== 0, "expected an IP address")
          .nullish(),
      }),
    )
    .max(MAX_NEURONS),
});

interface Snapshot {
  readonly byHotkey: ReadonlyMap<string, Neuron>;
  readonly validators: readonly Neuron[];
}

/**
 * `{"neurons":[{"hotkey","uid","stake","validator_permit","ip"}]}`, read again as soon as the file changes. A broken
 * rewrite keeps the last good content and warns once. Throws OperationalError METAGRAPH_FILE if the first read fails.
 */
export function staticMetagraph(file: string, context: { clock: Clock; logger: Logger }): Metagraph {
  const { clock, logger } = context;
  let seen = fileVersion(file);
  let snapshot = readSnapshot(file);
  let currentAtMs = clock.nowMs();
  let intact = true;
  let isLookedAt = false;

  /** Looks at the file once per turn of the event loop: a removed validator is refused at once, and a flood costs no stats. */
  const refresh = (): Snapshot => {
    if (isLookedAt) return snapshot;
    isLookedAt = true;
    setImmediate(() => {
      isLookedAt = false;
    });
    const version = fileVersion(file);
    if (version !== seen) {
      seen = version;
      try {
        snapshot = readSnapshot(file);
        intact = true;
        logger.info({ file, neurons: snapshot.byHotkey.size }, "Metagraph file reloaded");
      } catch (error) {
        intact = false;
        logger.warn({ file, reason: describeError(error) }, "Metagraph file is unreadable; keeping the last good one");
      }
    }
    if (intact) currentAtMs = clock.nowMs();
    return snapshot;
  };

  return {
    open: false,
    neuron: (address) => refresh().byHotkey.get(address),
    validators: () => refresh().validators,
    ageSeconds: () => {
      refresh();
      return Math.max(0, (clock.nowMs() - currentAtMs) / 1000);
    },
    voidReason: () => null,
  };
}

/** Changes with every rewrite; a constant while there is nothing to read. */
function fileVersion(file: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(file, { bigint: true });
    return [ino, size, mtimeNs].join(":");
  } catch {
    return "unreadable";
  }
}

function readSnapshot(file: string): Snapshot {
  const { neurons } = readMetagraphFile(file);
  return {
    byHotkey: new Map(neurons.map((neuron) => [neuron.hotkey, neuron])),
    validators: neurons.filter((neuron) => neuron.validatorPermit),
  };
}

export interface MetagraphFile {
  readonly neurons: readonly Neuron[];
  /** Null where the file does not say. */
  readonly netuid: number | null;
  /** When this was known to be the metagraph: what the file says, else when it was written. */
  readonly updatedAtMs: UnixMillis;
}

/** Throws OperationalError METAGRAPH_FILE. */
export function readMetagraphFile(file: string): MetagraphFile {
  try {
    const { size, mtimeMs } = statSync(file);
    if (size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
    const content = metagraphFileSchema.safeParse(JSON.parse(readFileSync(file, "utf8")));
    if (!content.success) throw new Error(z.prettifyError(content.error).slice(0, 2000));
    const { netuid, updatedAt } = content.data;
    const neurons = content.data.neurons.map((entry, index) => ({
      hotkey: hotkey(entry.hotkey),
      uid: entry.uid ?? index,
      stake: entry.stake,
      validatorPermit: entry.validator_permit,
      ip: entry.ip ?? null,
    }));
    const updatedAtMs = updatedAt === undefined ? mtimeMs : Date.parse(updatedAt);
    return { neurons, netuid: netuid ?? null, updatedAtMs: unixMillis(updatedAtMs) };
  } catch (error) {
    throw new OperationalError(
      "METAGRAPH_FILE",
      `Metagraph file ${file}: expected {"neurons":[{"hotkey","uid","stake","validator_permit","ip"}]}`,
      { cause: error, details: { file } },
    );
  }
}
