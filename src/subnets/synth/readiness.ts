import type { StateSnapshot } from "../../engines/engine.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import { COMPETITIONS } from "./competitions.ts";

/** Legacy assets (SPYX: its only feed needs a key) must not keep a miner unready. */
const REQUIRED_ASSETS: ReadonlySet<AssetSymbol> = new Set(COMPETITIONS.flatMap((competition) => competition.assets));

/** Ready when the volatility state of every asset of the current competitions is loaded and fresh. */
export function stateReadiness(
  snapshotOf: (asset: AssetSymbol) => StateSnapshot,
  maxStateAgeSeconds: number,
): { ready: boolean; reasons: string[] } {
  const reasons = [...REQUIRED_ASSETS].flatMap((asset) => {
    const snapshot = snapshotOf(asset);
    switch (snapshot.status) {
      case "ok":
      case "stale":
        if (snapshot.ageSeconds <= maxStateAgeSeconds) return [];
        return [`${asset}: volatility state is ${Math.round(snapshot.ageSeconds)} s old`];
      case "missing":
        return [`${asset}: no volatility state yet`];
      case "corrupt":
        return [`${asset}: volatility state is corrupt (${snapshot.reason})`];
    }
  });
  return { ready: reasons.length === 0, reasons };
}
