import path from "node:path";
import { z } from "zod";
import { startHealth, type Readiness } from "../axon/health.ts";
import { startAxon, type Axon } from "../axon/server.ts";
import { openMetagraph, staticMetagraph, type Metagraph } from "../chain/metagraph.ts";
import { openChain, type Subnet } from "../chain/start-chain.ts";
import { systemClock, type Clock } from "../clock.ts";
import { marketClock } from "../config/clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { createSimulationPool } from "../engines/pool.ts";
import { eventWarnings, openEngines } from "../engines/load.ts";
import { whenReady } from "../engines/route.ts";
import { openRecalibration } from "../store/recalibration-store.ts";
import { describeError, EXIT, OperationalError, UsageError } from "../errors.ts";
import { createMarketFeed, createSources } from "../feeds/merge.ts";
import type { Logger } from "../log.ts";
import { readSoftwareIdentity } from "../store/recording-identity.ts";
import { createRecordingLog, type RecordingLog } from "../store/recording-log.ts";
import { VolatilityReader, VolatilityStore } from "../store/volatility-store.ts";
import { createSimulationService } from "../subnets/synth/handler.ts";
import { stateReadiness } from "../subnets/synth/readiness.ts";
import { tellSupervisorReady } from "../supervisor.ts";
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
  usage: "serve --wallet.name NAME --wallet.hotkey HOTKEY [--netuid 247] [--axon.dry_run] [settings]",
  options: z.object({}),
  positionals: [],
  sections: [
    ...["netuid", "subtensor", "wallet", "axon", "health", "blacklist", "neuron", "metagraph", "stateDir"],
    ...["engines", "feeds", "recordings", "clock", "logging"],
  ],
  async run({ config, configFiles, logger, signal, print }) {
    const listed = await configured(() => openListedMetagraph(config, logger));
    const keypair = await configured(() => loadHotkey(config.wallet, { logger, signal }));
    const subnet = listed ?? (await openChain({ config, keypair, clock: systemClock, logger, print, signal }));
    const { metagraph } = subnet;
    await using closers = new AsyncDisposableStack();
    const serving = await startServing(config, { keypair, metagraph, logger, closers });
    const { axon } = serving;
    const follower = subnet.follow?.(axon.port);
    if (follower) closers.defer(() => follower.close());
    const readiness = (): Readiness => {
      const reasons = [...serving.reasons(), ...(follower?.reasons() ?? [])];
      return { ready: reasons.length === 0, reasons };
    };
    const health = await startHealth({
      ip: config.health.ip,
      port: config.health.port ?? (config.axon.port === 0 ? 0 : axon.port + HEALTH_PORT_OFFSET),
      readiness,
      counters: () => ({
        ...serving.counters(),
        metagraph: { validators: metagraph.validators().length, ageSeconds: metagraph.ageSeconds() },
        chain: follower?.stats() ?? null,
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

    const ended = new AbortController();
    closers.defer(() => {
      ended.abort();
    });
    void untilReady(readiness, { logger, signal: AbortSignal.any([signal, ended.signal]) });
    const stopped = new Promise<typeof EXIT.OK>((resolve) => {
      signal.addEventListener("abort", () => {
        resolve(EXIT.OK);
      });
      if (signal.aborted) resolve(EXIT.OK);
    });
    return await Promise.race([stopped, ...(follower ? [follower.unregistered.then(() => EXIT.NOT_REGISTERED)] : [])]);
  },
});

interface Serving {
  readonly axon: Axon;
  /** Why prompts are not answered by the engine they should be. */
  readonly reasons: () => readonly string[];
  readonly counters: () => Readonly<Record<string, unknown>>;
}

/** Opens the axon with everything behind it; `closers` ends it all. */
async function startServing(
  config: Config,
  shell: { keypair: Keypair; metagraph: Metagraph; logger: Logger; closers: AsyncDisposableStack },
): Promise<Serving> {
  const { keypair, metagraph, logger, closers } = shell;
  const clock = marketClock(config.clock);
  const recordings = config.recordings.enabled ? await openRecordings(config, { keypair, logger }) : null;
  if (recordings) closers.defer(() => recordings.close());
  const pool = await createSimulationPool(config.engines);
  closers.defer(() => pool.close());
  const reader = new VolatilityReader(new VolatilityStore(config.stateDir), {
    maxStateAgeSeconds: config.engines.maxStateAgeSeconds,
    clock: systemClock,
  });
  const reasons = (): readonly string[] =>
    stateReadiness((asset) => reader.snapshot(asset, millisToSeconds(clock.nowMs())), config.health.maxStateAgeSeconds)
      .reasons;
  const engines = openEngines(
    config,
    (reason) => {
      logger.warn({ reason }, "Part of the engines is missing");
    },
    openRecalibration(config.stateDir, clock),
  );
  await whenReady(engines);
  const service = createSimulationService({
    hotkey: hotkey(keypair.address),
    reader,
    feed: openFeed(config, { clock, logger }),
    pool,
    engines,
    clock,
    logger,
    config,
  });
  for (const reason of eventWarnings(millisToSeconds(clock.nowMs())))
    logger.warn({ reason }, "Scheduled events end soon");
  const axon = await startAxon({
    config: config.axon,
    blacklist: config.blacklist,
    keypair,
    metagraph,
    services: [service],
    clock: systemClock,
    logger,
    nonceFile: path.join(config.stateDir, "nonces", `${keypair.address}.log`),
    addressFile: path.join(config.stateDir, "addresses", `${keypair.address}.json`),
    threads: config.engines.threads,
    onExchange: (exchange) => {
      recordings?.append(exchange);
      return recordings?.recorded();
    },
  });
  closers.defer(() => axon.close({ graceMs: config.axon.shutdownGraceMs }));
  return {
    axon,
    reasons,
    counters: () => ({
      axon: axon.stats(),
      simulations: pool.stats(),
      synth: service.stats(),
      recordings: recordings?.stats() ?? null,
    }),
  };
}

/** A wallet or metagraph file that cannot be used needs a person, as a wrong flag does: pm2 must not try again. */
async function configured<Result>(open: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await open();
  } catch (error) {
    throw error instanceof OperationalError ? new UsageError([describeError(error)]) : error;
  }
}

/** A metagraph that is given, so that no chain is asked; null where the chain's is wanted. */
function openListedMetagraph(config: Config, logger: Logger): Subnet | null {
  const { mode, file } = config.metagraph;
  if (mode === "open") {
    logger.warn("Metagraph is open: every correctly signed request is answered, whoever sends it");
    return { metagraph: openMetagraph(), follow: null };
  }
  if (file !== null) {
    logger.info({ file }, "Metagraph is read from a file: no chain is asked, the axon is not announced");
    return { metagraph: staticMetagraph(file, { clock: systemClock, logger }), follow: null };
  }
  if (mode === "chain") return null;
  const problem = "--metagraph.file: expected a JSON file of the subnet's hotkeys (see README), found nothing";
  throw new UsageError([problem]);
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
      tellSupervisorReady();
      return;
    }
    if (!said) logger.warn({ reasons }, "Not ready yet");
    said = true;
    await systemClock.sleep(READINESS_POLL_MS, signal).catch(() => undefined);
  }
}
