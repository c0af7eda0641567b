import { randomInt } from "node:crypto";
import { isIP } from "node:net";
import { dirname } from "node:path";
import { PROTOCOL_VERSION } from "../bittensor/signed-message.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../log.ts";
import { removeDeadTempFiles } from "../store/atomic-file.ts";
import type { Keypair } from "../wallet/keypair.ts";
import { endpointsOf, type Endpoints } from "./endpoints.ts";
import { ExternalAddress } from "./external-address.ts";
import { detectExternalIp } from "./external-ip.ts";
import { followChain, type Follower } from "./follower.ts";
import { createLiveMetagraph } from "./live-metagraph.ts";
import type { Metagraph } from "./metagraph.ts";
import { AxonPublisher } from "./publisher.ts";
import { loadStoredMetagraph, storedMetagraphPath, type StoredMetagraph } from "./stored-metagraph.ts";
import { createChainThread } from "./thread.ts";

export interface ChainOptions {
  readonly config: Pick<Config, "netuid" | "subtensor" | "wallet" | "axon" | "neuron" | "metagraph" | "stateDir">;
  readonly keypair: Keypair;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly print: (text: string) => void;
  /** Ends the looking for an address. */
  readonly signal: AbortSignal;
}

/** Who is registered on the subnet, and whether somebody keeps that current. */
export interface Subnet {
  readonly metagraph: Metagraph;
  /** Starts following the chain; `axonPort` is where the axon listens. Null: no chain is asked. */
  readonly follow: ((axonPort: number) => Follower) | null;
}

/** Everything of the chain that `serve` needs, with the last run's metagraph already loaded. */
export async function openChain(options: ChainOptions): Promise<Subnet> {
  const { config, keypair, clock, logger } = options;
  const { netuid, stateDir } = config;
  const endpoints = endpointsOf(config.subtensor);
  await removeDeadTempFiles(dirname(storedMetagraphPath(stateDir, netuid)));
  const stored = loadKept(stateDir, netuid, { endpoints, logger });
  const metagraph = createLiveMetagraph({ stored, maxAgeSeconds: config.metagraph.maxAgeSeconds, clock });
  if (stored) {
    const { block, updatedAt } = stored;
    const ageSeconds = Math.round(metagraph.ageSeconds());
    logger.info({ netuid, block, updatedAt, ageSeconds }, "The last run's metagraph is in use until the chain answers");
  } else logger.warn({ netuid }, "No metagraph is kept: every hotkey is refused until the chain answers");

  const { externalIp, ip, ipServices } = config.axon;
  // `::` takes IPv4, too.
  const family = isIP(ip) === 4 ? 4 : ip === "::" ? null : 6;
  const detect = (): Promise<string> => detectExternalIp({ services: ipServices, family, signal: options.signal });
  const follow = (axonPort: number): Follower => {
    const publisher = new AxonPublisher({
      netuid,
      keypair,
      address: new ExternalAddress({ configured: externalIp, detect, clock }),
      port: config.axon.externalPort ?? axonPort,
      version: PROTOCOL_VERSION,
      dryRun: config.axon.dryRun,
      clock,
      logger,
      print: options.print,
    });
    return followChain({
      netuid,
      ownHotkey: keypair.address,
      wallet: config.wallet,
      endpoints,
      stateDir,
      epochLength: config.neuron.epochLength,
      refreshSeconds: config.metagraph.refreshSeconds,
      staleHeadSeconds: config.subtensor.staleHeadSeconds,
      metagraph,
      publisher,
      createLink: (events) =>
        createChainThread({ events, sign: publisher.sign, timeoutMs: config.subtensor.timeoutMs, logger }),
      clock,
      random: () => randomInt(2 ** 32) / 2 ** 32,
      logger,
    });
  };
  return { metagraph, follow };
}

/** The kept metagraph, if it is of this very chain. */
function loadKept(
  stateDir: string,
  netuid: number,
  context: { endpoints: Endpoints; logger: Logger },
): StoredMetagraph | null {
  const { endpoints, logger } = context;
  const file = storedMetagraphPath(stateDir, netuid);
  const loaded = loadStoredMetagraph(stateDir, netuid);
  if (loaded.status === "corrupt") {
    logger.warn({ file, reason: loaded.reason }, "The kept metagraph is unreadable and will be replaced");
  }
  if (loaded.status !== "ok") return null;
  const { genesis, network } = loaded.metagraph;
  const isSameChain =
    endpoints.genesis === null
      ? network.split(",").some((entry) => entry === endpoints.network || endpoints.urls.includes(entry))
      : genesis === endpoints.genesis;
  if (isSameChain) return loaded.metagraph;
  logger.warn({ file, network, genesis }, "The kept metagraph is of another chain and will be replaced");
  return null;
}
