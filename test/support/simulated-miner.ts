import { join } from "node:path";
import { encodeSimulation } from "../../src/engines/encode.ts";
import type { ForecastRequest } from "../../src/engines/engine.ts";
import { simulatePaths } from "../../src/engines/forecast.ts";
import { horizonClass, type HorizonClass } from "../../src/engines/horizon.ts";
import type { PathModel } from "../../src/engines/path-model.ts";
import { recalibrate, type RecalibrationFactor } from "../../src/engines/recalibration.ts";
import type { EngineInput } from "../../src/engines/task.ts";
import { scoreRecordings, type ScoringOptions, type ScoringResult } from "../../src/evaluation/recalibrate/run.ts";
import { silentLogger } from "../../src/log.ts";
import { Random } from "../../src/math/random.ts";
import { createRecordingLog } from "../../src/store/recording-log.ts";
import { RecalibrationReader } from "../../src/store/recalibration-store.ts";
import { VolatilityStore } from "../../src/store/volatility-store.ts";
import type { SimulationEvidence } from "../../src/subnets/synth/evidence.ts";
import { SECONDS_PER_DAY, unixMillis, unixSeconds } from "../../src/units.ts";
import { forecastRequest, volatilityState } from "./forecast-inputs.ts";
import { RecordingClock, recordedExchange, testIdentity } from "./recorded-exchange.ts";

/** Thursday 1 October 2026, 00:00 UTC: the first minute of the simulated market. */
export const MARKET_START = Date.parse("2026-10-01T00:00:00Z") / 1000;
/** Standard deviation of one minute's log return. */
export const MINUTE_SIGMA = 5e-4;
export const ENGINE = { name: "ewma", version: 7 } as const;
export const CALIBRATION = "0123456789abcdef";
const KEPT_MINUTES = 7 * 1440;

/** A market of Gaussian minutes, and a miner that answers prompts about it with its own idea of sigma. */
export class SimulatedMiner {
  readonly stateDir: string;
  readonly clock = new RecordingClock();
  readonly reader: RecalibrationReader;
  /** What the next answers say that they were calibrated with. */
  calibration = CALIBRATION;
  /** Of the next answers' path models. */
  zeroShare = 0;
  readonly #closes: Float64Array;
  readonly #sigmaRatio: number;
  readonly #store: VolatilityStore;

