import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { KnownAddresses } from "./known-addresses.ts";
import { ownerOf, peerIp } from "./sender-address.ts";
import type { Strangers } from "./strangers.ts";

/**
 * Bounds the open sockets, altogether and per sender. When all places are taken, the newest socket of the stranger who
 * holds most makes room for a known address, or for whoever holds fewer. A shunned sender has none. Returns the number of
 * open sockets.
 */
export function limitConnections(
  server: Pick<EventEmitter, "on">,
  limits: {
    readonly total: number;
    readonly perAddress: number;
    readonly known: KnownAddresses;
    readonly strangers: Pick<Strangers, "isShunned">;
  },
): () => number {
  const { total, perAddress, known, strangers } = limits;
  const open = new Map<string, Set<Socket>>();
  let size = 0;

  const remove = (sender: string, socket: Socket): void => {
    const sockets = open.get(sender);
    if (!sockets?.delete(socket)) return;
    size -= 1;
    if (sockets.size === 0) open.delete(sender);
  };
  /** Cuts a socket of the stranger who holds most; false when nobody should yield. */
  const makeRoom = (sender: string): boolean => {
    let least = known.has(sender) ? 1 : (open.get(sender)?.size ?? 0) + 2;
    let victim: string | undefined;
    for (const [other, sockets] of open) {
      if (other === sender || sockets.size < least || known.has(other)) continue;
      victim = other;
      least = sockets.size + 1; // looked up only where it would be the new victim
    }
    if (victim === undefined) return false;
    const socket = [...open.get(victim)!].at(-1)!;
    remove(victim, socket);
    socket.destroy();
    return true;
  };

  const isShunned = (sender: string): boolean => !known.has(sender) && strangers.isShunned(sender);

  server.on("connection", (socket: Socket) => {
    const sender = ownerOf(peerIp(socket), known);
    const held = open.get(sender)?.size ?? 0;
    if (isShunned(sender) || held >= perAddress || (size >= total && !makeRoom(sender))) {
      socket.destroy();
      return;
    }
    const sockets = open.get(sender) ?? new Set();
    open.set(sender, sockets.add(socket));
    size += 1;
    socket.once("close", () => {
      remove(sender, socket);
      if (isShunned(sender)) for (const other of open.get(sender) ?? []) other.destroy(); // before they are parsed, too
    });
  });
  return () => size;
}
