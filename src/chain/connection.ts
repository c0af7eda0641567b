import { ApiPromise, WsProvider } from "@polkadot/api";
import type { Bytes } from "@polkadot/types";
import type { ProviderInterface } from "@polkadot/rpc-provider/types";
import { u8aToHex } from "@polkadot/util";
import { describeError, OperationalError } from "../errors.ts";
import { Lifeline } from "./lifeline.ts";
import type { AxonAnswer, ChainEvents, ChainFacts, ChainLink, ServedAxon, SignPayload, SubnetAnswer } from "./link.ts";
import { ipOfInteger } from "./serve-axon.ts";
import { declaredOutput, decodeAnswer, LEGACY_TYPES, SUBNET_READINGS, type SubnetReading } from "./subnet-codec.ts";
import { serveAxonExtrinsic, submitServeAxon } from "./submit.ts";
import { withTimeout } from "./timeout.ts";

export interface ConnectionOptions {
  readonly events: ChainEvents;
  readonly sign: SignPayload;
  /** Longest time of one call, opening included. */
  readonly timeoutMs: number;
}

interface Open {
  readonly api: ApiPromise;
  readonly url: string;
  readonly life: Lifeline;
}

/** The chain client on @polkadot/api. Costs 110 MB and blocks for hundreds of milliseconds: not for the axon's thread. */
export function createChainConnection(options: ConnectionOptions): ChainLink {
  const { timeoutMs } = options;
  let current: Open | undefined;

  const close = async (): Promise<void> => {
    const closing = current;
    current = undefined;
    await closing?.api.disconnect().catch(() => undefined);
  };
  /** Within the call timeout, and only as long as the connection lives. */
  const call = async <T>(what: string, work: (open: Open) => Promise<T>, limitMs = timeoutMs): Promise<T> => {
    const open = current;
    if (!open) throw new OperationalError("CHAIN_LOST", `${what}: no endpoint is open`);
    try {
      return await open.life.during((cut) =>
        withTimeout(Promise.race([work(open), cut]), { limitMs, what: `${what} at ${open.url}` }),
      );
    } catch (error) {
      throw error instanceof OperationalError ? error : rpcError(`${what} at ${open.url}`, error);
    }
  };

  return {
    open: async (url) => {
      await close();
      const opened = await openApi(url, options, (api) => current?.api === api);
      current = opened.open;
      return opened.facts;
    },
    readSubnet: (netuid) => call("Reading the metagraph", ({ api }) => readSubnet(api, netuid)),
    readAxon: (neuron) => call("Reading the axon", ({ api }) => readAxon(api, neuron)),
    encodeServeAxon: (args) =>
      call("Encoding serve_axon", ({ api }) => Promise.resolve(serveAxonExtrinsic(api, args).method.toHex())),
    serveAxon: (submission) => {
      const work = ({ api }: Open): ReturnType<typeof submitServeAxon> =>
        submitServeAxon(api, { ...submission, sign: options.sign });
      return call("serve_axon", work, Math.max(timeoutMs, INCLUSION_TIMEOUT_MS));
    },
    close,
  };
}

/** A transaction waits for the next block or, in a busy chain, a few more of 12 s. */
const INCLUSION_TIMEOUT_MS = 90_000;

/** Its cache keeps failures, too, and its documented way to switch it off (capacity 0) does not. */
class UncachedProvider extends WsProvider {
  override send<T>(method: string, params: unknown[], _isCacheable?: boolean, subscription?: Subscription): Promise<T> {
    return super.send<T>(method, params, false, subscription);
  }
}

type Subscription = Parameters<WsProvider["send"]>[3];

async function openApi(
  url: string,
  options: ConnectionOptions,
  isCurrent: (api: ApiPromise) => boolean,
): Promise<{ open: Open; facts: ChainFacts }> {
  const { events, timeoutMs } = options;
  const provider = new UncachedProvider(url, false, {}, timeoutMs); // the caller chooses where to reconnect
  const life = new Lifeline();
  try {
    const api = await withTimeout(startApi(provider, url), { limitMs: timeoutMs, what: `Opening ${url}` });
    provider.on("disconnected", () => {
      life.end(new OperationalError("CHAIN_LOST", `The connection to ${url} was lost`));
      if (isCurrent(api)) events.onLost(`the connection to ${url} was lost`);
    });
    const specVersion = api.runtimeVersion.specVersion.toNumber();
    const block = await withTimeout(subscribe(api, { specVersion, events, isCurrent: () => isCurrent(api) }), {
      limitMs: timeoutMs,
      what: `Following the head of ${url}`,
    });
    const facts = { genesis: api.genesisHash.toHex(), chain: api.runtimeChain.toString(), specVersion, block };
    return { open: { api, url, life }, facts };
  } catch (error) {
    await provider.disconnect().catch(() => undefined);
    if (error instanceof OperationalError) throw error;
    throw new OperationalError("CHAIN_UNREACHABLE", `Cannot open ${url}`, { cause: error });
  }
}

async function startApi(provider: WsProvider, url: string): Promise<ApiPromise> {
  const failed = Promise.withResolvers<never>();
  provider.on("error", () => {
    failed.reject(new OperationalError("CHAIN_UNREACHABLE", `Cannot connect to ${url}`));
  });
  provider.on("disconnected", () => {
    failed.reject(new OperationalError("CHAIN_UNREACHABLE", `${url} closed the connection while it was being opened`));
  });
  await provider.connect();
  await Promise.race([provider.isReady, failed.promise]);
  // Their interface is not written for exactOptionalPropertyTypes.
  const api = ApiPromise.create({
    provider: provider as ProviderInterface,
    types: { ...LEGACY_TYPES },
    throwOnConnect: true,
    noInitWarn: true,
  });
  return Promise.race([api, failed.promise]);
}

