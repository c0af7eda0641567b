import { isIP } from "node:net";
import { z } from "zod";
import { endpointsSetting, networkSetting } from "../chain/endpoints.ts";
import { ASSET_SYMBOLS } from "../market/assets.ts";

/**
 * The one definition of every setting: its default is in config/default.json, its flag is its path in snake case
 * (`axon.externalIp` → `--axon.external_ip`, the spelling of the Python tools), its help text the description here.
 */
declare module "zod" {
  interface GlobalMeta {
    /** A further spelling of the flag, without the leading dashes. */
    alias?: string;
    /** Environment variable that sets it (secrets and machine paths only). */
    env?: string;
    /** Never shown in help, dumps or errors. */
    secret?: boolean;
  }
}

const port = z.int().min(0).max(65_535);
const positiveInt = z.int().positive();
const seconds = z.number().positive();
const milliseconds = z.int().positive();
const httpUrl = z.url({ protocol: /^https?$/, error: "expected an http(s) URL" });
const instant = z.iso.datetime({ offset: true, error: "expected an ISO 8601 instant such as 2025-08-01T12:00:00Z" });
const apiKey = z.string().min(1).nullable();

const ipAddress = z.string().refine((text) => isIP(text) !== 0, { error: "expected an IP address" });

/** One service alone is not believed, and one host under two URLs is one service. */
const ipServices = z.array(z.string()).refine(
  (urls) => {
    const parsed = urls.filter((url) => httpUrl.safeParse(url).success).map((url) => new URL(url));
    return parsed.length === urls.length && new Set(parsed.map(({ host }) => host)).size >= 2;
  },
  { error: "expected http(s) URLs of at least two different hosts" },
);

const ewmaParameters = z.strictObject({
  halfLifeMinuteSeconds: seconds,
  halfLifeFiveMinuteSeconds: seconds,
  /** Degrees of freedom of the Student-t shocks; above 2, where the variance exists. */
  nu: z.number().gt(2.05).max(200),
  /** Factor on sigma, because squared returns chase outliers (docs: half-life 60 min × 0.85). */
  sigmaScale: z.number().positive().max(10),
  /** Factor on sigma outside the regular US session (equities only), until the weekly profile knows better. */
  offHoursMultiplier: z.number().positive().max(10),
});

const hostLimits = z.strictObject({
  timeoutMs: milliseconds.describe("timeout of one HTTP request"),
  maxAttempts: z.int().min(1).max(10).describe("tries per request, the first included"),
  retryBaseMs: milliseconds.describe("first back-off, doubled and jittered with every further try"),
  maxRetryAfterMs: milliseconds.describe("a longer Retry-After opens the host's circuit instead of being waited for"),
  circuitFailures: positiveInt.describe("consecutive failures that open the host's circuit"),
  circuitOpenMs: milliseconds.describe("how long an open circuit refuses before one trial request"),
});

