import type { Clock } from "../clock.ts";
import { describeError, OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { backoffMs, type Endpoints } from "./endpoints.ts";
import type { ChainEvents, ChainFacts, ChainLink, SubnetAnswer } from "./link.ts";
import type { LiveMetagraph } from "./live-metagraph.ts";
import { DoubtLedger, judgeSubnet } from "./plausibility.ts";
import type { AxonPublisher, ServingStats } from "./publisher.ts";
import { notRegisteredMessage } from "./registration.ts";
import {
  saveStoredMetagraph,
  storedMetagraphPath,
  type StoredMetagraph,
  type StoredNeuron,
} from "./stored-metagraph.ts";

export interface FollowerOptions {
  readonly netuid: number;
  readonly ownHotkey: string;
  readonly wallet: { readonly name: string; readonly hotkey: string };
  readonly endpoints: Endpoints;
  readonly stateDir: string;
  /** Blocks between two refreshes; the seconds count where they come first. */
  readonly epochLength: number;
  readonly refreshSeconds: number;
  /** An endpoint without a new block for this long is left. */
  readonly staleHeadSeconds: number;
  readonly metagraph: LiveMetagraph;
  readonly publisher: AxonPublisher;
  readonly createLink: (events: ChainEvents) => ChainLink;
  readonly clock: Clock;
  /** Uniform in [0, 1), for the jitter of waits. */
  readonly random: () => number;
  readonly logger: Logger;
}

export interface ChainStats {
  readonly network: string;
  /** Null while no endpoint is open. */
  readonly endpoint: string | null;
  readonly connected: boolean;
  readonly specVersion: number | null;
  readonly block: number | null;
  readonly lastBlockAgeSeconds: number | null;
  /** Null: the chain has not said yet. */
  readonly registered: boolean | null;
  readonly uid: number | null;
  readonly source: string | null;
  readonly refreshes: number;
  readonly reconnects: number;
  readonly lastError: string | null;
  readonly serving: ServingStats;
}

/** The daemon's side of the chain: keeps metagraph and axon current, and says how that goes. */
export interface Follower {
  readonly stats: () => ChainStats;
  /** Why this neuron cannot earn at present; empty when nothing is wrong. */
  readonly reasons: () => string[];
  /** Resolves with what to do when the first answer of this process says that the hotkey is not registered. */
  readonly unregistered: Promise<string>;
  readonly close: () => Promise<void>;
}

/** Own numbers are logged this often. */
const STATUS_MS = 300_000;
/** A connection that lasted this long had nothing to do with the failures before it. */
const STABLE_MS = 60_000;

interface Session {
  readonly url: string;
  readonly facts: ChainFacts;
  readonly openedAtMs: number;
  head: number;
  headAtMs: number;
  lost: string | null;
  upgradedTo: number | null;
  /** Whether the axon on chain was looked at since it was opened. */
  axonChecked: boolean;
}

/** Starts following; never throws, whatever the chain does. */
export function followChain(options: FollowerOptions): Follower {
  return new ChainFollower(options);
}

class ChainFollower implements Follower {
  readonly unregistered: Promise<string>;
  readonly #options: FollowerOptions;
  readonly #link: ChainLink;
  readonly #ledger: DoubtLedger;
  readonly #closing = new AbortController();
  readonly #loop: Promise<void>;
  readonly #sayUnregistered: (message: string) => void;
  #session: Session | null = null;
  #wake = Promise.withResolvers<undefined>();
  #next = 0;
  #failures = 0;
  #opened = 0;
  #refreshes = 0;
  #refreshed = { atMs: Number.NEGATIVE_INFINITY, block: 0 };
  #statusAtMs = Number.NEGATIVE_INFINITY;
  #registered: boolean | null = null;
  #lastError: string | null = null;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#ledger = new DoubtLedger(options.endpoints.urls);
    const { promise, resolve } = Promise.withResolvers<string>();
    this.unregistered = promise;
    this.#sayUnregistered = resolve;
    this.#link = options.createLink({
      onHead: (block) => {
        this.#onHead(block);
      },
      onLost: (reason) => {
        this.#tell((session) => (session.lost = reason));
      },
      onUpgrade: (specVersion) => {
        this.#tell((session) => (session.upgradedTo = specVersion));
      },
    });
    this.#loop = this.#run();
  }

  stats = (): ChainStats => {
    const { endpoints, metagraph, publisher } = this.#options;
    const session = this.#session;
    const connected = session !== null && session.lost === null;
    return {
      network: endpoints.network,
      endpoint: session?.url ?? null,
      connected,
      specVersion: session?.facts.specVersion ?? null,
      block: session?.head ?? null,
      lastBlockAgeSeconds: session && (this.#nowMs() - session.headAtMs) / 1000,
      registered: this.#registered,
      uid: this.#self()?.uid ?? null,
      source: metagraph.current()?.source ?? null,
      refreshes: this.#refreshes,
      reconnects: Math.max(0, this.#opened - 1),
      lastError: this.#lastError,
      serving: this.#registered === false ? { ...publisher.stats(), state: "not_registered" } : publisher.stats(),
    };
  };

  reasons = (): string[] => {
    const { metagraph, ownHotkey, netuid } = this.#options;
    const reason = metagraph.voidReason();
    return [
      ...(reason === null ? [] : [reason]),
      ...(this.#registered === false ? [`Hotkey ${ownHotkey} is not registered on netuid ${netuid}`] : []),
    ];
  };

  close = async (): Promise<void> => {
    this.#closing.abort();
    this.#wake.resolve(undefined);
    await this.#link.close();
    await this.#loop;
  };

  #nowMs(): number {
    return this.#options.clock.nowMs();
  }

  #self(): StoredNeuron | undefined {
    return this.#options.metagraph.current()?.neurons.find(({ hotkey }) => hotkey === this.#options.ownHotkey);
  }

  #tell(change: (session: Session) => void): void {
    if (this.#session) change(this.#session);
    this.#wake.resolve(undefined);
  }

  #onHead(block: number): void {
    this.#tell((session) => {
      // A head that stands still or goes back is no sign of life.
      if (block <= session.head) return;
      session.head = block;
      session.headAtMs = this.#nowMs();
    });
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        await this.#step();
      } catch (error) {
        await this.#fail(error);
      }
    }
  }

  async #step(): Promise<void> {
    const { publisher, epochLength } = this.#options;
    const session = await this.#openSession();
    const dueBlock = this.#refreshed.block + epochLength;
    const isDue = this.#nowMs() >= this.#refreshDueMs() || session.head >= dueBlock;
    if (isDue) await this.#refresh(session);
    this.#logStatus();
    if (this.#registered && (isDue || !session.axonChecked || publisher.isDue(session.head))) {
      await publisher.check(this.#link, session.facts.genesis);
      session.axonChecked = true;
    }
    await this.#idle(session);
  }

  #refreshDueMs(): number {
    return this.#refreshed.atMs + this.#options.refreshSeconds * 1000;
  }

  /** The open session if it is sound, or a new one. */
  async #openSession(): Promise<Session> {
    const { endpoints, staleHeadSeconds, logger } = this.#options;
    const session = this.#session;
    if (session === null) return this.#open(endpoints.urls[this.#next]!);
    if (session.lost !== null) throw new OperationalError("CHAIN_LOST", session.lost);
    if (session.upgradedTo !== null) {
      const { url, upgradedTo, facts } = session;
      logger.info({ endpoint: url, from: facts.specVersion, to: upgradedTo }, "Runtime upgrade: reading its metadata");
      return this.#open(url);
    }
    if (this.#nowMs() - session.headAtMs > staleHeadSeconds * 1000) {
      throw new OperationalError("CHAIN_STALE", `${session.url} has had no new block for ${staleHeadSeconds} s`);
    }
    return session;
  }

  async #open(url: string): Promise<Session> {
    this.#session = null;
    const facts = await this.#link.open(url);
    this.#checkGenesis(url, facts);
    const nowMs = this.#nowMs();
    const session: Session = {
      url,
      facts,
      openedAtMs: nowMs,
      head: facts.block,
      headAtMs: nowMs,
      lost: null,
      upgradedTo: null,
      axonChecked: false,
    };
    this.#session = session;
    this.#opened += 1;
    this.#options.logger.info({ endpoint: url, ...facts }, "Connected to the chain");
    return session;
  }

  #checkGenesis(url: string, facts: ChainFacts): void {
    const { endpoints, metagraph, netuid, stateDir } = this.#options;
    const kept = metagraph.current()?.genesis;
    const expected = endpoints.genesis ?? kept ?? facts.genesis;
    if (facts.genesis === expected) return;
    const advice =
      endpoints.genesis === null
        ? `if it was set up anew, delete ${storedMetagraphPath(stateDir, netuid)}`
        : `for another chain set --subtensor.network to its URL`;
    const message = `${url} is another chain (genesis ${facts.genesis}, expected ${expected}); ${advice}`;
    throw new OperationalError("CHAIN_GENESIS", message);
  }

  async #refresh(session: Session): Promise<void> {
    const { netuid, ownHotkey, endpoints, metagraph, logger } = this.#options;
    const answer = await this.#link.readSubnet(netuid);
    const previous = metagraph.current();
    const judgement = judgeSubnet(answer, { previous, ownHotkey, endpoints: endpoints.urls.length });
    if (judgement.verdict === "impossible") {
      const message = `The metagraph of ${session.url} cannot be true: ${judgement.reason}`;
      throw new OperationalError("CHAIN_IMPLAUSIBLE", message);
    }
    if (judgement.verdict === "doubtful") {
      const { doubts } = judgement;
      const context = { doubts, wasRegistered: this.#self() !== undefined };
      if (!this.#ledger.doubt(session.url, context)) {
        const message = `The metagraph of ${session.url} is doubtful (${doubts.join(", ")}); asking again before it is believed`;
        throw new OperationalError("CHAIN_DOUBTFUL", message);
      }
      logger.warn({ doubts, block: answer.block }, "Every endpoint says so: a surprising metagraph is believed");
    }
    this.#ledger.clear();
    await this.#accept(answer, session);
  }

  async #accept(answer: SubnetAnswer, session: Session): Promise<void> {
    const { netuid, ownHotkey, wallet, endpoints, metagraph, logger, stateDir } = this.#options;
    const before = metagraph.current();
    const stored = storedOf(answer, {
      netuid,
      network: endpoints.network,
      genesis: session.facts.genesis,
      updatedAt: new Date(this.#nowMs()).toISOString(),
    });
    metagraph.replace(stored);
    this.#refreshed = { atMs: this.#nowMs(), block: answer.block };
    this.#refreshes += 1;
    if (answer.source !== before?.source && answer.source === "get_neurons_lite") {
      logger.warn(
        { source: answer.source },
        "This runtime gives plain alpha as stake, not S: check the stake threshold",
      );
    }
    const first = this.#registered === null;
    this.#registered = this.#self() !== undefined;
    if (!this.#registered) {
      const message = notRegisteredMessage({ netuid, hotkey: ownHotkey, wallet, network: endpoints.network });
      logger.error({ netuid, hotkey: ownHotkey, block: answer.block }, message);
      if (first) this.#sayUnregistered(message);
    }
    try {
      await saveStoredMetagraph(stateDir, stored);
    } catch (error) {
      logger.error(
        { reason: describeError(error) },
        "Metagraph cannot be stored: a restart without chain would not know it",
      );
    }
  }

  async #fail(error: unknown): Promise<void> {
    const { endpoints, logger, clock, random, metagraph } = this.#options;
    if (this.#closing.signal.aborted) return;
    const session = this.#session;
    if (session && this.#nowMs() - session.openedAtMs > STABLE_MS) this.#failures = 0;
    const urls = endpoints.urls;
    const url = urls[this.#next]!;
    const isDoubt = error instanceof OperationalError && error.code === "CHAIN_DOUBTFUL";
    if (!isDoubt) this.#ledger.failed(url);
    this.#session = null;
    this.#next = (this.#next + 1) % urls.length;
    this.#failures += 1;
    this.#lastError = describeError(error);
    const waitMs = backoffMs(this.#failures, urls.length, random);
    const age = metagraph.current() === null ? null : Math.round(metagraph.ageSeconds());
    const facts = { endpoint: url, reason: this.#lastError, retryInMs: Math.round(waitMs), metagraphAgeSeconds: age };
    logger.warn(facts, "Chain endpoint failed; the last metagraph stays in use");
    this.#logStatus();
    await clock.sleep(waitMs, this.#closing.signal).catch(() => undefined);
  }

  /** Until something is due or an event comes. */
  async #idle(session: Session): Promise<void> {
    const { clock, publisher, staleHeadSeconds } = this.#options;
    const dueMs = Math.min(
      this.#refreshDueMs(),
      // Unregistered, the publisher is not asked: its time would pass and stay past.
      this.#registered ? publisher.dueMs() : Number.POSITIVE_INFINITY,
      this.#statusAtMs + STATUS_MS,
      session.headAtMs + staleHeadSeconds * 1000 + 1,
    );
    const done = new AbortController();
    // Closing wakes, too: a signal joined with the closing one would be kept for each turn until then.
    const slept = clock.sleep(Math.max(0, dueMs - this.#nowMs()), done.signal);
    await Promise.race([slept.catch(() => undefined), this.#wake.promise]);
    done.abort();
    this.#wake = Promise.withResolvers();
    // What came before the idling began is in the session, and the next step sees it.
    if (session.lost !== null || session.upgradedTo !== null) this.#wake.resolve(undefined);
  }

  #logStatus(): void {
    const { metagraph, netuid, logger } = this.#options;
    const current = metagraph.current();
    if (current === null || this.#nowMs() < this.#statusAtMs + STATUS_MS) return;
    this.#statusAtMs = this.#nowMs();
    const self = this.#self();
    const facts = {
      netuid,
      uid: self?.uid ?? null,
      stake: self?.stake ?? null,
      validatorPermit: self?.validator_permit ?? null,
      incentive: self?.incentive ?? null,
      emission: self?.emission ?? null,
      block: current.block,
      metagraphAgeSeconds: Math.round(metagraph.ageSeconds()),
      neurons: current.neurons.length,
      validators: metagraph.validators().length,
      source: current.source,
      endpoint: this.#session?.url ?? null,
      serving: this.#options.publisher.stats().state,
    };
    logger.info(facts, "Neuron on chain");
  }
}

function storedOf(
  answer: SubnetAnswer,
  origin: { netuid: number; network: string; genesis: string; updatedAt: string },
): StoredMetagraph {
  const { source, block } = answer;
  const neurons = answer.neurons.map(({ validatorPermit, lastUpdate, ...neuron }) => ({
    ...neuron,
    validator_permit: validatorPermit,
    last_update: lastUpdate,
  }));
  return { schema: 1, ...origin, block, source, neurons };
}
