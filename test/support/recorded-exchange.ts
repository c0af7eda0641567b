import type { Exchange } from "../../src/axon/synapse-service.ts";
import type { Clock } from "../../src/clock.ts";
import type { SoftwareIdentity } from "../../src/store/recording-identity.ts";
import { hotkey, unixMillis } from "../../src/units.ts";

export const testIdentity: SoftwareIdentity = {
  packageVersion: "0.1.0",
  gitCommit: "0123456789abcdef0123456789abcdef01234567",
  nodeVersion: process.version,
  modelsSha256: null,
};

/** As the engine's version 1 prepared and recorded it (commit 4749032, nu 6, sigmaScale .85, 2e-7 a minute). */
export const EWMA_VERSION_1_INPUT = {
  engine: "ewma",
  anchorPrice: 100_000,
  sigma2PerStep: 1.4449999999999995e-7,
  nu: 6,
  pathFeedback: 0.05,
  offHoursMultiplier: 1,
  clamped: null,
} as const;

/** A settled exchange as an axon hands it to the recording log. */
export function recordedExchange(overrides: Partial<Exchange> = {}): Exchange {
  return {
    receivedAtMs: unixMillis(Date.parse("2026-10-01T12:00:00Z")),
    remoteIp: "192.0.2.1",
    method: "POST",
    path: "/Simulation",
    headers: { name: "Simulation", timeout: "50.0" },
    body: new TextEncoder().encode('{"simulation_input":{}}'),
    synapse: "Simulation",
    scheme: "synapse",
    sender: { hotkey: hotkey("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"), stake: 70_000.5 },
    receiver: hotkey("5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"),
    status: 200,
    message: "Success",
    fieldDigests: { simulation_output: "ab".repeat(32) },
    responseBytes: 123,
    evidence: { pathChecksums: new Uint32Array([1, 2, 4_294_967_295]), nested: { list: [1, "two", null] } },
    timings: { admissionMs: 2.5, queueMs: 0, runMs: 30.25, totalMs: 33 },
    ...overrides,
  };
}

/** A clock that stands still until it is set. */
export class RecordingClock implements Clock {
  ms: number;

  constructor(instant = "2026-10-01T12:00:00Z") {
    this.ms = Date.parse(instant);
  }

  nowMs(): ReturnType<Clock["nowMs"]> {
    return unixMillis(this.ms);
  }

  sleep(): Promise<void> {
    return Promise.resolve();
  }
}
