import type { Config } from "../config/schema.ts";
import type { RecordedMarket } from "../feeds/recorded/server.ts";

/** The feed settings with every host replaced by the recorded market's. */
export function marketFeeds({ urls }: RecordedMarket, feeds: Config["feeds"]): Config["feeds"] {
  return {
    ...feeds,
    binance: { ...feeds.binance, baseUrl: urls.binance },
    hyperliquid: { ...feeds.hyperliquid, baseUrl: urls.hyperliquid },
    pyth: {
      ...feeds.pyth,
      historyBaseUrl: urls.pythHistory,
      hermesBaseUrl: urls.pythHermes,
      lazerBaseUrl: urls.pythLazer,
    },
  };
}
