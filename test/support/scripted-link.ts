import { OperationalError } from "../../src/errors.ts";
import type {
  AxonAnswer,
  ChainEvents,
  ChainLink,
  ChainNeuron,
  ServeAxonCall,
  SubnetAnswer,
} from "../../src/chain/link.ts";

/** One endpoint of a scripted chain: what it says now. */
export interface ScriptedEndpoint {
  genesis: string;
  specVersion: number;
  block: number;
  /** Every method of this name rejects with this code. */
  failing: Partial<Record<keyof ChainLink, string>>;
  neurons: readonly ChainNeuron[];
  source: SubnetAnswer["source"];
  axon: AxonAnswer;
  /** What becomes of a submitted call; by default it is executed. */
  onServe: (call: ServeAxonCall) => void;
}

export const SCRIPTED_GENESIS = `0x${"11".repeat(32)}`;

export function neuron(hotkey: string, changes: Partial<ChainNeuron> = {}): ChainNeuron {
  return {
    uid: 0,
    hotkey,
    coldkey: hotkey,
    stake: 0,
    validatorPermit: false,
    active: true,
    incentive: 0,
    emission: 0,
    lastUpdate: 0,
    ip: null,
    port: null,
    ...changes,
  };
}

export function scriptedEndpoint(neurons: readonly ChainNeuron[]): ScriptedEndpoint {
  const endpoint: ScriptedEndpoint = {
    genesis: SCRIPTED_GENESIS,
    specVersion: 424,
    block: 1000,
    failing: {},
    neurons: neurons.map((each, uid) => ({ ...each, uid })),
    source: "get_subnet_state",
    axon: { block: 1000, uid: 0, axon: null, rateLimitBlocks: 50 },
    onServe: (call) => {
      endpoint.axon = { ...endpoint.axon, axon: { ...call, block: endpoint.block } };
    },
  };
  return endpoint;
}

/** A ChainLink without a chain: says at once what the endpoints' scripts say, and counts what it was asked. */
export class ScriptedLink implements ChainLink {
  readonly asked: string[] = [];
  readonly served: ServeAxonCall[] = [];
  readonly #endpoints: ReadonlyMap<string, ScriptedEndpoint>;
  readonly events: ChainEvents;
  #url: string | null = null;

  constructor(endpoints: ReadonlyMap<string, ScriptedEndpoint>, events: ChainEvents) {
    this.#endpoints = endpoints;
    this.events = events;
  }

  count(method: keyof ChainLink): number {
    return this.asked.filter((entry) => entry.startsWith(`${method} `)).length;
  }

  /** The open endpoint's chain gets a block. */
  advance(blocks: number): void {
    const endpoint = this.#endpoints.get(this.#url ?? "");
    if (!endpoint) return;
    endpoint.block += blocks;
    endpoint.axon = { ...endpoint.axon, block: endpoint.block };
    this.events.onHead(endpoint.block);
  }

  lose(): void {
    this.#url = null;
    this.events.onLost("cut");
  }

  #ask(method: keyof ChainLink): ScriptedEndpoint {
    this.asked.push(`${method} ${this.#url ?? "-"}`);
    const endpoint = this.#endpoints.get(this.#url ?? "");
    if (!endpoint) throw new OperationalError("CHAIN_LOST", "no endpoint is open");
    const code = endpoint.failing[method];
    if (code !== undefined) throw new OperationalError(code, `scripted failure of ${method}`);
    return endpoint;
  }

  open: ChainLink["open"] = async (url) => {
    await Promise.resolve();
    this.#url = url;
    const { genesis, specVersion, block } = this.#ask("open");
    return { genesis, chain: "Scripted", specVersion, block };
  };

  readSubnet: ChainLink["readSubnet"] = async () => {
    await Promise.resolve();
    const { source, block, neurons } = this.#ask("readSubnet");
    return { source, block, neurons };
  };

  readAxon: ChainLink["readAxon"] = async () => {
    await Promise.resolve();
    const endpoint = this.#ask("readAxon");
    return { ...endpoint.axon, block: endpoint.block };
  };

  encodeServeAxon: ChainLink["encodeServeAxon"] = async (call) => {
    await Promise.resolve();
    this.#ask("encodeServeAxon");
    return `0x0704:${call.ip}:${call.port}`;
  };

  serveAxon: ChainLink["serveAxon"] = async ({ call }) => {
    await Promise.resolve();
    const endpoint = this.#ask("serveAxon");
    this.served.push(call);
    endpoint.onServe(call);
    return { blockHash: "0x01", extrinsicHash: "0x02" };
  };

  close: ChainLink["close"] = async () => {
    await Promise.resolve();
    this.#url = null;
  };
}
