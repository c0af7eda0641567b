import assert from "node:assert/strict";
import type { Answer, CallContext, SynapseService } from "../../axon/synapse-service.ts";
import { steadyClock, type Clock } from "../../clock.ts";
import type { Config } from "../../config/schema.ts";
import type { EngineName, ForecastRequest, HandOver, StateSnapshot } from "../../engines/engine.ts";
import type { SimulationPool } from "../../engines/pool.ts";
import { planForecast, type Engines, type ForecastPlan } from "../../engines/route.ts";
import type { ForecastResult } from "../../engines/task.ts";
import { describeError, OperationalError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import { millisToSeconds, type Hotkey, type UnixSeconds } from "../../units.ts";
import { anchorBudgetMs, createAnchors, type Anchor, type PriceFeed } from "./anchor.ts";
import type { SimulationEvidence } from "./evidence.ts";
import { createFallbackLedger } from "./fallbacks.ts";
import { INPUT_FIELD, OUTPUT_FIELD, parseSimulation, SIMULATION_SYNAPSE } from "./simulation.ts";

/** What the stores know about an asset right now; never throws. */
export interface SnapshotReader {
  snapshot(asset: AssetSymbol, nowSeconds: UnixSeconds): StateSnapshot;
}

export interface SimulationServiceDeps {
  /** Our own hotkey: part of every seed, so that two miners draw different paths. */
  readonly hotkey: Hotkey;
  readonly reader: SnapshotReader;
  readonly feed: PriceFeed;
  readonly pool: Pick<SimulationPool, "simulate">;
  readonly engines: Engines;
  /** The market clock. */
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: { readonly feeds: Pick<Config["feeds"], "priceTimeoutMs"> };
  /** Of deadlines. */
  readonly steadyClock?: Clock;
}

export interface SimulationServiceStats {
  readonly answered: number;
  /** Fallbacks by `<asset>/<engine or anchor>/<code>`. */
  readonly fallbacks: Readonly<Record<string, number>>;
}

/** A prompt, and the market as it was when the prompt had been accepted; null until it is gathered. */
export interface SimulationWork {
  readonly request: ForecastRequest;
  readonly market: { readonly volatility: StateSnapshot; readonly found: Anchor } | null;
}

export interface SimulationService extends SynapseService<SimulationWork> {
  stats(): SimulationServiceStats;
}

/** What a simulation costs besides its prices (planning, the way to a worker and back), in prices. */
const FIXED_COST_PRICES = 30_000;

/** An engine without a model, an asset without a past: how things stand, not an event. */
const EXPECTED_CODES: ReadonlySet<string> = new Set([
  "model/not_installed",
  "calibration/class",
  "profile/class",
  "noise/implied",
  "recalibration/none",
]);

/** The Synth subnet's synapse: a prompt in, simulated paths out. */
export function createSimulationService(deps: SimulationServiceDeps): SimulationService {
  const { logger, pool, reader } = deps;
  const steady = deps.steadyClock ?? steadyClock;
  const priceTimeoutMs = deps.config.feeds.priceTimeoutMs;
  const anchors = createAnchors({ feed: deps.feed, clock: deps.clock, steady, priceTimeoutMs });
  const ledger = createFallbackLedger({ clock: steady, logger, expectedCodes: EXPECTED_CODES });
  let answered = 0;

  async function findAnchor(
    request: ForecastRequest,
    volatility: StateSnapshot,
    context: CallContext,
  ): Promise<Anchor> {
    const timeoutMs = anchorBudgetMs({ nowMs: steady.nowMs(), deadlineMs: context.deadlineMs, priceTimeoutMs });
    const found = await anchors.find(request.asset, { snapshot: volatility, timeoutMs });
    if (found.failure !== null) ledger.note(request.asset, "anchor", { ...found.failure, ...found.anchor });
    return found;
  }

  function noteHandOvers(asset: AssetSymbol, handOvers: readonly HandOver[]): void {
    for (const { engine, code, message } of handOvers) ledger.note(asset, engine, { code, message });
  }

  async function gather({ request }: SimulationWork, context: CallContext): Promise<SimulationWork> {
    const volatility = reader.snapshot(request.asset, millisToSeconds(deps.clock.nowMs()));
    return { request, market: { volatility, found: await findAnchor(request, volatility, context) } };
  }

  async function run(work: SimulationWork, context: CallContext): Promise<Answer> {
    const { request, market } = work;
    assert(market, "a prompt runs after it was gathered");
    const { volatility, found } = market;
    const { asset } = request;
    const plan = planForecast(request, { asset, volatility, anchor: found.anchor }, deps.engines);
    noteHandOvers(asset, plan.handOvers);
    try {
      const result = await pool.simulate(plan.task, { signal: context.signal, deadlineMs: context.deadlineMs });
      noteHandOvers(asset, result.handOvers);
      for (const reason of fallbacksOf(plan, result.engine)) ledger.note(asset, result.engine, reason);
      answered++;
      const evidence = evidenceOf({ plan, result, found, volatility });
      return { ok: true, fields: { [OUTPUT_FIELD]: result.simulationOutput }, evidence };
    } catch (error) {
      // The client has gone: nobody reads the answer, and nothing of ours failed.
      if (context.signal.aborted)
        return { ok: false, status: 503, code: "simulation/aborted", message: "Request aborted" };
      if (steady.nowMs() >= context.deadlineMs) {
        const message = "The answer was not ready before the request's timeout";
        return { ok: false, status: 503, code: "simulation/deadline", message };
      }
      const code = error instanceof OperationalError ? error.code : "simulation/failed";
      logger.error({ asset, code, reason: describeError(error) }, "No engine answered");
      return { ok: false, status: 500, code, message: "No engine could answer" };
    }
  }

  return {
    name: SIMULATION_SYNAPSE,
    requiredHashFields: [],
    responseFields: [INPUT_FIELD, OUTPUT_FIELD],
    accept: (body) => {
      const parsed = parseSimulation(body[INPUT_FIELD], deps.hotkey);
      if (!parsed.ok) return { ok: false, status: 400, code: parsed.code, message: parsed.message };
      const { request } = parsed;
      const prices = request.numSimulations * (request.horizonSeconds / request.stepSeconds + 1);
      return { ok: true, work: { request, market: null }, cost: FIXED_COST_PRICES + prices };
    },
    gather,
    run,
    stats: () => ({ answered, fallbacks: ledger.counts() }),
  };
}

/** What stood in for something better inside the engine that answered. */
function fallbacksOf({ task }: ForecastPlan, engine: EngineName): readonly { code: string; message: string }[] {
  const input = task.inputs.find((each) => each.engine === engine);
  return input !== undefined && "fallbacks" in input ? input.fallbacks : [];
}

function evidenceOf(parts: {
  plan: ForecastPlan;
  result: ForecastResult;
  found: Anchor;
  volatility: StateSnapshot;
}): SimulationEvidence {
  const { plan, result, found, volatility } = parts;
  const known = volatility.status === "ok" || volatility.status === "stale" ? volatility : null;
  const { identity = null, ageSeconds = null } = known ?? {};
  return {
    task: { request: plan.task.request, inputs: [...plan.task.inputs] },
    engine: result.engine,
    engineVersion: result.engineVersion,
    handOvers: [...plan.handOvers, ...result.handOvers],
    anchor: found.anchor,
    anchorFailure: found.failure,
    state: { status: volatility.status, identity, ageSeconds },
    pathChecksums: Array.from(result.pathChecksums),
    simulateMs: result.simulateMs,
    encodeMs: result.encodeMs,
    digest: result.digest,
  };
}
