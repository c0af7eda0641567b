import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Answer, CallContext } from "../../../../src/axon/synapse-service.ts";
import type { Clock } from "../../../../src/clock.ts";
import type { StateSnapshot } from "../../../../src/engines/engine.ts";
import { runForecast } from "../../../../src/engines/forecast.ts";
import type { SimulationPool } from "../../../../src/engines/pool.ts";
import { createEngines } from "../../../../src/engines/route.ts";
import { OperationalError } from "../../../../src/errors.ts";
import type { Quote } from "../../../../src/feeds/feed.ts";
import { silentLogger } from "../../../../src/log.ts";
import { ASSETS, ASSET_SYMBOLS, type AssetSymbol } from "../../../../src/market/assets.ts";
import { simulationEvidence, type SimulationEvidence } from "../../../../src/subnets/synth/evidence.ts";
import {
  createSimulationService,
  type SimulationService,
  type SimulationWork,
} from "../../../../src/subnets/synth/handler.ts";
import { CORRECT, validateAnswer } from "../../../../src/subnets/synth/validate-answer.ts";
import { hotkey, unixMillis } from "../../../../src/units.ts";
import { engineDeps } from "../../../support/ewma-calibration.ts";
import { freshSnapshot, START_TIME, volatilityState } from "../../../support/forecast-inputs.ts";

const PROMPT = {
  asset: "BTC",
  start_time: "2026-10-01T12:05:00+00:00",
  time_increment: 300,
  time_length: 86_400,
  num_simulations: 10,
};
const ENGINES = createEngines(engineDeps());
const NOW_MS = (START_TIME - 60) * 1000;
const FAILED = new OperationalError("feed/all_sources_failed", "no source answered");

/** A clock that stands still; `expire()` ends every sleep in progress. */
function stoppedClock(): Clock & { expire(): void; advance(ms: number): void } {
  let nowMs = NOW_MS;
  const sleepers = new Set<() => void>();
  return {
    nowMs: () => unixMillis(nowMs),
    sleep: (_ms, signal) =>
      new Promise((resolve, reject) => {
        sleepers.add(resolve);
        signal?.addEventListener("abort", () => {
          sleepers.delete(resolve);
          reject(signal.reason as Error);
        });
      }),
    expire: () => {
      for (const wake of sleepers) wake();
    },
    advance: (ms) => (nowMs += ms),
  };
}

type PriceCall = (asset: AssetSymbol, signal?: AbortSignal, lastClose?: number) => Promise<Quote>;

function quote(price: number): Quote {
  return { price, source: "binance", asOfMs: unixMillis(NOW_MS - 400) };
}

interface Setup {
  readonly service: SimulationService;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly warnings: string[];
  snapshot: StateSnapshot;
  price: PriceCall;
}

function setUp(simulate: SimulationPool["simulate"] = (task) => runForecast(task)): Setup {
  const clock = stoppedClock();
  const warnings: string[] = [];
  const logger = Object.create(silentLogger) as typeof silentLogger;
  logger.warn = (context: { asset: string; part: string; code: string }) => {
    warnings.push(`${context.asset}/${context.part}/${context.code}`);
  };
  const setup: Setup = {
    clock,
    warnings,
    snapshot: freshSnapshot(volatilityState({ close: 99_000 })),
    price: () => Promise.resolve(quote(100_500)),
    service: createSimulationService({
      hotkey: hotkey("miner"),
      reader: { snapshot: () => setup.snapshot },
      feed: { price: (...args) => setup.price(...args) },
      pool: { simulate },
      engines: ENGINES,
      clock,
      steadyClock: clock,
      logger,
      config: { feeds: { priceTimeoutMs: 1500 } },
    }),
  };
  return setup;
}

function context(signal = new AbortController().signal): CallContext {
  return {
    sender: { hotkey: hotkey("validator"), stake: 70_000 },
    receivedAtMs: unixMillis(NOW_MS),
    deadlineMs: unixMillis(NOW_MS + 50_000),
    signal,
  };
}

/** As the axon does it. */
async function gatherAndRun(service: SimulationService, work: SimulationWork, call: CallContext): Promise<Answer> {
  return service.run(await service.gather!(work, call), call);
}

