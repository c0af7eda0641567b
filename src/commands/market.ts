import { z } from "zod";
import { EXIT } from "../errors.ts";
import { API_NAMES, type ApiName } from "../feeds/recorded/faults.ts";
import { findMarketDir, startRecordedMarket, type RecordedMarket } from "../feeds/recorded/server.ts";
import { defineCommand } from "./command.ts";

const ENVIRONMENT: Readonly<Record<ApiName, string>> = {
  binance: "BINANCE_API_HOST",
  hyperliquid: "HYPERLIQUID_API_HOST",
  pythHistory: "PYTH_HISTORY_HOST",
  pythHermes: "PYTH_HERMES_HOST",
  pythLazer: "PYTH_LAZER_HOST",
};

const PORTS = new RegExp(`^\\d{1,5}(,\\d{1,5}){0,${API_NAMES.length - 1}}$`);

/** Runs the recorded market on its own, for `update` and `serve` in other processes. */
export const marketCommand = defineCommand({
  name: "market",
  isDaemon: true,
  summary: "local servers that speak the feeds' APIs from recorded or generated candles",
  usage: "market [--start 2025-06-10T12:00:00Z] [--speed 60] [--market.dir DIR] [--market.seed N]",
  options: z.strictObject({
    start: z.iso
      .datetime({ offset: true, error: "expected an ISO 8601 instant such as 2025-08-01T12:00:00Z" })
      .optional()
      .describe("what the market clock shows first; without it recordings are moved by whole weeks to now"),
    speed: z.number().positive().max(100_000).default(1).describe("market seconds per real second"),
    ports: z
      .string()
      .regex(PORTS, "expected up to five ports such as 9001,9002,9003,9004,9005")
      .refine((text) => portsOf(text).every((port) => port <= 65_535), "expected ports up to 65535")
      .optional()
      .describe(`ports of ${API_NAMES.join(", ")}; missing ones and 0 are free ports`),
  }),
  positionals: [],
  sections: ["market"],
  async run(context) {
    const { config, options, logger, signal } = context;
    const market = await startRecordedMarket({
      dir: findMarketDir(config.market.dir),
      seed: config.market.seed,
      clock: { start: options.start ?? null, speed: options.speed },
      ports: options.ports === undefined ? [] : portsOf(options.ports),
    });
    try {
      context.print(describeMarket(market).join("\n"));
      logger.info({ urls: market.urls }, "Recorded market is up");
      await untilAborted(signal);
    } finally {
      await market.close();
    }
    return EXIT.OK;
  },
});

function untilAborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  if (signal.aborted) resolve(undefined);
  signal.addEventListener(
    "abort",
    () => {
      resolve(undefined);
    },
    { once: true },
  );
  return promise;
}

function portsOf(text: string): number[] {
  return text.split(",").map(Number);
}

/** One line per asset, then what to set for `update` and `serve`. */
function describeMarket(market: RecordedMarket): string[] {
  const { rehearsal, urls } = market;
  const flags =
    rehearsal === null
      ? []
      : [`--clock.start=${rehearsal.start} --clock.origin=${rehearsal.origin} --clock.speed=${rehearsal.speed}`];
  return [
    ...market.sources().map(({ asset, description }) => `${asset.padEnd(7)} ${description}`),
    "",
    "Environment for update and serve:",
    ...API_NAMES.map((api) => `export ${ENVIRONMENT[api]}=${urls[api]}`),
    ...(flags.length > 0 ? ["Flags for update and serve:", ...flags] : []),
    "",
    `Faults: curl -X POST -H 'content-type: application/json' -d '{"kind":"delay","delayMs":2000}' ${urls.binance}/__faults`,
  ];
}
