import assert from "node:assert/strict";
import { loadConfig } from "../../src/config/load.ts";
import { runForecast } from "../../src/engines/forecast.ts";
import { openEngines } from "../../src/engines/load.ts";
import { OperationalError } from "../../src/errors.ts";
import type { Quote } from "../../src/feeds/feed.ts";
import { silentLogger } from "../../src/log.ts";
import type { AssetSymbol } from "../../src/market/assets.ts";
import { readUpdaterStatus, type AssetStatus } from "../../src/store/status-file.ts";
import { VolatilityReader, VolatilityStore } from "../../src/store/volatility-store.ts";
import type { SimulationEvidence } from "../../src/subnets/synth/evidence.ts";
import { createSimulationService } from "../../src/subnets/synth/handler.ts";
import { CORRECT, validateAnswer } from "../../src/subnets/synth/validate-answer.ts";
import { hotkey, millisToSeconds, unixMillis } from "../../src/units.ts";
import { Updater } from "../../src/updater/updater.ts";
import type { VolatilityState } from "../../src/volatility/state.ts";
import { ScriptedFeed } from "./scripted-feed.ts";
import { SteppedClock } from "./stepped-clock.ts";
import { z } from "zod";

const DAY_SECONDS = 86_400;
const never = new AbortController().signal;

/** What an answer started from, and its paths. */
export interface FaultedAnswer {
  readonly evidence: SimulationEvidence;
  readonly paths: readonly (readonly number[])[];
  /** Standard deviation of the log return over the whole horizon, across the paths. */
  readonly horizonSigma: number;
}

/** The real updater, store, reader, engines and handler on one folder, with a market and a clock that can be broken. */
export class FaultedMiner {
  readonly feed = new ScriptedFeed();
  readonly clock: SteppedClock;
  /** The updater's, which no step of `clock` reaches. */
  readonly steady = new SteppedClock(0);
  readonly stateDir: string;
  readonly store: VolatilityStore;
  /** The live price; null: every source is dead. */
  livePrice: number | null = null;
  readonly #reader: VolatilityReader;
  readonly #service: ReturnType<typeof createSimulationService>;
  readonly #updater: Updater;

  constructor(stateDir: string, startSeconds: number, assets: readonly AssetSymbol[] = ["BTC"]) {
    const args = ["--state-dir", stateDir];
    const options = { args, env: {}, cwd: stateDir, options: z.object({}), positionals: [], configFiles: [] };
    const { config } = loadConfig(options);
    this.stateDir = stateDir;
    this.clock = new SteppedClock(startSeconds);
    this.store = new VolatilityStore(stateDir);
    const { clock, store, feed } = this;
    this.#reader = new VolatilityReader(store, { maxStateAgeSeconds: config.engines.maxStateAgeSeconds, clock });
    this.#service = createSimulationService({
      hotkey: hotkey("miner"),
      reader: this.#reader,
      feed: { price: () => this.#price() },
      pool: { simulate: (task) => runForecast(task) },
      engines: openEngines(config, (problem) => assert.fail(problem)),
      clock,
      steadyClock: { nowMs: () => clock.nowMs(), sleep: () => new Promise<void>(() => undefined) },
      logger: silentLogger,
      config,
    });
    this.#updater = new Updater({
      assets,
      parametersOf: () => ({
        halfLifeMinuteSeconds: 3600,
        halfLifeFiveMinuteSeconds: 43_200,
        warmupSeconds: 3 * DAY_SECONDS,
        retentionSeconds: 7 * DAY_SECONDS,
      }),
      feed,
      store,
      stateDir,
      intervalSeconds: 60,
      publishDelaySeconds: 2,
      concurrency: 4,
      clock,
      steadyClock: this.steady,
      logger: silentLogger,
    });
  }

  #price(): Promise<Quote> {
    if (this.livePrice === null) return Promise.reject(new OperationalError("feed/all_sources_failed", "all dead"));
    const asOfMs = unixMillis(this.clock.nowMs() - 300);
    return Promise.resolve({ price: this.livePrice, source: "binance", asOfMs });
  }

  update(): Promise<void> {
    return this.#updater.runOnce(null, never);
  }

  /** `minutes` pass on both clocks, one update after each. */
  async updateFor(minutes: number): Promise<void> {
    for (let minute = 0; minute < minutes; minute += 1) {
      this.clock.advance(60);
      this.steady.advance(60);
      await this.update();
    }
  }

  /** Of BTC, as stored. */
  state(): VolatilityState {
    const loaded = this.store.load("BTC");
    assert.ok(loaded.status === "ok", JSON.stringify(loaded));
    return loaded.state;
  }

  status(asset: AssetSymbol = "BTC"): AssetStatus {
    const loaded = readUpdaterStatus(this.stateDir);
    assert.ok(loaded.status === "ok", JSON.stringify(loaded));
    return loaded.updater.assets[asset]!;
  }

  /** Asks as the axon does and judges the answer as a validator would; fails where it is not CORRECT. */
  async answer(prompt: { asset?: AssetSymbol; horizonSeconds?: 3600 | 86_400 } = {}): Promise<FaultedAnswer> {
    const { asset = "BTC", horizonSeconds = 86_400 } = prompt;
    const nowMs = this.clock.nowMs();
    const simulationInput = {
      asset,
      start_time: new Date(Math.ceil(nowMs / 60_000 + 1) * 60_000).toISOString(),
      time_increment: horizonSeconds === 3600 ? 60 : 300,
      time_length: horizonSeconds,
      num_simulations: 200,
    };
    const sender = { hotkey: hotkey("validator"), stake: 70_000 };
    const accepted = this.#service.accept({ simulation_input: simulationInput }, sender);
    assert.ok(accepted.ok);
    const deadlineMs = unixMillis(nowMs + 50_000);
    const context = { sender, receivedAtMs: nowMs, deadlineMs, signal: never };
    const answered = await this.#service.run(await this.#service.gather!(accepted.work, context), context);
    assert.ok(answered.ok, JSON.stringify(answered));
    const output: unknown = JSON.parse(Buffer.from(answered.fields["simulation_output"]!).toString());
    assert.equal(validateAnswer(output, accepted.work.request), CORRECT);
    const paths = (output as unknown[]).slice(2) as number[][];
    const returns = paths.map((path) => Math.log(path.at(-1)! / path[0]!));
    const horizonSigma = Math.sqrt(returns.reduce((sum, value) => sum + value * value, 0) / returns.length);
    return { evidence: answered.evidence as SimulationEvidence, paths, horizonSigma };
  }

  snapshot(asset: AssetSymbol = "BTC"): ReturnType<VolatilityReader["snapshot"]> {
    return this.#reader.snapshot(asset, millisToSeconds(this.clock.nowMs()));
  }
}
