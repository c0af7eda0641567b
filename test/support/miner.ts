import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { freePort } from "../../src/demo/free-port.ts";
import { marketFeeds } from "../../src/demo/market-feeds.ts";
import { startMinerProcess, stopMinerProcess, type MinerProcess } from "../../src/demo/processes.ts";
import { createRehearsal, type Rehearsal } from "../../src/demo/rehearsal.ts";
import { startRecordedMarket, type RecordedMarket } from "../../src/feeds/recorded/server.ts";

/** A generated market, a rehearsal folder, and the program's own processes on them. */
export interface TestMiner extends Rehearsal {
  readonly market: RecordedMarket;
  readonly axon: { readonly url: string; readonly hotkey: string; readonly port: number };
  readonly healthUrl: string;
  start(command: "update" | "serve", args?: readonly string[]): MinerProcess;
  /** Ends every process of this command that was started here. */
  stop(command: "update" | "serve"): Promise<void>;
  close(): Promise<void>;
}

export async function createTestMiner(change: (config: Config) => Config = (config) => config): Promise<TestMiner> {
  const dir = mkdtempSync(path.join(tmpdir(), "synth-e2e-"));
  const market = await startRecordedMarket({ dir: null, seed: 1 });
  const configFiles = ["config/demo.json"];
  const { config } = loadConfig({ args: [], env: {}, cwd: dir, options: z.object({}), positionals: [], configFiles });
  const [port, healthPort] = [await freePort(), await freePort()];
  const rehearsal = await createRehearsal(
    dir,
    change({
      ...config,
      axon: { ...config.axon, port },
      health: { ...config.health, port: healthPort },
      feeds: marketFeeds(market, config.feeds),
    }),
  );
  const running: { readonly command: string; readonly process: MinerProcess }[] = [];
  const stop = async (wanted: readonly string[]): Promise<void> => {
    const chosen = running.filter(({ command }) => wanted.includes(command));
    await Promise.all(chosen.map(({ process }) => stopMinerProcess(process)));
  };
  return {
    ...rehearsal,
    market,
    axon: { url: `http://127.0.0.1:${port}`, hotkey: rehearsal.minerHotkey, port },
    healthUrl: `http://127.0.0.1:${healthPort}`,
    start: (command, args = []) => {
      const all = ["--config", rehearsal.configFile, ...args];
      const miner = startMinerProcess({ command, args: all, logFile: rehearsal.logFile, cwd: dir, pythApiKey: null });
      running.push({ command, process: miner });
      return miner;
    },
    stop: (command) => stop([command]),
    close: async () => {
      await stop(["update", "serve"]);
      await market.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
