/**
 * THE asset table: every fact about an asset that the world decides. What people choose (half-lives, nu) is in
 * config/; what is learned is in models/ and state/. Sources: docs of the Synth subnet (reference sigmas, coefficients,
 * scored feeds since July 2026) and Pyth's public price-feed ids.
 */

export const ASSET_SYMBOLS = [
  "BTC",
  "ETH",
  "SOL",
  "XRP",
  "HYPE",
  "XAU",
  "NVDAX",
  "GOOGLX",
  "TSLAX",
  "AAPLX",
  "WTIOIL",
  "SPCX",
  "SP500",
  "SPYX",
] as const;

export type AssetSymbol = (typeof ASSET_SYMBOLS)[number];
export type AssetClass = "crypto" | "equity" | "commodity";
export type SourceName = "binance" | "hyperliquid" | "pyth";

/** Where one source lists an asset. The order of an asset's listings is the order of preference, scored source first. */
export type Listing =
  | { readonly source: "binance"; readonly symbol: string }
  | { readonly source: "hyperliquid"; readonly coin: string }
  | {
      readonly source: "pyth";
      /** TradingView-style history symbol; null where Pyth has prices but no history. */
      readonly historySymbol: string | null;
      readonly hermesId: string;
      readonly lazerId: number | null;
    };

export interface Asset {
  readonly symbol: AssetSymbol;
  readonly assetClass: AssetClass;
  /** Hourly standard deviation of returns in the subnet's reference miner: the baseline to beat and our last resort. */
  readonly referenceSigmaPerHour: number;
  /** Weight of the asset in the subnet's leaderboard. */
  readonly coefficient: number;
  /**
   * A rough price level (early 2026), used as an anchor only when no feed answers and no candle was ever stored. Most
   * intervals are scored on returns, so a rough level still earns more than a missing answer.
   */
  readonly referencePrice: number;
  readonly listings: readonly [Listing, ...Listing[]];
  /** Folder of the recorded-market layout that stands for the asset, and the factor from its level to the asset's. */
  readonly recorded: { readonly folder: string; readonly priceFactor: number };
}

function binance(symbol: string): Listing {
  return { source: "binance", symbol };
}

function hyperliquid(coin: string): Listing {
  return { source: "hyperliquid", coin };
}

function pyth(historySymbol: string | null, lazerId: number | null, hermesId: string): Listing {
  return { source: "pyth", historySymbol, lazerId, hermesId };
}

