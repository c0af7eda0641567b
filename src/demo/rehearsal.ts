import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Config } from "../config/schema.ts";
import { writeHotkeyFile } from "../wallet/keyfile.ts";
import { keypairFromSeed, type Keypair } from "../wallet/keypair.ts";

/** Everything a miner needs besides a market, made of throwaway keys in one folder. */
export interface Rehearsal {
  readonly dir: string;
  readonly stateDir: string;
  readonly logFile: string;
  /** For `--config` of `update` and `serve`. */
  readonly configFile: string;
  readonly minerHotkey: string;
  readonly validator: Keypair;
  readonly validatorSeed: Uint8Array;
  /** For `replay --send --key-file`. */
  readonly validatorKeyFile: string;
}

/** Enough for the configured stake threshold of any network. */
const VALIDATOR_STAKE = 1_000_000;

/**
 * A wallet for the miner, a registered validator with a permit, an empty state folder and a configuration file that
 * differs from `config` in these, below `dir`.
 */
export async function createRehearsal(dir: string, config: Config): Promise<Rehearsal> {
  const stateDir = path.join(dir, "state");
  const metagraphFile = path.join(dir, "metagraph.json");
  const configFile = path.join(dir, "config.json");
  const minerSeed = randomBytes(32);
  const wallet = { path: path.join(dir, "wallets"), name: "demo", hotkey: "miner" };
  const validatorSeed = randomBytes(32);
  const validator = keypairFromSeed(validatorSeed);
  const miner = keypairFromSeed(minerSeed);
  await mkdir(stateDir, { recursive: true });
  await writeHotkeyFile(wallet, minerSeed);
  const validatorKeyFile = await writeHotkeyFile({ ...wallet, hotkey: "validator" }, validatorSeed);
  const neurons = [
    { uid: 0, hotkey: validator.address, stake: VALIDATOR_STAKE, validator_permit: true, ip: "127.0.0.1" },
    { uid: 1, hotkey: miner.address, stake: 0, validator_permit: false },
  ];
  await writeFile(metagraphFile, `${JSON.stringify({ neurons }, null, 2)}\n`);
  const own: Config = {
    ...config,
    stateDir,
    wallet,
    metagraph: { ...config.metagraph, mode: "file", file: metagraphFile },
    // Secrets reach the processes through the environment only.
    feeds: { ...config.feeds, pyth: { ...config.feeds.pyth, apiKey: null } },
  };
  await writeFile(configFile, `${JSON.stringify(own, null, 2)}\n`);
  const logFile = path.join(dir, "miner.log");
  return { dir, stateDir, logFile, configFile, minerHotkey: miner.address, validator, validatorSeed, validatorKeyFile };
}
