import { once } from "node:events";
import { WebSocket } from "ws";
import type { RpcErrorBody } from "./api.ts";

/** JSON-RPC over WebSocket with nothing between the test and the node: no retries, no codecs. */
export interface RawClient {
  /** Rejects with RawRpcError, or with CONNECTION_CLOSED when the connection ends first. */
  call(method: string, ...params: readonly unknown[]): Promise<unknown>;
  /** Every notification so far, in order of arrival. */
  readonly notifications: readonly { readonly method: string; readonly result: unknown }[];
  /** Resolves with the next pong. */
  ping(): Promise<void>;
  readonly closed: Promise<void>;
  close(): void;
}

export class RawRpcError extends Error {
  readonly body: RpcErrorBody;

  constructor(body: RpcErrorBody) {
    super(`${body.code}: ${body.message}: ${body.data ?? ""}`);
    this.body = body;
  }
}

export const CONNECTION_CLOSED = "connection closed";

interface Message {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: RpcErrorBody;
  readonly method?: string;
  readonly params?: { readonly result: unknown };
}

/** Rejects when the connection is refused. */
export async function rawClient(url: string): Promise<RawClient> {
  const socket = new WebSocket(url);
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const notifications: { method: string; result: unknown }[] = [];
  const closed = Promise.withResolvers<undefined>();
  let next = 0;
  socket.on("message", (data) => {
    const message = JSON.parse((data as Buffer).toString()) as Message;
    if (message.method !== undefined) {
      notifications.push({ method: message.method, result: message.params?.result });
      return;
    }
    const call = waiting.get(message.id ?? -1);
    if (message.error === undefined) call?.resolve(message.result);
    else call?.reject(new RawRpcError(message.error));
  });
  socket.on("close", () => {
    for (const call of waiting.values()) call.reject(new Error(CONNECTION_CLOSED));
    closed.resolve(undefined);
  });
  await once(socket, "open");
  return {
    call: (method, ...params) => {
      next += 1;
      const call = Promise.withResolvers<unknown>();
      waiting.set(next, call);
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: next, method, params }));
      return call.promise;
    },
    notifications,
    ping: async () => {
      const pong = once(socket, "pong");
      socket.ping();
      await pong;
    },
    closed: closed.promise,
    close: () => {
      socket.terminate();
    },
  };
}
