import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import { publicKeyOf } from "../bittensor/ss58.ts";
import { describeError, isErrno } from "../errors.ts";
import { writeFileAtomic } from "../store/atomic-file.ts";

/** The last metagraph that the chain gave, kept for restarts; also a valid `--metagraph.file`. */

export const STORED_METAGRAPH_SCHEMA = 1;

const neuronSchema = z.object({
  hotkey: z.string().refine((address) => publicKeyOf(address) !== undefined, "expected an ss58 address"),
  coldkey: z.string(),
  uid: z.int().min(0).max(65_535),
  /** Metagraph S (see `source`), whole tokens. */
  stake: z.number().min(0),
  validator_permit: z.boolean(),
  ip: z
    .string()
    .refine((address) => isIP(address) !== 0, "expected an IP address")
    .nullable(),
  port: z.int().min(0).max(65_535).nullable(),
  /** Share of the subnet's miner emission, 0 to 1. */
  incentive: z.number().min(0).max(1),
  /** Alpha per tempo. */
  emission: z.number().min(0),
  active: z.boolean(),
  /** Block of its last weights. */
  last_update: z.int().min(0),
});

export const storedMetagraphSchema = z.object({
  schema: z.literal(STORED_METAGRAPH_SCHEMA),
  netuid: z.int().min(0),
  /** A network's name, or the URLs that were configured. */
  network: z.string(),
  genesis: z.string().regex(/^0x[0-9a-f]{64}$/),
  block: z.int().min(0),
  updatedAt: z.iso.datetime(),
  source: z.enum(["get_subnet_state", "get_metagraph", "get_neurons_lite"]),
  neurons: z.array(neuronSchema).min(1).max(65_536),
});

export type StoredMetagraph = z.infer<typeof storedMetagraphSchema>;
export type StoredNeuron = StoredMetagraph["neurons"][number];

export function storedMetagraphPath(stateDir: string, netuid: number): string {
  return join(stateDir, "chain", `metagraph-${netuid}.json`);
}

export type LoadedMetagraph =
  | { readonly status: "ok"; readonly metagraph: StoredMetagraph }
  | { readonly status: "missing" }
  | { readonly status: "corrupt"; readonly reason: string };

export function loadStoredMetagraph(stateDir: string, netuid: number): LoadedMetagraph {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(storedMetagraphPath(stateDir, netuid), "utf8"));
  } catch (error) {
    return isErrno(error, "ENOENT") ? { status: "missing" } : { status: "corrupt", reason: describeError(error) };
  }
  const parsed = storedMetagraphSchema.safeParse(json);
  if (!parsed.success) return { status: "corrupt", reason: z.prettifyError(parsed.error).slice(0, 2000) };
  if (parsed.data.netuid !== netuid) return { status: "corrupt", reason: `it is of netuid ${parsed.data.netuid}` };
  return { status: "ok", metagraph: parsed.data };
}

/** Several axons on one state folder write the same file: each write is whole, the last one stays. */
export async function saveStoredMetagraph(stateDir: string, metagraph: StoredMetagraph): Promise<void> {
  await writeFileAtomic(storedMetagraphPath(stateDir, metagraph.netuid), `${JSON.stringify(metagraph)}\n`);
}
