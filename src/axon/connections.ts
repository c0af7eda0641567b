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
  /** Sender → its sockets and their addresses: one that became known meanwhile is still filed under its network. */
  const open = new Map<string, Map<Socket, string>>();
  let size = 0;

  const remove = (sender: string, socket: Socket): void => {
    const sockets = open.get(sender);
    if (!sockets?.delete(socket)) return;
    size -= 1;
    if (sockets.size === 0) open.delete(sender);
  };
  const unknownOf = (sender: string): Socket[] =>
    [...(open.get(sender) ?? [])].filter(([, ip]) => !known.has(ip)).map(([socket]) => socket);
  /** Cuts a socket of the stranger who holds most; false when nobody should yield. */
  const makeRoom = (sender: string, ip: string): boolean => {
    let least = known.has(ip) ? 1 : (open.get(sender)?.size ?? 0) + 2;
    let victim: { readonly holder: string; readonly socket: Socket } | undefined;
    for (const [holder, sockets] of open) {
      if (holder === sender || sockets.size < least) continue;
      const socket = unknownOf(holder).at(-1); // looked up only where it would be the new victim
      if (socket === undefined) continue;
      victim = { holder, socket };
      least = sockets.size + 1;
    }
    if (victim === undefined) return false;
    remove(victim.holder, victim.socket);
    victim.socket.destroy();
    return true;
  };

  server.on("connection", (socket: Socket) => {
    const ip = peerIp(socket);
    const sender = ownerOf(ip, known);
    const held = open.get(sender)?.size ?? 0;
    const isUnheard = !known.has(ip) && strangers.isShunned(sender);
    if (isUnheard || held >= perAddress || (size >= total && !makeRoom(sender, ip))) {
      socket.destroy();
      return;
    }
    open.set(sender, (open.get(sender) ?? new Map<Socket, string>()).set(socket, ip));
    size += 1;
    socket.once("close", () => {
      remove(sender, socket);
      // Before they are parsed, too.
      if (strangers.isShunned(sender)) for (const other of unknownOf(sender)) other.destroy();
    });
  });
  return () => size;
}
