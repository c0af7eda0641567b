import { z } from "zod";

/** Where the networks are (docs/subtensor.md), and the chains that they must turn out to be. */

interface Network {
  readonly url: string;
  /** Null: any chain. Finney's is in @polkadot/networks; both are what their public entry points answer. */
  readonly genesis: string | null;
}

export const NETWORKS = {
  finney: {
    url: "wss://entrypoint-finney.opentensor.ai:443",
    genesis: "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03",
  },
  test: {
    url: "wss://test.finney.opentensor.ai:443",
    genesis: "0x8f9cf856bf558a14440e75569c9e58594757048d7b3a84b5d25f6bd978263105",
  },
  local: { url: "ws://127.0.0.1:9944", genesis: null },
} as const satisfies Record<string, Network>;

type NetworkName = keyof typeof NETWORKS;

function isName(text: string): text is NetworkName {
  return Object.hasOwn(NETWORKS, text);
}

function isUrl(text: string): boolean {
  return /^wss?:\/\/[^\s/]/.test(text) && URL.canParse(text);
}

function entriesOf(list: string): string[] {
  return list.split(",").map((entry) => entry.trim());
}

/** `finney`, `test`, `local`, URLs, or several of them; at most one name, because two are two chains. */
export const networkSetting = z.string().superRefine((text, context) => {
  const entries = entriesOf(text);
  const names = entries.filter(isName);
  if (!entries.every((entry) => isName(entry) || isUrl(entry))) {
    context.addIssue({ code: "custom", message: "expected finney, test, local or a ws:// or wss:// URL" });
  } else if (names.length > 1) {
    context.addIssue({ code: "custom", message: `expected one network, not ${names.join(" and ")} together` });
  }
});

export const endpointsSetting = z.string().refine((text) => entriesOf(text).every(isUrl), {
  error: "expected a ws:// or wss:// URL, or several separated by commas",
});

export interface Endpoints {
  /** A network's name, or the URLs. */
  readonly network: string;
  /** At least one, in the order of preference. */
  readonly urls: readonly [string, ...string[]];
  /** What block 0 must be; null where the network is not a known one. */
  readonly genesis: string | null;
}

/** The endpoints that the settings name, each once. */
export function endpointsOf(subtensor: { network: string; chainEndpoint: string | null }): Endpoints {
  const entries = entriesOf(subtensor.network);
  const name = entries.find(isName);
  const own = entries.map((entry) => (isName(entry) ? NETWORKS[entry].url : entry));
  const urls = [...new Set(subtensor.chainEndpoint === null ? own : entriesOf(subtensor.chainEndpoint))];
  return {
    network: name ?? urls.join(","),
    urls: urls as [string, ...string[]],
    genesis: name === undefined ? null : NETWORKS[name].genesis,
  };
}

/** First wait after a round of all endpoints, doubled with every further round. */
const BACKOFF_BASE_MS = 1000;
const BACKOFF_CAP_MS = 60_000;
/** Between two endpoints of one round. */
const NEXT_ENDPOINT_MS = 100;

/** How long to wait after the `failures`-th failure in a row (from 1). Jittered, so that miners do not return together. */
export function backoffMs(failures: number, endpoints: number, random: () => number): number {
  if (failures < endpoints) return NEXT_ENDPOINT_MS;
  const rounds = Math.min(Math.floor(failures / endpoints) - 1, 30);
  return Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** rounds) * (0.5 + 0.5 * random());
}