async function answer(setup: Setup, changes: object = {}): Promise<{ evidence: SimulationEvidence; output: unknown }> {
  const accepted = setup.service.accept({ simulation_input: { ...PROMPT, ...changes } }, context().sender);
  assert.ok(accepted.ok);
  const answered = await gatherAndRun(setup.service, accepted.work, context());
  assert.ok(answered.ok);
  const output: unknown = JSON.parse(Buffer.from(answered.fields["simulation_output"]!).toString());
  assert.equal(validateAnswer(output, accepted.work.request), CORRECT);
  return { evidence: answered.evidence as SimulationEvidence, output };
}

describe("Simulation synapse: acceptance", () => {
  it("names its route and fields, and hashes none of them", () => {
    const { service } = setUp();
    assert.equal(service.name, "Simulation");
    assert.deepEqual(service.requiredHashFields, []);
    assert.deepEqual(service.responseFields, ["simulation_input", "simulation_output"]);
  });

  it("costs a request by its prices, and refuses with 400 and a code", () => {
    const { service } = setUp();
    const sender = context().sender;
    const accepted = service.accept({ simulation_input: PROMPT }, sender);
    const single = service.accept({ simulation_input: { ...PROMPT, num_simulations: 1 } }, sender);
    assert.ok(accepted.ok && single.ok);
    assert.equal(accepted.cost - single.cost, 9 * 289);
    // What every simulation costs must not be laid on the few prices of a small one: its speed would be absurd.
    assert.ok(single.cost > 10 * 289);
    for (const [body, code] of [
      [{}, "simulation/bad_input"],
      [{ simulation_input: null }, "simulation/bad_input"],
      [{ simulation_input: { ...PROMPT, asset: "DOGE" } }, "simulation/unknown_asset"],
    ] as const) {
      const refused = service.accept(body, sender);
      assert.ok(!refused.ok);
      assert.deepEqual([refused.status, refused.code], [400, code]);
    }
  });
});

describe("Simulation synapse: answers", () => {
  it("answers every asset and both horizons, with evidence that survives JSON and reproduces the bytes", async () => {
    for (const asset of ASSET_SYMBOLS) {
      for (const grid of [{}, { time_increment: 60, time_length: 3600 }]) {
        const { evidence } = await answer(setUp(), { asset, ...grid });
        const stored = simulationEvidence.parse(JSON.parse(JSON.stringify(evidence)));
        assert.deepEqual(stored, evidence);
        assert.equal((await runForecast(stored.task)).digest, evidence.digest);
        assert.equal(evidence.engine, "ewma");
        assert.equal(evidence.pathChecksums.length, 10);
        assert.deepEqual(evidence.state, { status: "ok", identity: "abc123", ageSeconds: 30 });
      }
    }
  });

  it("answers from the baseline at the reference price with no state and no network", async () => {
    for (const asset of ASSET_SYMBOLS) {
      const setup = setUp();
      setup.snapshot = { status: "missing" };
      setup.price = () => Promise.reject(FAILED);
      const { evidence } = await answer(setup, { asset });
      assert.equal(evidence.engine, "baseline");
      assert.deepEqual(evidence.anchor, { price: ASSETS[asset].referencePrice, source: "reference", ageSeconds: null });
      assert.deepEqual(
        evidence.handOvers.map(({ code }) => code),
        ["model/not_installed", "model/not_installed", "state/missing"],
      );
    }
  });

  it("records what failed in the worker behind what could not start", async () => {
    const setup = setUp(async (task) => {
      const result = await runForecast({ ...task, inputs: [task.inputs.at(-1)!] });
      return { ...result, handOvers: [{ engine: "ewma", code: "engine/timeout", message: "late" }] };
    });
    const { evidence } = await answer(setup);
    assert.deepEqual(
      evidence.handOvers.map(({ engine, code }) => `${engine} ${code}`),
      ["patchtst model/not_installed", "lgbm model/not_installed", "ewma engine/timeout"],
    );
    assert.deepEqual(setup.warnings, ["BTC/ewma/engine/timeout"]);
  });

  it("answers 500 with a code when no engine can, and 503 when the client has gone", async () => {
    const failing = setUp(() => Promise.reject(new OperationalError("engine/all_failed", "none")));
    const accepted = failing.service.accept({ simulation_input: PROMPT }, context().sender);
    assert.ok(accepted.ok);
    assert.deepEqual(await gatherAndRun(failing.service, accepted.work, context()), {
      ok: false,
      status: 500,
      code: "engine/all_failed",
      message: "No engine could answer",
    });
    const gone = await gatherAndRun(failing.service, accepted.work, context(AbortSignal.abort()));
    assert.equal(gone.ok ? 200 : gone.status, 503);
  });
});

