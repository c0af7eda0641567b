import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { SubnetAnswer } from "../../../src/chain/link.ts";
import { DoubtLedger, judgeSubnet, type Judgement } from "../../../src/chain/plausibility.ts";
import type { StoredMetagraph } from "../../../src/chain/stored-metagraph.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import { neuron, SCRIPTED_GENESIS } from "../../support/scripted-link.ts";

const addresses = Array.from({ length: 10 }, (_, index) => keypairFromSeed(new Uint8Array(32).fill(index + 1)).address);
const own = addresses[0]!;

function answer(changes: Partial<SubnetAnswer> = {}): SubnetAnswer {
  const neurons = addresses.map((address, uid) => neuron(address, { uid, validatorPermit: uid > 7, stake: uid }));
  return { source: "get_subnet_state", block: 1000, neurons, ...changes };
}

function stored({ block, source, neurons }: SubnetAnswer): StoredMetagraph {
  return {
    schema: 1,
    netuid: 247,
    network: "test",
    genesis: SCRIPTED_GENESIS,
    block,
    updatedAt: new Date(0).toISOString(),
    source,
    neurons: neurons.map((each) => ({ ...each, validator_permit: each.validatorPermit, last_update: each.lastUpdate })),
  };
}

function judge(
  found: SubnetAnswer,
  changes: { previous?: StoredMetagraph | null; endpoints?: number } = {},
): Judgement {
  return judgeSubnet(found, { previous: stored(answer()), ownHotkey: own, endpoints: 1, ...changes });
}

const broke = { neurons: answer().neurons.map((each) => ({ ...each, stake: 0 })) };

const PLAUSIBLE = { verdict: "plausible" };

describe("a metagraph answer", () => {
  it("is plausible when it is like the last one, or the first", () => {
    assert.deepEqual(judge(answer({ block: 1100 })), PLAUSIBLE);
    assert.deepEqual(judge(answer(), { previous: null, endpoints: 3 }), PLAUSIBLE);
    assert.deepEqual(judge(answer({ block: 995 })), PLAUSIBLE, "an honest node may lag a little");
    const half = { neurons: answer().neurons.filter(({ uid }) => uid < 4 || uid === 9) };
    assert.deepEqual(judge(answer(half)), PLAUSIBLE, "half of the neurons are left");
    const halved = { neurons: answer().neurons.map((each) => ({ ...each, stake: each.stake / 2 })) };
    assert.deepEqual(judge(answer(halved)), PLAUSIBLE, "half of the stake is left");
    assert.deepEqual(judge(answer(halved), { previous: stored(answer(broke)) }), PLAUSIBLE, "there was none");
  });

  it("is impossible when it lists nobody, somebody twice, or no addresses", () => {
    const { neurons } = answer();
    const wrong: Record<string, SubnetAnswer["neurons"]> = {
      nobody: [],
      "a hotkey twice": neurons.map((each) => ({ ...each, hotkey: own })),
      "a uid twice": neurons.map((each) => ({ ...each, uid: 1 })),
      "another prefix": [{ ...neurons[0]!, hotkey: "1jwXKgtUMGmYxyTwDJmYDvMQsyJkSvpcPzmh2Zy5wKPkNxB" }],
      "a stake that is none": [{ ...neurons[0]!, stake: Number.NaN }],
      "an ip that is none": [{ ...neurons[0]!, ip: "host" }],
    };
    for (const [name, list] of Object.entries(wrong)) {
      assert.equal(judge(answer({ neurons: list })).verdict, "impossible", name);
      assert.equal(judge(answer({ neurons: list }), { previous: null }).verdict, "impossible", name);
    }
  });

  it("is doubted for every way in which it would refuse those who were admitted", () => {
    const { neurons } = answer();
    const doubtsOf = (found: Partial<SubnetAnswer>): unknown => {
      const judgement = judge(answer(found));
      return judgement.verdict === "doubtful" ? judgement.doubts : judgement.verdict;
    };
    assert.deepEqual(doubtsOf({ neurons: neurons.filter(({ uid }) => uid < 3 || uid === 9) }), ["collapsed"]);
    assert.deepEqual(doubtsOf({ neurons: neurons.map((each) => ({ ...each, validatorPermit: false })) }), [
      "no_validators",
    ]);
    assert.deepEqual(doubtsOf(broke), ["stake_collapsed"]);
    const others = neurons.map((each) => ({ ...each, stake: each.validatorPermit ? each.stake * 0.49 : 1e6 }));
    assert.deepEqual(doubtsOf({ neurons: others }), ["stake_collapsed"], "whose without a permit does not count");
    assert.deepEqual(doubtsOf({ block: 994 }), ["behind"]);
    assert.deepEqual(doubtsOf({ neurons: neurons.slice(1) }), ["unregistered"]);
  });

  it("that denies our registration is doubted where somebody else can be asked, or it was known before", () => {
    const without = answer({ neurons: answer().neurons.slice(1) });
    assert.equal(judge(without, { previous: null }).verdict, "plausible", "the only witness");
    assert.equal(judge(without, { previous: stored(without) }).verdict, "plausible", "nothing new");
    assert.equal(judge(without, { previous: null, endpoints: 2 }).verdict, "doubtful");
    assert.equal(judge(without).verdict, "doubtful");
  });
});

describe("doubtful answers", () => {
  const collapse = { doubts: ["collapsed"], wasRegistered: true } as const;
  const missing = { doubts: ["unregistered"], wasRegistered: false } as const;

  it("are believed when every endpoint has given one twice in a row", () => {
    const ledger = new DoubtLedger(["a", "b"]);
    assert.deepEqual(
      ["a", "b", "a", "b"].map((url) => ledger.doubt(url, collapse)),
      [false, false, false, true],
    );
    assert.equal(new DoubtLedger(["a"]).doubt("a", collapse), false, "one endpoint is asked twice, too");
  });

  it("are believed once from each, where nothing kept contradicts that we are unregistered", () => {
    const ledger = new DoubtLedger(["a", "b"]);
    assert.equal(ledger.doubt("a", missing), false);
    assert.equal(ledger.doubt("b", missing), true);
    const known = new DoubtLedger(["a", "b"]);
    assert.equal(known.doubt("a", { ...missing, wasRegistered: true }), false);
    assert.equal(known.doubt("b", { ...missing, wasRegistered: true }), false);
  });

  it("start anew after a plausible one; an endpoint that fails abstains until it answers", () => {
    const ledger = new DoubtLedger(["a", "b"]);
    ledger.doubt("a", collapse);
    ledger.clear();
    ledger.failed("b");
    assert.equal(ledger.doubt("a", collapse), false);
    assert.equal(ledger.doubt("a", collapse), false, "b failed before anything was doubtful");
    ledger.failed("b");
    assert.equal(ledger.doubt("a", collapse), true);
  });

  it("are never believed on the word of one while another keeps contradicting", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("doubt a", "clear", "fail a"), { maxLength: 40 }), (steps) => {
        const ledger = new DoubtLedger(["a", "b"]);
        for (const step of steps) {
          if (step === "doubt a") assert.equal(ledger.doubt("a", collapse), false);
          else if (step === "clear") ledger.clear();
          else ledger.failed("a");
        }
      }),
    );
  });
});
