import type { SubtensorDouble, SubtensorDoubleOptions } from "./api.ts";
import { Chain } from "./chain.ts";
import { NodeView } from "./node-view.ts";
import { nonceIn, TransactionPool } from "./pool.ts";
import type { Node } from "./rpc.ts";
import { loadRuntime, ORIGINAL_RUNTIME } from "./runtime.ts";
import { RpcServer } from "./server.ts";
import type { ServingRules } from "./serving.ts";
import {
  axonFrom,
  axonOf,
  createSubnet,
  deregisterNeuron,
  registerNeuron,
  setPermit,
  setStake,
  writeAxon,
} from "./subnet.ts";

const CHAIN_NAME = "Bittensor";
const START_BLOCK = 1000;
const TAO_WEIGHT = 0.18;

/** A subtensor node of one process, with a chain of its own: every codec is that of the 424 metadata in ../shared/chain. */
export async function startSubtensorDouble(options: SubtensorDoubleOptions = {}): Promise<SubtensorDouble> {
  const name = options.chain ?? CHAIN_NAME;
  const chain = new Chain({
    name,
    startBlock: options.startBlock ?? START_BLOCK,
    taoWeight: options.taoWeight ?? TAO_WEIGHT,
    genesisHash: options.genesisHash ?? null,
    clock: options.clock ?? null,
  });
  const rules: ServingRules = { form: "pool", forced: null };
  const pool = new TransactionPool(chain, rules);
  chain.seal((state, block) => {
    for (const subnet of options.subnets ?? []) createSubnet(state, subnet, block);
  });
  let sealing: "instant" | "manual" = "instant";
  const node: Node = {
    chain,
    pool,
    view: new NodeView(chain, name),
    sealWaiting: () => {
      if (sealing === "instant") chain.seal();
    },
  };
  const server = await RpcServer.listen(node, options.port ?? 0);
  chain.onBlock((block) => {
    server.onBlock(block);
    pool.announce(block);
  });
  return {
    ...controls(node, server, rules),
    setSealing: (chosen) => {
      sealing = chosen;
    },
    get connections() {
      return server.connections;
    },
  };
}

type Controls = Omit<SubtensorDouble, "setSealing" | "connections">;

function controls({ chain, pool, view }: Node, server: RpcServer, rules: ServingRules): Controls {
  return {
    ...changes(chain),
    url: `ws://127.0.0.1:${server.port}`,
    port: server.port,
    genesisHash: chain.genesisHash,
    calls: server.calls,
    extrinsics: pool.seen,
    blockNumber: () => chain.head.number,
    nonceOf: (address) => nonceIn(chain.headState, address),
    axonOf: (netuid, hotkey) => axonOf(chain.headState, netuid, hotkey),
    setRefusalForm: (form) => {
      rules.form = form;
    },
    forceRefusal: (refusal) => {
      rules.forced = refusal;
    },
    upgradeRuntime: (upgrade = {}) => {
      const { specVersion = chain.headState.runtime.specVersion + 1, changedMetadata = false } = upgrade;
      chain.upgrade(loadRuntime({ ...ORIGINAL_RUNTIME, specVersion, changedMetadata }));
      chain.seal();
    },
    setFaults: (faults) => {
      view.setFaults(faults);
    },
    cutConnections: () => {
      server.cutAll();
    },
    cutAfterCalls: (left, { method = null, executed = false }: { method?: string | null; executed?: boolean } = {}) => {
      server.cutAfter({ left, method, executed });
    },
    close: () => server.close(),
  };
}

type Changes = Pick<
  SubtensorDouble,
  | "batch"
  | "register"
  | "deregister"
  | "setPermit"
  | "setStake"
  | "setAxon"
  | "setServingRateLimit"
  | "setTempo"
  | "advanceBlocks"
>;

function changes(chain: Chain): Changes {
  return {
    batch: (work) => {
      chain.batch(work);
    },
    register: (netuid, neuron) => chain.change((state, block) => registerNeuron(state, netuid, { neuron, block })),
    deregister: (netuid, hotkey) => {
      chain.change((state, block) => {
        deregisterNeuron(state, netuid, { hotkey, block });
      });
    },
    setPermit: (netuid, hotkey, permit) => {
      chain.change((state) => {
        setPermit(state, netuid, { hotkey, permit });
      });
    },
    setStake: (netuid, hotkey, stake) => {
      chain.change((state) => {
        setStake(state, netuid, { hotkey, ...stake });
      });
    },
    setAxon: (netuid, hotkey, axon) => {
      chain.change((state, block) => {
        writeAxon(state, netuid, { hotkey, axon: axonFrom(axon, block) });
      });
    },
    setServingRateLimit: (netuid, blocks) => {
      chain.change((state) => {
        state.set("subtensorModule.servingRateLimit", [netuid], blocks);
      });
    },
    setTempo: (netuid, blocks) => {
      chain.change((state) => {
        state.set("subtensorModule.tempo", [netuid], blocks);
      });
    },
    advanceBlocks: (count) => {
      for (let sealed = 0; sealed < count; sealed += 1) chain.seal();
    },
  };
}
