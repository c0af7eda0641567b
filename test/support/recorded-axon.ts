import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { startAxon, type Axon } from "../../src/axon/server.ts";
import { signedRequest, type SignedRequest } from "../../src/bittensor/dendrite.ts";
import { openMetagraph } from "../../src/chain/metagraph.ts";
import { systemClock } from "../../src/clock.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { runForecast } from "../../src/engines/forecast.ts";
import { openEngines } from "../../src/engines/load.ts";
import type { Engines } from "../../src/engines/route.ts";
import { silentLogger } from "../../src/log.ts";
import { readSoftwareIdentity } from "../../src/store/recording-identity.ts";
import { createRecordingLog, type RecordingLog } from "../../src/store/recording-log.ts";
import { openRecalibration } from "../../src/store/recalibration-store.ts";
import { VolatilityReader, VolatilityStore } from "../../src/store/volatility-store.ts";
import { createSimulationService } from "../../src/subnets/synth/handler.ts";
import { millisToNanos, millisToSeconds, unixSeconds } from "../../src/units.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { volatilityState } from "./forecast-inputs.ts";
import { z } from "zod";

export const axonKey = keypairFromSeed(new Uint8Array(32).fill(1));
export const validatorKey = keypairFromSeed(new Uint8Array(32).fill(2));
export const REPOSITORY = join(import.meta.dirname, "../..");

/** Flags of the axon's engines: they read `<state dir>/calibration.json`. */
export function engineFlags(stateDir: string): string[] {
  return ["--state-dir", stateDir, "--engines.calibration", join(stateDir, "calibration.json")];
}

export function configFor(stateDir: string): Config {
  const args = [...engineFlags(stateDir), "--axon.port", "0", "--axon.ip", "127.0.0.1"];
  return loadConfig({ args, env: {}, cwd: stateDir, options: z.object({}), positionals: [], configFiles: [] }).config;
}

/** As `serve` and `replay` open them. */
export function enginesOf(stateDir: string, onProblem: (problem: string) => void): Engines {
  return openEngines(configFor(stateDir), onProblem, openRecalibration(stateDir, systemClock));
}

export interface RecordedAxon {
  readonly axon: Axon;
  readonly log: RecordingLog;
  readonly url: string;
  /** Files that the engines could not use. */
  readonly problems: readonly string[];
  /** Stops the axon and writes what is queued. */
  close(): Promise<void>;
}

/** A real axon with the real handler and recording log; BTC has a fresh state of .02 % a minute, every feed is down. */
export async function startRecordedAxon(stateDir: string): Promise<RecordedAxon> {
  const config = configFor(stateDir);
  const store = new VolatilityStore(stateDir);
  await store.prepare();
  const nowSeconds = millisToSeconds(systemClock.nowMs());
  await store.save(volatilityState({ newest: unixSeconds(nowSeconds - (nowSeconds % 60) - 60), swing: 2e-4 }));
  const problems: string[] = [];
  const reader = new VolatilityReader(store, { maxStateAgeSeconds: 600, clock: systemClock });
  const service = createSimulationService({
    hotkey: axonKey.address,
    reader: { snapshot: (asset) => reader.snapshot(asset, millisToSeconds(systemClock.nowMs())) },
    feed: { price: () => Promise.reject(new Error("no feed in this test")) },
    pool: { simulate: (task) => runForecast(task) },
    engines: enginesOf(stateDir, (problem) => problems.push(problem)),
    clock: systemClock,
    logger: silentLogger,
    config,
  });
  const log = createRecordingLog({
    dir: join(stateDir, "recordings", axonKey.address),
    limits: config.recordings,
    clock: systemClock,
    logger: silentLogger,
    identity: await readSoftwareIdentity(REPOSITORY),
  });
  const axon = await startAxon({
    config: config.axon,
    blacklist: config.blacklist,
    keypair: axonKey,
    metagraph: openMetagraph(),
    services: [service],
    clock: systemClock,
    logger: silentLogger,
    nonceFile: join(stateDir, "nonces.log"),
    addressFile: join(stateDir, "addresses.json"),
    threads: 1,
    onExchange: (exchange) => log.append(exchange),
  });
  const close = async (): Promise<void> => {
    await axon.close({ graceMs: 2000 });
    await log.close();
  };
  return { axon, log, url: `http://127.0.0.1:${axon.port}`, problems, close };
}

/** A signed prompt as a validator sends it; `input` replaces fields of simulation_input. */
export function signedPrompt(input: Record<string, unknown> = {}): SignedRequest {
  return signedRequest({
    keypair: validatorKey,
    receiverHotkey: axonKey.address,
    synapse: "Simulation",
    body: {
      simulation_input: {
        asset: "BTC",
        start_time: "2026-10-01T12:05:00+00:00",
        time_increment: 60,
        time_length: 3600,
        num_simulations: 20,
        ...input,
      },
      simulation_output: null,
    },
    timeoutSeconds: 20,
    nonce: millisToNanos(systemClock.nowMs()),
    uuid: randomUUID(),
  });
}

export async function post(url: string, request: SignedRequest): Promise<Response> {
  return fetch(url + request.path, { method: "POST", headers: request.headers, body: request.body });
}
