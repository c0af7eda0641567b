import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, it } from "node:test";
import { limitConnections } from "../../../src/axon/connections.ts";

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  isCut = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.isCut = true;
    this.emit("close");
  }
}

function crowd(
  limits: { total: number; perAddress: number },
  knownIps: readonly string[] = [],
  shunned: readonly string[] = [],
) {
  const server = new EventEmitter();
  const known = { add: () => undefined, has: (ip: string) => knownIps.includes(ip), close: () => Promise.resolve() };
  const count = limitConnections(server, {
    ...limits,
    known,
    strangers: { isShunned: (sender) => shunned.includes(sender) },
  });
  const connect = (ip: string): FakeSocket => {
    const socket = new FakeSocket(ip);
    server.emit("connection", socket);
    return socket;
  };
  return { connect, count };
}

const VALIDATOR = "2a01:4f8:1:2::a";

describe("open sockets", () => {
  it("of an address that became known meanwhile are not cut for its neighbours' sake", () => {
    const [shunned, knownIps]: [string[], string[]] = [[], []];
    const { connect } = crowd({ total: 100, perAddress: 9 }, knownIps, shunned);
    const [asking, neighbour, other] = [VALIDATOR, "2a01:4f8:1:2::b", "2a01:4f8:1:2::c"].map(connect);
    knownIps.push(VALIDATOR); // its first signature proved valid
    shunned.push("2a01:4f8:1:2::");
    neighbour!.destroy();
    assert.deepEqual([asking!.isCut, other!.isCut], [false, true]);
  });

  it("of an address that became known meanwhile make no room for its next", () => {
    const knownIps: string[] = [];
    const { connect } = crowd({ total: 2, perAddress: 9 }, knownIps);
    const [asking, stranger] = [VALIDATOR, "192.0.2.1"].map(connect);
    knownIps.push(VALIDATOR);
    assert.ok(!connect(VALIDATOR).isCut);
    assert.deepEqual([stranger!.isCut, asking!.isCut], [true, false]);
  });

  it("of a shunned sender are cut, the others of it with the first; known addresses are never shunned", () => {
    const shunned: string[] = [];
    const { connect, count } = crowd({ total: 100, perAddress: 9 }, ["192.0.2.9"], shunned);
    const [first, second, other, known] = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.9"].map(connect);
    shunned.push("192.0.2.1", "192.0.2.9");
    first!.destroy();
    assert.deepEqual([second!.isCut, other!.isCut, known!.isCut, count()], [true, false, false, 2]);
    assert.deepEqual(
      ["192.0.2.1", "192.0.2.2", "192.0.2.9"].map((ip) => connect(ip).isCut),
      [true, false, false],
    );
  });

  it("of an IPv6 /64 count as one sender's, of IPv4 each address's", () => {
    const { connect, count } = crowd({ total: 100, perAddress: 3 });
    const cut = (network: (i: number) => string): number =>
      Array.from({ length: 8 }, (_, i) => connect(network(i))).filter(({ isCut }) => isCut).length;
    assert.equal(
      cut((i) => `2a01:4f8:1:2::${i}`),
      5,
    );
    assert.equal(
      cut((i) => `2a01:4f8:1:${i + 3}::1`),
      0,
    );
    assert.equal(
      cut((i) => `::ffff:203.0.113.${i}`),
      0,
    );
    assert.equal(count(), 3 + 8 + 8);
  });

  it("of a known address are not used up by its neighbours, nor theirs by it", () => {
    const { connect, count } = crowd({ total: 100, perAddress: 3 }, [VALIDATOR]);
    const strangers = Array.from({ length: 5 }, (_, i) => connect(`2a01:4f8:1:2::b${i}`));
    const own = Array.from({ length: 3 }, () => connect(VALIDATOR));
    assert.deepEqual([strangers.filter(({ isCut }) => isCut).length, own.some(({ isCut }) => isCut)], [2, false]);
    own[0]!.destroy();
    assert.equal(count(), 5);
  });

  it("make room for a known address, the newest of whoever holds most", () => {
    const { connect, count } = crowd({ total: 4, perAddress: 3 }, [VALIDATOR]);
    const [one, two, three] = [connect("2a01:4f8:1:2::b1"), connect("2a01:4f8:1:2::b2"), connect("2a01:4f8:1:2::b3")];
    connect("203.0.113.1");
    const validator = connect(VALIDATOR);
    assert.deepEqual(
      [one, two, three, validator].map(({ isCut }) => isCut),
      [false, false, true, false],
    );
    assert.equal(count(), 4);
  });
});