export const configSchema = z.strictObject({
  netuid: z.int().min(0).max(65_535).describe("subnet: 50 is Synth on mainnet, 247 on testnet"),
  subtensor: z.strictObject({
    network: networkSetting.describe(
      "finney, test, local or a ws:// URL; several, separated by commas, stand in for each other",
    ),
    chainEndpoint: endpointsSetting
      .nullable()
      .describe("chain endpoints (as above, URLs) that override the network's own"),
    timeoutMs: milliseconds.describe("longest time one call to an endpoint may take; then the next endpoint is tried"),
    staleHeadSeconds: seconds.describe("an endpoint without a new block for this long is left for the next one"),
  }),
  wallet: z.strictObject({
    name: z.string().min(1).meta({ env: "BT_WALLET_NAME", description: "wallet (coldkey) name" }),
    hotkey: z.string().min(1).meta({ env: "BT_WALLET_HOTKEY", description: "hotkey name" }),
    path: z.string().min(1).meta({ env: "BT_WALLET_PATH", description: "folder of the wallets" }),
  }),
  axon: z.strictObject({
    ip: ipAddress.describe("address to listen on"),
    port: port.describe("port to listen on; 0 takes a free one"),
    externalIp: ipAddress.nullable().describe("address that validators reach this axon at"),
    ipServices: ipServices.describe(
      "URLs that answer with the caller's address; two must agree on axon.external_ip where it is not set (repeat the flag)",
    ),
    externalPort: port.nullable().describe("port that validators reach this axon at"),
    dryRun: z.boolean().describe("print the serve_axon extrinsic instead of sending it"),
    allowIps: z
      .string()
      .min(1)
      .describe("who may connect: any, metagraph (IPs of admitted validators) or a comma-separated list of IPs"),
    maxBodyBytes: positiveInt.describe("largest request body"),
    bodyTimeoutMs: milliseconds.describe("longest time a request body may take to arrive"),
    maxConnections: positiveInt.describe("open sockets"),
    maxConnectionsPerIp: positiveInt.describe(
      "open sockets from one address; an IPv6 /64 counts as one, here and below",
    ),
    maxRequestsPerIp: positiveInt.describe(
      "requests per second of an address that no validator asked from (beyond a burst of 20 seconds' worth): 429",
    ),
    maxQueue: positiveInt.describe("admitted requests waiting for a worker"),
    maxVerificationsPerIp: positiveInt.describe("signature checks waiting for one address"),
    maxVerifications: positiveInt.describe(
      "signature checks waiting altogether; addresses take turns. Above max_connections, no flood uses them all up",
    ),
    maxTimeoutSeconds: seconds.describe("largest timeout a request may claim; longer ones count as this"),
    nonceFutureSeconds: seconds.describe("how far ahead of our clock a nonce may be: more than clocks are stepped by"),
    maxNonces: positiveInt.describe("remembered hotkey:uuid pairs"),
    shutdownGraceMs: milliseconds.describe("longest wait for requests in flight at SIGTERM"),
  }),
  health: z.strictObject({
    ip: ipAddress.describe("address of /healthz and /readyz"),
    port: port.nullable().describe("port of /healthz and /readyz; null is axon.port + 1000"),
    maxStateAgeSeconds: seconds.describe("ready only while every volatility state is at most this old"),
  }),
  blacklist: z.strictObject({
    forceValidatorPermit: z.boolean().describe("answer only hotkeys with a validator permit"),
    validatorMinStake: z.number().min(0).describe("answer only hotkeys with at least this stake (metagraph S)"),
    allowNonRegistered: z.boolean().describe("answer hotkeys that the metagraph does not know"),
  }),
  neuron: z.strictObject({
    epochLength: positiveInt.describe("blocks between metagraph refreshes"),
  }),
  metagraph: z.strictObject({
    mode: z
      .enum(["chain", "file", "open"])
      .describe(
        "chain: follow the subnet on chain; file: read metagraph.file; open: admit every correct signature (demo only)",
      ),
    file: z.string().min(1).nullable().meta({
      description: "JSON file with hotkeys, stakes, permits and IPs; where given, it is used and no chain is asked",
    }),
    refreshSeconds: seconds.describe("longest time between two metagraph refreshes (see also neuron.epoch_length)"),
    maxAgeSeconds: seconds.describe("without chain the last metagraph is used for this long; then nobody is admitted"),
  }),
  logging: z.strictObject({
    debug: z.boolean().describe("log at debug level"),
    trace: z.boolean().describe("log at trace level"),
    info: z.boolean().describe("log at info level (false: warnings only)"),
  }),
  stateDir: z.string().min(1).meta({ alias: "state-dir", env: "SYNTH_STATE_DIR", description: "folder of live state" }),
  clock: z.strictObject({
    start: instant.nullable().describe("rehearsal: what the market clock showed at clock.origin; null is real time"),
    origin: instant.nullable().describe("rehearsal: system time at which the market clock showed clock.start"),
    speed: z.number().positive().max(100_000).describe("rehearsal: market seconds per real second"),
  }),
  updater: z.strictObject({
    intervalSeconds: seconds.meta({ alias: "update-interval", description: "seconds between updates" }),
    publishDelaySeconds: z.number().min(0).describe("a candle counts as closed this long after its minute ended"),
    warmupHoursCrypto: seconds.describe("history taken at the first start, crypto"),
    warmupHoursOther: seconds.describe("history taken at the first start, equities and commodities"),
    retentionDays: seconds.describe("days of 1-minute candles kept in state"),
    concurrency: positiveInt.describe("assets of one host updated at the same time"),
  }),
  feeds: z.strictObject({
    binance: z.strictObject({
      baseUrl: httpUrl.meta({ env: "BINANCE_API_HOST", description: "Binance spot API" }),
      ...hostLimits.shape,
    }),
    hyperliquid: z.strictObject({
      baseUrl: httpUrl.meta({ env: "HYPERLIQUID_API_HOST", description: "Hyperliquid API" }),
      ...hostLimits.shape,
    }),
    pyth: z.strictObject({
      historyBaseUrl: httpUrl.meta({
        env: "PYTH_HISTORY_HOST",
        description: "base of the history endpoint, up to and without /history",
      }),
      hermesBaseUrl: httpUrl.meta({ env: "PYTH_HERMES_HOST", description: "Hermes latest prices" }),
      lazerBaseUrl: httpUrl.meta({ env: "PYTH_LAZER_HOST", description: "Lazer latest prices" }),
      apiKey: apiKey.meta({ env: "PYTH_API_KEY", secret: true, description: "Pyth key, sent as a Bearer token" }),
      ...hostLimits.shape,
    }),
    priceTimeoutMs: milliseconds.describe("longest wait for a live anchor price while a validator waits"),
    priceMaxJump: z
      .number()
      .positive()
      .max(1)
      .describe("a live price further than this fraction from a fresh last close is not used"),
  }),
  engines: z.strictObject({
    threads: positiveInt.describe("simulation worker threads"),
    maxStateAgeSeconds: seconds.describe(
      "an older volatility state is stale and hands over: a day-old level still beats a constant one",
    ),
    simulationTimeoutMs: milliseconds.describe("longest time one engine may take before the next one is asked"),
    rankMatching: z
      .boolean()
      .describe("replace every scored interval's returns by the quantiles of their ranks: .1 % of CRPS for 60 ms"),
    calibration: z
      .string()
      .min(1)
      .nullable()
      .describe("what `calibrate` learned of the EWMA engine; null: the plain EWMA answers"),
    lgbm: z.strictObject({
      centre: z.boolean().describe("let LightGBM's trees move the middle of the paths, as far as validation proves it"),
      residual: z
        .boolean()
        .describe("let LightGBM's trees correct the scale of the paths, as far as validation proves it"),
    }),
    ewma: z.record(z.enum(ASSET_SYMBOLS), ewmaParameters),
  }),
  recordings: z.strictObject({
    enabled: z.boolean().describe("record every admitted request"),
    maxBytes: positiveInt.describe("recordings kept, in bytes; the oldest go first"),
    maxAgeDays: seconds.describe("recordings kept, in days"),
  }),
  market: z.strictObject({
    dir: z.string().min(1).nullable().meta({
      alias: "market",
      description: "recorded candles in the <res>/<ASSET>/<YYYY-MM>.csv.gz layout; null looks for ../shared/market",
    }),
    seed: z.int().min(0).describe("seed of the generated market that stands in where nothing is recorded"),
  }),
});

export type Config = z.infer<typeof configSchema>;
export type EwmaParameters = z.infer<typeof ewmaParameters>;
export type HostLimits = z.infer<typeof hostLimits>;
