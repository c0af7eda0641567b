import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import { freePort } from "../demo/free-port.ts";
import { startMinerProcess, stopMinerProcess, type MinerProcess } from "../demo/processes.ts";
import { marketFeeds } from "../demo/market-feeds.ts";
import { createRehearsal, type Rehearsal } from "../demo/rehearsal.ts";
import { recordedEngines } from "../demo/recorded-engines.ts";
import { askAxon, type AxonAddress, type Prompt, type Verdict } from "../demo/validator.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { findMarketDir, startRecordedMarket, type RecordedMarket } from "../feeds/recorded/server.ts";
import { ASSET_SYMBOLS } from "../market/assets.ts";
import { COMPETITIONS, type Competition } from "../subnets/synth/competitions.ts";
import { CORRECT } from "../subnets/synth/validate-answer.ts";
import { SECONDS_PER_MINUTE } from "../units.ts";
import { defineCommand } from "./command.ts";
import { textTable } from "./text-table.ts";

/** The first cycle warms up several days of candles for every asset; live feeds limit its pace. */
const READY_TIMEOUT_MS = 180_000;

export const demoCommand = defineCommand({
  name: "demo",
  summary: "a local validator asks the real miner about every asset, on recorded or generated candles",
  usage: "demo [--market DIR] [--keep] [--live]",
  options: z.object({
    keep: z.boolean().default(false).describe("leave market, updater and axon running until Ctrl-C"),
    live: z.boolean().default(false).describe("use the public feeds instead of the recorded market"),
  }),
  positionals: [],
  sections: ["market", "axon", "engines", "feeds", "logging"],
  configFiles: ["config/demo.json"],
  async run({ config, options, print, signal }) {
    const dir = await mkdtemp(path.join(tmpdir(), "synth-demo-"));
    await using closers = new AsyncDisposableStack();
    let succeeded = false;
    closers.defer(async () => {
      // A failed demo leaves its logs to be read.
      if (succeeded && !options.keep) await rm(dir, { recursive: true, force: true });
    });

    const market = options.live ? null : await openMarket(config);
    if (market) closers.defer(() => market.close());
    print(market ? marketTable(market) : "Market: the public feeds");
    const port = config.axon.port === 0 ? await freePort() : config.axon.port;
    const own = {
      ...config,
      axon: { ...config.axon, port },
      feeds: market ? marketFeeds(market, config.feeds) : config.feeds,
    };
    const rehearsal = await createRehearsal(dir, own);
    for (const command of ["update", "serve"]) {
      const miner = startMiner(command, rehearsal, config.feeds.pyth.apiKey);
      closers.defer(() => stopMinerProcess(miner));
      await readyWithin(miner, { command, logFile: rehearsal.logFile, signal });
    }
    const axon = { url: `http://127.0.0.1:${port}`, hotkey: rehearsal.minerHotkey };
    const verdicts = await askEverything(axon, rehearsal, signal);
    const engines = await recordedEngines(path.join(rehearsal.stateDir, "recordings", rehearsal.minerHotkey));
    print(verdictTable(verdicts, engines));
    const correct = verdicts.filter(({ verdict, signed }) => verdict === CORRECT && signed).length;
    const planned = promptShapes().length * ASSET_SYMBOLS.length;
    print(`${correct} of ${planned} answers are ${CORRECT} and signed by the axon`);
    succeeded = correct === planned;
    if (!succeeded) print(`The log of the miner's processes: ${rehearsal.logFile}`);
    if (options.keep && !signal.aborted) {
      const { configFile, validatorKeyFile } = rehearsal;
      print(`Everything keeps running until Ctrl-C. Axon ${axon.url}, hotkey ${axon.hotkey}; folder ${dir}. Try`);
      print(`  npm run -s miner -- inspect --config ${configFile}`);
      print(`  npm run -s miner -- replay last --config ${configFile}`);
      print(
        `  npm run -s miner -- replay last --config ${configFile} --send ${axon.url} --key-file ${validatorKeyFile}`,
      );
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve, { once: true });
      });
    }
    return succeeded ? EXIT.OK : EXIT.FAILURE;
  },
});

function openMarket(config: Config): Promise<RecordedMarket> {
  return startRecordedMarket({ dir: findMarketDir(config.market.dir), seed: config.market.seed });
}

function startMiner(command: string, rehearsal: Rehearsal, pythApiKey: string | null): MinerProcess {
  const { configFile, logFile, dir } = rehearsal;
  return startMinerProcess({ command, args: ["--config", configFile], logFile, cwd: dir, pythApiKey });
}

async function readyWithin(
  miner: MinerProcess,
  context: { command: string; logFile: string; signal: AbortSignal },
): Promise<void> {
  const settled = new AbortController();
  const late = systemClock.sleep(READY_TIMEOUT_MS, AbortSignal.any([settled.signal, context.signal])).then(
    () => {
      const message = `${context.command} was not ready within ${READY_TIMEOUT_MS / 1000} s; its log: ${context.logFile}`;
      throw new OperationalError("demo/not_ready", message);
    },
    () => {
      if (context.signal.aborted) throw new OperationalError("demo/stopped", "stopped before the miner was ready");
    },
  );
  try {
    await Promise.race([miner.ready, late]);
  } finally {
    settled.abort();
  }
}

/** The two prompts that validators send: 1 h in minutes, 24 h in five minutes. */
function promptShapes(): Competition[] {
  return [...new Map(COMPETITIONS.map((competition) => [competition.horizonSeconds, competition])).values()];
}

async function askEverything(axon: AxonAddress, rehearsal: Rehearsal, signal: AbortSignal): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const { horizonSeconds, stepSeconds, numSimulations, leadSeconds } of promptShapes()) {
    for (const asset of ASSET_SYMBOLS) {
      if (signal.aborted) break;
      const nowSeconds = systemClock.nowMs() / 1000;
      // Validators ask for the minute after next and give until then.
      const startTimeSeconds = Math.ceil((nowSeconds + leadSeconds) / SECONDS_PER_MINUTE) * SECONDS_PER_MINUTE;
      const prompt: Prompt = { asset, startTimeSeconds, stepSeconds, horizonSeconds, numSimulations };
      const context = { keypair: rehearsal.validator, timeoutSeconds: leadSeconds };
      verdicts.push(await askAxon(axon, prompt, context));
    }
  }
  return verdicts;
}

function marketTable(market: RecordedMarket): string {
  return textTable(
    ["asset", "market"],
    market.sources().map(({ asset, description }) => [asset, description]),
  );
}

function verdictTable(verdicts: readonly Verdict[], engines: ReadonlyMap<string, string>): string {
  const rows = verdicts.map(({ prompt, seconds, bytes, verdict }) => {
    const engine = engines.get(`${prompt.asset}/${prompt.horizonSeconds}`) ?? "-";
    return [prompt.asset, `${prompt.horizonSeconds / 3600}h`, engine, seconds.toFixed(3), bytes, verdict];
  });
  return textTable(["asset", "horizon", "engine", "seconds", "bytes", "verdict"], rows, [
    "horizon",
    "seconds",
    "bytes",
  ]);
}
