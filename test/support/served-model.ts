import type { EntryOf, ModelEntry, ModelKind } from "../../src/engines/models/manifest.ts";
import type { ModelSource, ServedModel } from "../../src/engines/models/source.ts";
import type { HorizonClass } from "../../src/engines/horizon.ts";
import type { AssetSymbol } from "../../src/market/assets.ts";

/** A source of one model, as if it had been checked. */
export function servedModel({ entry, ...rest }: ServedModel): ModelSource {
  return {
    find: <Kind extends ModelKind>(kind: Kind, asset: AssetSymbol, horizon: HorizonClass) => {
      const isFor = (one: ModelEntry): one is EntryOf<Kind> =>
        one.kind === kind && one.horizon === horizon && one.assets.some((own) => own === asset);
      return isFor(entry) ? { ...rest, entry } : { code: "model/not_installed", message: "none" };
    },
    whenReady: () => Promise.resolve(),
  };
}