describe("Simulation synapse: anchor price", () => {
  it("is the live price, held against a fresh close", async () => {
    const setup = setUp();
    const closes: unknown[] = [];
    setup.price = (_asset, _signal, lastClose) => {
      closes.push(lastClose);
      return Promise.resolve(quote(100_500));
    };
    const { evidence, output } = await answer(setup);
    assert.deepEqual(evidence.anchor, { price: 100_500, source: "binance", ageSeconds: 0.4 });
    assert.equal(evidence.anchorFailure, null);
    assert.equal((output as number[][])[2]![0], 100_500);
    assert.deepEqual(closes, [99_000]);
  });

  it("is the last close with its age when the feed fails, jumps, lies or hangs", async () => {
    const newestEnd = START_TIME - 120;
    const close = { price: 99_000, source: "last_close", ageSeconds: NOW_MS / 1000 - newestEnd };
    for (const [price, code] of [
      [() => Promise.reject(FAILED), "feed/all_sources_failed"],
      [() => Promise.reject(new Error("bug")), "feed/failed"],
      [() => Promise.resolve(quote(NaN)), "feed/bad_price"],
      [() => Promise.resolve(quote(0)), "feed/bad_price"],
    ] as [PriceCall, string][]) {
      const setup = setUp();
      setup.price = price;
      const { evidence } = await answer(setup);
      assert.deepEqual(evidence.anchor, close);
      assert.equal(evidence.anchorFailure?.code, code);
      assert.deepEqual(setup.warnings, [`BTC/anchor/${code}`, "BTC/ewma/calibration/missing"]);
    }
    const hanging = setUp();
    hanging.price = () => new Promise<Quote>(() => undefined);
    const pending = answer(hanging);
    hanging.clock.expire();
    const { evidence } = await pending;
    assert.deepEqual([evidence.anchor, evidence.anchorFailure?.code], [close, "feed/timeout"]);
    // The hung fetch was given up: the next prompt asks again.
    hanging.price = () => Promise.resolve(quote(100_600));
    assert.equal((await answer(hanging)).evidence.anchor.price, 100_600);
  });

  it("is the newer of a stale close and the last price seen, before the reference price", async () => {
    const setup = setUp();
    await answer(setup);
    setup.price = () => Promise.reject(FAILED);
    setup.snapshot = { status: "missing" };
    setup.clock.advance(10_000);
    assert.deepEqual((await answer(setup)).evidence.anchor, { price: 100_500, source: "binance", ageSeconds: 10.4 });

    const state = volatilityState({ close: 98_000 });
    setup.snapshot = { status: "stale", state, ageSeconds: 5000, identity: "old" };
    assert.equal((await answer(setup)).evidence.anchor.price, 100_500);
    const unseen = setUp();
    unseen.price = setup.price;
    unseen.snapshot = setup.snapshot;
    assert.equal((await answer(unseen)).evidence.anchor.source, "last_close");
  });

  it("is fetched once for concurrent prompts of one asset", async () => {
    const setup = setUp();
    const calls: string[] = [];
    setup.price = (asset) => {
      calls.push(asset);
      return Promise.resolve(quote(100_500));
    };
    await Promise.all([answer(setup), answer(setup), answer(setup, { asset: "ETH" }), answer(setup)]);
    assert.deepEqual(calls, ["BTC", "ETH"]);
    await answer(setup);
    assert.equal(calls.length, 3);
  });
});

describe("Simulation synapse: fallbacks", () => {
  it("are counted each time and logged once a minute per asset and code", async () => {
    const setup = setUp();
    setup.price = () => Promise.reject(FAILED);
    setup.snapshot = { status: "missing" };
    for (let i = 0; i < 3; i++) await answer(setup);
    assert.deepEqual(setup.warnings, ["BTC/anchor/feed/all_sources_failed", "BTC/ewma/state/missing"]);
    setup.clock.advance(61_000);
    await answer(setup);
    assert.equal(setup.warnings.length, 4);
    assert.deepEqual(setup.service.stats(), {
      answered: 4,
      fallbacks: {
        "BTC/anchor/feed/all_sources_failed": 4,
        "BTC/patchtst/model/not_installed": 4,
        "BTC/lgbm/model/not_installed": 4,
        "BTC/ewma/state/missing": 4,
      },
    });
  });
});
