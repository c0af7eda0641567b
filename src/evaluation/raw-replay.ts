import { steadyClock, type Clock } from "../clock.ts";
import type { ForecastRequest, StateSnapshot } from "../engines/engine.ts";
import { runForecast } from "../engines/forecast.ts";
import { planForecast, whenReady, type Engines } from "../engines/route.ts";
import { OperationalError } from "../errors.ts";
import { createAnchors } from "../subnets/synth/anchor.ts";
import { validateAnswer } from "../subnets/synth/validate-answer.ts";

/** One request answered from the state at hand. */
export interface Rehearsal {
  readonly engine: string;
  readonly engineVersion: number;
  /** `engine (code): message` of every engine that handed over. */
  readonly handOvers: readonly string[];
  readonly anchor: string;
  readonly digest: string;
  readonly output: Uint8Array;
  /** `CORRECT`, or what a validator would say. */
  readonly verdict: string;
}

/** Answers as the live handler would with every feed down: the paths start at the last close. */
export async function rehearse(
  request: ForecastRequest,
  deps: { snapshot: StateSnapshot; engines: Engines; clock: Clock },
): Promise<Rehearsal> {
  const { snapshot, engines, clock } = deps;
  const feed = { price: () => Promise.reject(new OperationalError("replay/offline", "a replay asks no feed")) };
  const anchors = createAnchors({ feed, clock, steady: steadyClock, priceTimeoutMs: 1000 });
  const { anchor } = await anchors.find(request.asset, { snapshot, timeoutMs: 1000 });
  await whenReady(engines);
  const plan = planForecast(request, { asset: request.asset, volatility: snapshot, anchor }, engines);
  const result = await runForecast(plan.task);
  const output: unknown = JSON.parse(new TextDecoder().decode(result.simulationOutput));
  const age = anchor.ageSeconds === null ? "" : `, ${Math.round(anchor.ageSeconds)} s old`;
  return {
    engine: result.engine,
    engineVersion: result.engineVersion,
    handOvers: [...plan.handOvers, ...result.handOvers].map(
      ({ engine, code, message }) => `${engine} (${code}): ${message}`,
    ),
    anchor: `${anchor.price} from ${anchor.source}${age}`,
    digest: result.digest,
    output: result.simulationOutput,
    verdict: validateAnswer(output, request),
  };
}
