import { Random } from "../../math/random.ts";
import type { ForecastRequest } from "../engine.ts";
import { takePaths } from "../path-buffer.ts";
import type { PathModel } from "../path-model.ts";
import { forgetBlockLaws } from "./block-laws.ts";
import { matchRanks } from "./rank-match.ts";
import { returnsOf, type StepGrid } from "./returns.ts";

/**
 * A price never leaves [1/55, 55] times the anchor: no market does within a day, and one path of a broken model that
 * left the range of prices would take the whole answer with it.
 */
const MAX_LOG_MOVE = 4;
/** In sigmas; below 1 in the models of real markets. */
const MAX_MEAN_STEP_SIZE = 5;
/** Paths whose prices are written together, so that reads and writes both stay in cache. */
const TILE_PATHS = 16;

function checkModel(model: PathModel, stepCount: number): void {
  const { anchorPrice, stepSigmas, centre, latent, zeroShare } = model;
  if (!(anchorPrice > 0 && Number.isFinite(anchorPrice))) {
    throw new RangeError(`expected a positive anchor price, was ${anchorPrice}`);
  }
  if (stepSigmas.length !== stepCount || !stepSigmas.every((sigma) => sigma >= 0 && Number.isFinite(sigma))) {
    throw new RangeError(`expected ${stepCount} finite sigmas of at least 0, were ${stepSigmas.length}`);
  }
  if (centre && (centre.length !== stepCount || !centre.every(Number.isFinite))) {
    throw new RangeError(`expected ${stepCount} finite drifts, were ${centre.length}`);
  }
  if (!(zeroShare >= 0 && zeroShare < 1)) throw new RangeError(`expected a zero share in [0, 1), was ${zeroShare}`);
  const { tau, halfLifeSeconds } = latent;
  if (!(tau >= 0 && Number.isFinite(tau)) || (tau > 0 && !(halfLifeSeconds > 0))) {
    throw new RangeError(`expected tau >= 0 with a half-life above 0, were ${tau} and ${halfLifeSeconds} s`);
  }
}

/**
 * Adds the centre to log returns, row-major [step, path]. After rank matching, whose quantiles are those of driftless returns:
 * a shift moves them all alike. A step without trade stays so; its drift comes with the path's next trade.
 */
function addCentre(returns: Float64Array, centre: readonly number[], { zeroShare }: PathModel): void {
  const pathCount = returns.length / centre.length;
  const missed = new Float64Array(pathCount);
  centre.forEach((drift, step) => {
    for (let path = 0, at = step * pathCount; path < pathCount; path++, at++) {
      if (zeroShare > 0 && returns[at] === 0) missed[path]! += drift;
      else {
        returns[at]! += drift + missed[path]!;
        missed[path] = 0;
      }
    }
  });
}

/** Prices, row-major [path, point], of log returns, row-major [step, path]. */
function pricesOf(returns: Float64Array, anchorPrice: number, pathCount: number): Float64Array {
  const stepCount = returns.length / pathCount;
  const points = stepCount + 1;
  const prices = takePaths(pathCount * points);
  const moves = new Float64Array(TILE_PATHS);
  for (let tile = 0; tile < pathCount; tile += TILE_PATHS) {
    const count = Math.min(TILE_PATHS, pathCount - tile);
    moves.fill(0);
    for (let i = 0; i < count; i++) prices[(tile + i) * points] = anchorPrice;
    for (let step = 0; step < stepCount; step++) {
      for (let i = 0; i < count; i++) {
        const move = moves[i]! + returns[step * pathCount + tile + i]!;
        moves[i] = move;
        const bounded = Math.min(Math.max(move, -MAX_LOG_MOVE), MAX_LOG_MOVE);
        prices[(tile + i) * points + step + 1] = anchorPrice * Math.exp(bounded);
      }
    }
  }
  return prices;
}

/** Mean |r| of all steps over their mean sigma: steps that hardly move do not count beside those that do. */
function meanStepSize(returns: Float64Array, { variances }: StepGrid): number {
  let [sum, sigmas] = [0, 0];
  for (let i = 0; i < returns.length; i++) sum += Math.abs(returns[i]!);
  for (let step = 0; step < variances.length; step++) sigmas += Math.sqrt(variances[step]!);
  return sum === 0 ? 0 : sum / ((sigmas * returns.length) / variances.length);
}

function drawReturns(request: ForecastRequest, model: PathModel, grid: StepGrid): Float64Array {
  const draw = returnsOf(model, grid);
  const returns = new Float64Array(request.numSimulations * grid.variances.length);
  const pathCount = request.numSimulations;
  draw(Random.fromSeed(request.seed), returns, { pathCount, latents: "independent" });
  if (model.rankMatched) matchRanks(request, model, { draw, grid, returns });
  return returns;
}

/**
 * A function of its arguments. Yet a test run once got steps a hundred times as large as every other run of the same prompt,
 * from one thread and for one prompt: where steps are far beyond what the model says, what was remembered is forgotten and
 * all of them drawn again, once. A model that asks for them gets the same again.
 */
function plausibleReturns(request: ForecastRequest, model: PathModel, grid: StepGrid): Float64Array {
  const returns = drawReturns(request, model, grid);
  const size = meanStepSize(returns, grid);
  if (size <= MAX_MEAN_STEP_SIZE) return returns;
  forgetBlockLaws();
  const again = drawReturns(request, model, grid);
  const instead = meanStepSize(again, grid);
  if (instead !== size) {
    const message = `Steps of ${size} times their sigma were drawn again and are ${instead} times it: report this`;
    process.emitWarning(message, { code: "SYNTH_IMPLAUSIBLE_PATHS" });
  }
  return again;
}

/**
 * Paths drawn from the model (see path-model.ts), rank-matched where it asks for that: what every engine's `simulate`
 * comes down to. A function of (request, model) alone; the seed decides. Throws RangeError on a model outside its bounds.
 *
 * Prices: row-major [path, point], from `takePaths`.
 */
export function simulatePathModel(request: ForecastRequest, model: PathModel): Float64Array {
  const stepCount = request.horizonSeconds / request.stepSeconds;
  checkModel(model, stepCount);
  const { numSimulations } = request;
  const grid: StepGrid = {
    stepSeconds: request.stepSeconds,
    variances: Float64Array.from(model.stepSigmas, (sigma) => sigma * sigma),
  };
  const returns = plausibleReturns(request, model, grid);
  if (model.centre) addCentre(returns, model.centre, model);
  return pricesOf(returns, model.anchorPrice, numSimulations);
}