  /** `sigmaRatio`: the model's sigma over the market's. */
  constructor(stateDir: string, options: { sigmaRatio: number; days: number; seed: string }) {
    this.stateDir = stateDir;
    this.#sigmaRatio = options.sigmaRatio;
    this.#store = new VolatilityStore(stateDir);
    const random = Random.fromSeed(options.seed);
    let price = 100_000;
    this.#closes = Float64Array.from({ length: options.days * 1440 }, () => {
      return (price *= Math.exp(MINUTE_SIGMA * random.normal()));
    });
    const clocks = { market: this.clock, wall: this.clock };
    this.reader = new RecalibrationReader(stateDir, { engine: ENGINE, clocks });
  }

  closeAt(time: number): number {
    return this.#closes[(time - MARKET_START) / 60]!;
  }

  /** From here on, the feed's closes of `[from, to)` are the one before. */
  freeze({ from, to }: { from: number; to: number }): void {
    this.#closes.fill(this.closeAt(from - 60), (from - MARKET_START) / 60, (to - MARKET_START) / 60);
  }

  /** The updater's state as of `time`: the last seven days of candles. */
  async updateTo(time: number): Promise<void> {
    this.clock.ms = time * 1000;
    const end = (time - MARKET_START) / 60;
    const close = this.#closes.slice(Math.max(0, end - KEPT_MINUTES), end);
    const state = volatilityState({ minutes: close.length, newest: unixSeconds(time - 60) });
    const columns = { open: close, high: close, low: close, close };
    await this.#store.prepare();
    await this.#store.save({ ...state, candles: { ...state.candles, ...columns } });
  }

  /** The candles of `[from, to)` never came. */
  async updateWithGap(time: number, gap: { from: number; to: number }): Promise<void> {
    await this.updateTo(time);
    const loaded = this.#store.load("BTC");
    if (loaded.status !== "ok") throw new Error(loaded.status);
    const { candles } = loaded.state;
    const kept = [...candles.openTime.keys()].filter(
      (i) => candles.openTime[i]! < gap.from || candles.openTime[i]! >= gap.to,
    );
    const thin = (column: Float64Array): Float64Array => Float64Array.from(kept, (i) => column[i]!);
    const { openTime, open, high, low, close, volume } = candles;
    const thinned = { openTime: thin(openTime), open: thin(open), high: thin(high), low: thin(low) };
    await this.#store.save({
      ...loaded.state,
      candles: { ...thinned, close: thin(close), volume: thin(volume) },
    });
  }

  /** Answers prompts at these start times with the factors of the moment and records them as an axon does. */
  async answer(starts: readonly number[], horizonSeconds: number, paths = 200): Promise<void> {
    const log = createRecordingLog({
      dir: join(this.stateDir, "recordings", "5Hotkey"),
      limits: { maxBytes: 1e9, maxAgeDays: 365 },
      clock: this.clock,
      logger: silentLogger,
      identity: testIdentity,
    });
    for (const start of starts) {
      this.clock.ms = (start - 60) * 1000;
      const evidence = await this.evidenceOf(start, horizonSeconds, paths);
      const fieldDigests = { simulation_output: evidence.digest };
      log.append(recordedExchange({ receivedAtMs: unixMillis(this.clock.ms), evidence, fieldDigests }));
    }
    await log.close();
  }

  async evidenceOf(start: number, horizonSeconds: number, numSimulations: number): Promise<SimulationEvidence> {
    const stepSeconds = horizonSeconds === SECONDS_PER_DAY ? 300 : 60;
    const grid = { horizonSeconds, stepSeconds, numSimulations, startTime: unixSeconds(start) };
    const request = forecastRequest({ ...grid, seed: `${start} ${horizonSeconds}` });
    const input = this.#inputOf(request, this.factorsOf(horizonClass(horizonSeconds)));
    const { digest, pathChecksums } = encodeSimulation(request, await simulatePaths(request, input));
    return {
      task: { request, inputs: [input] },
      engine: ENGINE.name,
      engineVersion: ENGINE.version,
      handOvers: [],
      anchor: { price: this.closeAt(start), source: "binance", ageSeconds: 0.5 },
      anchorFailure: null,
      state: { status: "ok", identity: "abc", ageSeconds: 30 },
      pathChecksums: Array.from(pathChecksums),
      simulateMs: 1,
      encodeMs: 1,
      digest,
    };
  }

  /** What `score` has taught. */
  factorsOf(horizon: HorizonClass): readonly RecalibrationFactor[] {
    return this.reader.factorsOf("BTC", horizon, this.calibration);
  }

  #inputOf({ horizonSeconds, stepSeconds, startTime }: ForecastRequest, factors: readonly RecalibrationFactor[]) {
    const sigma = this.#sigmaRatio * MINUTE_SIGMA * Math.sqrt(stepSeconds / 60);
    const model: PathModel = {
      anchorPrice: this.closeAt(startTime),
      stepSigmas: new Array<number>(horizonSeconds / stepSeconds).fill(sigma),
      nu: 1000,
      latent: { tau: 0, halfLifeSeconds: 0 },
      varianceRatios: [],
      zeroShare: this.zeroShare,
      rankMatched: false,
    };
    const input = { engine: "ewma", model: recalibrate(model, factors, stepSeconds), fallbacks: [] } as const;
    return { ...input, calibration: this.calibration, recalibration: factors } satisfies EngineInput;
  }

  score(changes: Partial<ScoringOptions> = {}): Promise<ScoringResult> {
    return scoreRecordings({
      stateDir: this.stateDir,
      since: null,
      maxPerHour: 6,
      budgetMs: 60_000,
      realTime: true,
      clocks: { market: this.clock, wall: this.clock },
      signal: new AbortController().signal,
      ...changes,
    });
  }
}

/** Start times every `everySeconds` of one day, counted from 0. */
export function startsOfDay(day: number, everySeconds: number): number[] {
  const from = MARKET_START + day * SECONDS_PER_DAY;
  return Array.from({ length: SECONDS_PER_DAY / everySeconds }, (_, i) => from + i * everySeconds);
}
