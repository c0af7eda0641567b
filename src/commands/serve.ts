import path from "node:path";
import { z } from "zod";
import { startHealth, type Readiness } from "../axon/health.ts";
import { startAxon } from "../axon/server.ts";
import { openMetagraph, staticMetagraph, type Metagraph } from "../chain/metagraph.ts";
import { systemClock, type Clock } from "../clock.ts";
import { marketClock } from "../config/clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { createSimulationPool } from "../engines/pool.ts";
import { createEngines } from "../engines/route.ts";
import { describeError, EXIT, OperationalError, UsageError } from "../errors.ts";
import { createMarketFeed, createSources } from "../feeds/merge.ts";
import type { Logger } from "../log.ts";
import { readSoftwareIdentity } from "../store/recording-identity.ts";
import { createRecordingLog, type RecordingLog } from "../store/recording-log.ts";
import { VolatilityReader, VolatilityStore } from "../store/volatility-store.ts";
import { createSimulationService } from "../subnets/synth/handler.ts";
import { stateReadiness } from "../subnets/synth/readiness.ts";
import { hotkey, millisToSeconds } from "../units.ts";
import { loadHotkey } from "../wallet/keyfile.ts";
import type { Keypair } from "../wallet/keypair.ts";
import { defineCommand } from "./command.ts";

/** Above the axon's port, so that several axons on one machine do not collide. */
const HEALTH_PORT_OFFSET = 1000;
const READINESS_POLL_MS = 250;

export const serveCommand = defineCommand({
  name: "serve",
  isDaemon: true,
  summary: "run the axon: answer signed prompts of validators",
  usage: "serve --wallet.name NAME --wallet.hotkey HOTKEY --metagraph.file FILE [settings]",
  options: z.object({}),
  positionals: [],
  sections: [
    ...["netuid", "wallet", "axon", "health", "blacklist", "metagraph", "stateDir", "engines", "feeds", "recordings"],
    ...["clock", "logging"],
  ],
  async run({ config, configFiles, logger, signal }) {
    const metagraph = await configured(() => openConfiguredMetagraph(config, logger));
    const keypair = await configured(() => loadHotkey(config.wallet));
    const clock = marketClock(config.clock);
    await using closers = new AsyncDisposableStack();

    const recordings = config.recordings.enabled ? await openRecordings(config, { keypair, logger }) : null;
    if (recordings) closers.defer(() => recordings.close());
    const pool = await createSimulationPool(config.engines);
    closers.defer(() => pool.close());
    const reader = new VolatilityReader(new VolatilityStore(config.stateDir), {
      maxStateAgeSeconds: config.engines.maxStateAgeSeconds,
      clock: systemClock,
    });
    const readiness = (): Readiness =>
      stateReadiness(
        (asset) => reader.snapshot(asset, millisToSeconds(clock.nowMs())),
        config.health.maxStateAgeSeconds,
      );
    const service = createSimulationService({
      hotkey: hotkey(keypair.address),
      reader,
      feed: openFeed(config, { clock, logger }),
      pool,
      engines: createEngines({ ewma: config.engines.ewma }),
      clock,
      logger,
      config,
    });
    const axon = await startAxon({
      config: config.axon,
      blacklist: config.blacklist,
      keypair,
      metagraph,
      services: [service],
      clock: systemClock,
      logger,
      nonceFile: path.join(config.stateDir, "nonces", `${keypair.address}.log`),
      threads: config.engines.threads,
      onExchange: (exchange) => recordings?.append(exchange),
    });
    closers.defer(() => axon.close({ graceMs: config.axon.shutdownGraceMs }));
    const health = await startHealth({
      ip: config.health.ip,
      port: config.health.port ?? (config.axon.port === 0 ? 0 : axon.port + HEALTH_PORT_OFFSET),
      readiness,
      counters: () => ({
        axon: axon.stats(),
        simulations: pool.stats(),
        synth: service.stats(),
        recordings: recordings?.stats() ?? null,
        metagraph: { validators: metagraph.validators().length, ageSeconds: metagraph.ageSeconds() },
      }),
    });
    closers.defer(() => health.close());
    const facts = {
      hotkey: keypair.address,
      netuid: config.netuid,
      address: `${axon.address}:${axon.port}`,
      configFiles,
    };
    logger.info({ ...facts, health: `${health.address}:${health.port}` }, "Axon is listening");

    await untilReady(readiness, { logger, signal });
    if (!signal.aborted)
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve, { once: true });
      });
    return EXIT.OK;
  },
});

/** A wallet or metagraph file that cannot be used needs a person, as a wrong flag does: pm2 must not try again. */
async function configured<Result>(open: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await open();
  } catch (error) {
    throw error instanceof OperationalError ? new UsageError([describeError(error)]) : error;
  }
}

function openConfiguredMetagraph(config: Config, logger: Logger): Metagraph {
  if (config.metagraph.mode === "open") {
    logger.warn("Metagraph is open: every correctly signed request is answered, whoever sends it");
    return openMetagraph();
  }
  if (config.metagraph.file === null) {
    const problem = "--metagraph.file: expected a JSON file of the subnet's hotkeys (see README), found nothing";
    throw new UsageError([problem]);
  }
  return staticMetagraph(config.metagraph.file, { clock: systemClock, logger });
}

async function openRecordings(config: Config, shell: { keypair: Keypair; logger: Logger }): Promise<RecordingLog> {
  return createRecordingLog({
    dir: path.join(config.stateDir, "recordings", shell.keypair.address),
    limits: config.recordings,
    clock: systemClock,
    logger: shell.logger,
    identity: await readSoftwareIdentity(PACKAGE_ROOT),
  });
}

function openFeed(config: Config, shell: { clock: Clock; logger: Logger }): ReturnType<typeof createMarketFeed> {
  const { publishDelaySeconds } = config.updater;
  const sources = createSources(config.feeds, { ...shell, publishDelaySeconds });
  return createMarketFeed({ ...shell, sources, feeds: config.feeds });
}

/** Tells pm2 (wait_ready) once the state is there and fresh; says meanwhile what is missing. */
async function untilReady(readiness: () => Readiness, shell: { logger: Logger; signal: AbortSignal }): Promise<void> {
  const { logger, signal } = shell;
  let said = false;
  while (!signal.aborted) {
    const { ready, reasons } = readiness();
    if (ready) {
      logger.info("Ready: volatility state is loaded and fresh");
      process.send?.("ready");
      return;
    }
    if (!said) logger.warn({ reasons }, "Not ready; prompts are answered by fallback engines meanwhile");
    said = true;
    await systemClock.sleep(READINESS_POLL_MS, signal).catch(() => undefined);
  }
}