/** Follows head and runtime version; resolves with the first head. */
async function subscribe(
  api: ApiPromise,
  context: { specVersion: number; events: ChainEvents; isCurrent: () => boolean },
): Promise<number> {
  const { events, isCurrent, specVersion } = context;
  await api.rpc.state.subscribeRuntimeVersion((version) => {
    const next = version.specVersion.toNumber();
    if (next !== specVersion && isCurrent()) events.onUpgrade(next);
  });
  const first = Promise.withResolvers<number>();
  await api.rpc.chain.subscribeNewHeads((header) => {
    const block = header.number.toNumber();
    first.resolve(block);
    if (isCurrent()) events.onHead(block);
  });
  return first.promise;
}

/** A runtime without this method, or one so old that neither its metadata nor we know the answer's type. */
const UNAVAILABLE = new Set(["CHAIN_NO_METHOD", "CHAIN_UNKNOWN_TYPE"]);

/**
 * By the first reading that works; axons from their map where the reading has none. An answer against its own type ends
 * it: what an endpoint says then is not worth reading otherwise. Plain alpha instead of S would refuse validators, so that
 * reading is only for runtimes without the better ones, not for a node that fails at them.
 */
async function readSubnet(api: ApiPromise, netuid: number): Promise<SubnetAnswer> {
  const header = await api.rpc.chain.getHeader();
  const at = { netuid, block: header.number.toNumber(), blockHash: header.hash.toHex() };
  const problems: OperationalError[] = [];
  for (const reading of SUBNET_READINGS) {
    if (!reading.hasStakeS && problems.some(({ code }) => !UNAVAILABLE.has(code))) break;
    try {
      return await readBy(api, reading, at);
    } catch (error) {
      const problem = error instanceof OperationalError ? error : rpcError(reading.method, error);
      if (!api.isConnected || problem.code === "CHAIN_ANSWER" || problem.code === "CHAIN_NO_SUBNET") throw problem;
      problems.push(problem);
    }
  }
  throw new OperationalError("CHAIN_RPC", `The metagraph cannot be read: ${problems.map(describeError).join("; ")}`);
}

async function readBy(
  api: ApiPromise,
  reading: SubnetReading,
  at: { netuid: number; block: number; blockHash: string },
): Promise<SubnetAnswer> {
  const { netuid, block, blockHash } = at;
  const { method: source } = reading;
  const absent = new OperationalError("CHAIN_NO_METHOD", `this runtime has no ${source}`);
  if (declaredOutput(api, reading.runtimeApi, source) === "absent") throw absent;
  const argument = u8aToHex(api.registry.createType("u16", netuid).toU8a());
  let answer: Bytes;
  try {
    answer = await api.rpc.state.call(`${reading.runtimeApi}_${source}`, argument, blockHash);
  } catch (error) {
    throw /exported method .* is not found/i.test(describeError(error)) ? absent : error;
  }
  const neurons = reading.neuronsOf(decodeAnswer(api, reading, answer.toU8a(true)));
  if (neurons === null) throw new OperationalError("CHAIN_NO_SUBNET", `There is no subnet ${netuid} on this chain`);
  if (reading.hasAxons) return { source, block, neurons };
  const axons = await readAxons(api, netuid);
  return { source, block, neurons: neurons.map((neuron) => ({ ...neuron, ...axons.get(neuron.hotkey) })) };
}

/** Hotkey → published address, of all axons of the subnet. */
async function readAxons(api: ApiPromise, netuid: number): Promise<Map<string, { ip: string; port: number }>> {
  const entries = await api.query["subtensorModule"]!["axons"]!.entries(netuid);
  const axons = new Map<string, { ip: string; port: number }>();
  for (const [key, value] of entries) {
    const axon = servedAxonOf(value.toPrimitive());
    const ip = axon && ipOfInteger(axon.ip, axon.ipType);
    if (axon && ip) axons.set(String(key.args[1]), { ip, port: axon.port });
  }
  return axons;
}

async function readAxon(api: ApiPromise, neuron: { netuid: number; hotkey: string }): Promise<AxonAnswer> {
  const { netuid, hotkey } = neuron;
  const module = api.query["subtensorModule"]!;
  const [header, uid, axon, rateLimit] = await Promise.all([
    api.rpc.chain.getHeader(),
    module["uids"]!(netuid, hotkey),
    module["axons"]!(netuid, hotkey),
    module["servingRateLimit"]!(netuid),
  ]);
  const uidValue = uid.toPrimitive();
  return {
    block: header.number.toNumber(),
    uid: typeof uidValue === "number" ? uidValue : null,
    axon: servedAxonOf(axon.toPrimitive()),
    rateLimitBlocks: Number(rateLimit.toPrimitive()),
  };
}

function servedAxonOf(primitive: unknown): ServedAxon | null {
  if (typeof primitive !== "object" || primitive === null) return null;
  const { block, version, ip, port, ipType, protocol } = primitive as Record<string, number | string>;
  return {
    block: Number(block),
    version: Number(version),
    ip: BigInt(ip ?? 0),
    port: Number(port),
    ipType: Number(ipType),
    protocol: Number(protocol),
  };
}

function rpcError(what: string, error: unknown): OperationalError {
  return new OperationalError("CHAIN_RPC", `${what} failed`, { cause: error });
}