export const ASSETS: Readonly<Record<AssetSymbol, Asset>> = {
  BTC: {
    symbol: "BTC",
    assetClass: "crypto",
    referenceSigmaPerHour: 0.00541,
    coefficient: 1,
    referencePrice: 88_000,
    listings: [
      binance("BTCUSDT"),
      pyth("Crypto.BTC/USD", 1, "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"),
    ],
    recorded: { folder: "BTC", priceFactor: 1 },
  },
  ETH: {
    symbol: "ETH",
    assetClass: "crypto",
    referenceSigmaPerHour: 0.00766,
    coefficient: 0.7064366394033871,
    referencePrice: 3000,
    listings: [
      binance("ETHUSDT"),
      pyth("Crypto.ETH/USD", 2, "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"),
    ],
    recorded: { folder: "ETH", priceFactor: 1 },
  },
  SOL: {
    symbol: "SOL",
    assetClass: "crypto",
    referenceSigmaPerHour: 0.00858,
    coefficient: 0.6310037175639559,
    referencePrice: 125,
    listings: [
      binance("SOLUSDT"),
      pyth("Crypto.SOL/USD", 6, "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"),
    ],
    recorded: { folder: "SOL", priceFactor: 1 },
  },
  XRP: {
    symbol: "XRP",
    assetClass: "crypto",
    referenceSigmaPerHour: 0.00956,
    coefficient: 0.5658394110809131,
    referencePrice: 1.85,
    listings: [
      binance("XRPUSDT"),
      pyth("Crypto.XRP/USD", 14, "ec5d399846a9209f3fe5881d70aae9268c94339ff9817e8d18ff19fa05eea1c8"),
    ],
    recorded: { folder: "XRP", priceFactor: 1 },
  },
  HYPE: {
    symbol: "HYPE",
    assetClass: "crypto",
    referenceSigmaPerHour: 0.01131,
    coefficient: 0.4784547133706857,
    referencePrice: 25,
    listings: [
      hyperliquid("@107"),
      pyth("Crypto.HYPE/USD", 110, "4279e31cc369bbcc2faf022b382b080e32a8e689ff20fbc530d2a603eb6cd98b"),
    ],
    recorded: { folder: "HYPE", priceFactor: 1 },
  },
  XAU: {
    symbol: "XAU",
    assetClass: "commodity",
    referenceSigmaPerHour: 0.00312,
    coefficient: 1.7370922597118699,
    referencePrice: 4350,
    listings: [
      hyperliquid("xyz:GOLD"),
      pyth("Crypto.XAUT/USD", 346, "44465e17d2e9d390e70c999d5a11fda4f092847fcd2e3e5aa089d96c98a30e67"),
    ],
    recorded: { folder: "XAU", priceFactor: 1 },
  },
  NVDAX: {
    symbol: "NVDAX",
    assetClass: "equity",
    referenceSigmaPerHour: 0.00338,
    coefficient: 1.6028217601617174,
    referencePrice: 187,
    listings: [
      hyperliquid("xyz:NVDA"),
      pyth("Crypto.NVDAX/USD", 1833, "4244d07890e4610f46bbde67de8f43a4bf8b569eebe904f136b469f148503b7f"),
    ],
    recorded: { folder: "NVDA", priceFactor: 1 },
  },
  GOOGLX: {
    symbol: "GOOGLX",
    assetClass: "equity",
    referenceSigmaPerHour: 0.00322,
    coefficient: 1.6827392777257926,
    referencePrice: 313,
    listings: [
      hyperliquid("xyz:GOOGL"),
      pyth("Crypto.GOOGLX/USD", 1808, "b911b0329028cd0283e4259c33809d62942bd2716a58084e5f31d64c00b5424e"),
    ],
    recorded: { folder: "GOOGL", priceFactor: 1 },
  },
  TSLAX: {
    symbol: "TSLAX",
    assetClass: "equity",
    referenceSigmaPerHour: 0.00337,
    coefficient: 1.6068755936957768,
    referencePrice: 450,
    listings: [
      hyperliquid("xyz:TSLA"),
      pyth("Crypto.TSLAX/USD", 1847, "47a156470288850a440df3a6ce85a55917b813a19bb5b31128a33a986566a362"),
    ],
    recorded: { folder: "TSLA", priceFactor: 1 },
  },
  AAPLX: {
    symbol: "AAPLX",
    assetClass: "equity",
    referenceSigmaPerHour: 0.00259,
    coefficient: 2.0916380815843123,
    referencePrice: 272,
    listings: [
      hyperliquid("xyz:AAPL"),
      pyth("Crypto.AAPLX/USD", 1792, "978e6cc68a119ce066aa830017318563a9ed04ec3a0a6439010fc11296a58675"),
    ],
    recorded: { folder: "AAPL", priceFactor: 1 },
  },
  WTIOIL: {
    symbol: "WTIOIL",
    assetClass: "commodity",
    referenceSigmaPerHour: 0.00639,
    coefficient: 0.8475062847978935,
    referencePrice: 57,
    listings: [
      hyperliquid("xyz:CL"),
      pyth(null, null, "67784f72e95ac01337edb7d7bd5bbd1c03669101b7068a620df228ed4e52ef14"),
    ],
    recorded: { folder: "WTIOIL", priceFactor: 1 },
  },
  SPCX: {
    symbol: "SPCX",
    assetClass: "equity",
    referenceSigmaPerHour: 0.005,
    coefficient: 0.4329342627683478,
    referencePrice: 420,
    listings: [hyperliquid("xyz:SPCX")],
    recorded: { folder: "SPCX", priceFactor: 1 },
  },
  SP500: {
    symbol: "SP500",
    assetClass: "equity",
    referenceSigmaPerHour: 0.00157,
    coefficient: 3.437935601155441,
    referencePrice: 6850,
    listings: [hyperliquid("xyz:SP500")],
    // The recording is the SPY share, about a tenth of the index.
    recorded: { folder: "SPY", priceFactor: 10 },
  },
  SPYX: {
    symbol: "SPYX",
    assetClass: "equity",
    referenceSigmaPerHour: 0.00157,
    coefficient: 3.437935601155441,
    referencePrice: 685,
    listings: [pyth("Crypto.SPYX/USD", 1843, "2817b78438c769357182c04346fddaad1178c82f4048828fe0997c3c64624e14")],
    recorded: { folder: "SPY", priceFactor: 1 },
  },
};

export function isAssetSymbol(text: string): text is AssetSymbol {
  return Object.hasOwn(ASSETS, text);
}
