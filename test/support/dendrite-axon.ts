import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { startAxon, type Axon, type AxonOptions } from "../../src/axon/server.ts";
import type { Accepted, Answer, CallContext, Exchange, SynapseService } from "../../src/axon/synapse-service.ts";
import { staticMetagraph } from "../../src/chain/metagraph.ts";
import { steadyClock, systemClock, type Clock } from "../../src/clock.ts";
import { silentLogger } from "../../src/log.ts";
import { unixMillis } from "../../src/units.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { tempFolder } from "./temp-folder.ts";

/** An axon with an echo for a subnet, on a free port, with a small metagraph. */

export const MINER = keypairFromSeed(new Uint8Array(32).fill(1));
export const VALIDATOR = keypairFromSeed(new Uint8Array(32).fill(2));
export const SECOND_VALIDATOR = keypairFromSeed(new Uint8Array(32).fill(3));
export const POOR_VALIDATOR = keypairFromSeed(new Uint8Array(32).fill(4));
export const PERMITLESS = keypairFromSeed(new Uint8Array(32).fill(5));
export const STRANGER = keypairFromSeed(new Uint8Array(32).fill(6));

const NEURONS = [
  { hotkey: MINER.address, uid: 0, stake: 10, validator_permit: false, ip: null },
  { hotkey: VALIDATOR.address, uid: 1, stake: 100_000, validator_permit: true, ip: "127.0.0.1" },
  { hotkey: SECOND_VALIDATOR.address, uid: 2, stake: 200_000, validator_permit: true, ip: "192.0.2.2" },
  { hotkey: POOR_VALIDATOR.address, uid: 3, stake: 64_999, validator_permit: true, ip: null },
  { hotkey: PERMITLESS.address, uid: 4, stake: 100_000, validator_permit: false, ip: null },
];

export type Run = (input: Readonly<Record<string, unknown>>, context: CallContext) => Promise<Answer>;

const encoder = new TextEncoder();

export const echo: Run = (input) =>
  Promise.resolve({
    ok: true,
    fields: { simulation_output: encoder.encode(JSON.stringify([1, input])) },
    evidence: "echo",
  });

export function simulationService(run: Run, changes: Partial<SynapseService<Readonly<Record<string, unknown>>>> = {}) {
  const service: SynapseService<Readonly<Record<string, unknown>>> = {
    name: "Simulation",
    requiredHashFields: [],
    responseFields: ["simulation_input", "simulation_output"],
    accept: (body): Accepted<Readonly<Record<string, unknown>>> => {
      const input = body["simulation_input"];
      if (typeof input !== "object" || input === null) {
        return { ok: false, status: 400, code: "input", message: "simulation_input: expected an object" };
      }
      return { ok: true, work: input as Record<string, unknown>, cost: 1 };
    },
    run,
    ...changes,
  };
  return service as SynapseService;
}

const OUTPUT: Answer = {
  ok: true,
  fields: { simulation_output: new TextEncoder().encode("[1,300,[1.5]]") },
  evidence: 7,
};

/** A service whose runs end when the test says so. */
export function gatedService() {
  const started: string[] = [];
  const aborted: string[] = [];
  const finish = new Map<string, () => void>();
  const service = simulationService((input, { signal }) => {
    const name = String(input["asset"]);
    started.push(name);
    return new Promise((resolve) => {
      finish.set(name, () => {
        resolve(OUTPUT);
      });
      signal.addEventListener("abort", () => {
        aborted.push(name);
        resolve({ ok: false, status: 503, code: "aborted", message: "aborted" });
      });
    });
  });
  return { service, started, aborted, finish };
}

export function prompt(asset: string) {
  return { body: { simulation_input: { asset }, simulation_output: null } };
}

export const AXON_CONFIG: AxonOptions["config"] = {
  ip: "127.0.0.1",
  port: 0,
  externalIp: null,
  ipServices: [],
  externalPort: null,
  dryRun: false,
  allowIps: "any",
  maxBodyBytes: 65_536,
  bodyTimeoutMs: 2000,
  maxConnections: 512,
  maxConnectionsPerIp: 256,
  maxRequestsPerIp: 10_000,
  maxQueue: 128,
  maxVerificationsPerIp: 64,
  maxVerifications: 64,
  maxTimeoutSeconds: 300,
  nonceFutureSeconds: 60,
  maxNonces: 4096,
  shutdownGraceMs: 1000,
};

export interface TestAxon {
  readonly axon: Axon;
  readonly port: number;
  readonly exchanges: Exchange[];
  readonly folder: string;
  readonly ask: { readonly port: number; readonly keypair: typeof VALIDATOR; readonly receiverHotkey: string };
  /** Adds to the wall clock as the axon sees it. */
  readonly shiftClock: (seconds: number) => void;
  /** Adds to the clock of deadlines and timings. */
  readonly shiftSteadyClock: (seconds: number) => void;
}

export async function openAxon(
  test: TestContext,
  options: {
    config?: Partial<AxonOptions["config"]>;
    blacklist?: Partial<AxonOptions["blacklist"]>;
    services?: readonly SynapseService[];
    metagraph?: AxonOptions["metagraph"];
    threads?: number;
    /** The clock of deadlines and timings stands but for `shiftSteadyClock`. */
    steadyClockStands?: boolean;
    folder?: string;
    logger?: AxonOptions["logger"];
    /** Called after the exchange was kept, and awaited. */
    recorded?: () => Promise<unknown>;
  } = {},
): Promise<TestAxon> {
  const folder = options.folder ?? (await tempFolder(test));
  const file = join(folder, "metagraph.json");
  writeFileSync(file, JSON.stringify({ neurons: NEURONS }));
  let [shiftMs, passedMs] = [0, 0];
  const stoodMs = options.steadyClockStands === true ? steadyClock.nowMs() : undefined;
  const clock: Clock = {
    nowMs: () => unixMillis(systemClock.nowMs() + shiftMs),
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
  };
  const exchanges: Exchange[] = [];
  const logger = options.logger ?? silentLogger;
  const axon = await startAxon({
    config: { ...AXON_CONFIG, ...options.config },
    blacklist: {
      forceValidatorPermit: true,
      validatorMinStake: 65_000,
      allowNonRegistered: false,
      ...options.blacklist,
    },
    keypair: MINER,
    metagraph: options.metagraph ?? staticMetagraph(file, { clock, logger }),
    services: options.services ?? [simulationService(echo)],
    clock,
    steadyClock: { ...steadyClock, nowMs: () => unixMillis((stoodMs ?? steadyClock.nowMs()) + passedMs) },
    logger,
    nonceFile: join(folder, "nonces"),
    addressFile: join(folder, "addresses.json"),
    threads: options.threads ?? 2,
    onExchange: (exchange) => {
      exchanges.push(exchange);
      return options.recorded?.();
    },
  });
  test.after(() => axon.close({ graceMs: 0 }));
  const ask = { port: axon.port, keypair: VALIDATOR, receiverHotkey: MINER.address };
  return {
    axon,
    port: axon.port,
    exchanges,
    folder,
    ask,
    shiftClock: (seconds) => {
      shiftMs += seconds * 1000;
    },
    shiftSteadyClock: (seconds) => {
      passedMs += seconds * 1000;
    },
  };
}
