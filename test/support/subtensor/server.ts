import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { WebSocket, WebSocketServer } from "ws";
import type { RpcErrorBody, SeenCall } from "./api.ts";
import type { Block } from "./block.ts";
import { METHODS, Params, RpcError, type Node } from "./rpc.ts";
import { SUBSCRIPTION_METHODS, Subscriptions } from "./subscriptions.ts";

/** JSON-RPC over WebSocket, and the faults of a connection. */

const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024;
const MAX_SEEN_CALLS = 10_000;

interface Request {
  readonly id: unknown;
  readonly method: string;
  readonly params: readonly unknown[];
}

interface Cut {
  left: number;
  readonly method: string | null;
  readonly executed: boolean;
}

export class RpcServer {
  readonly #node: Node;
  readonly #server: WebSocketServer;
  readonly #connections = new Set<Connection>();
  readonly calls: SeenCall[] = [];
  #cut: Cut | null = null;

  private constructor(node: Node, server: WebSocketServer) {
    this.#node = node;
    this.#server = server;
    server.on("connection", (socket) => {
      this.#accept(socket);
    });
  }

  static async listen(node: Node, port: number): Promise<RpcServer> {
    const server = new WebSocketServer({
      host: "127.0.0.1",
      port,
      maxPayload: MAX_PAYLOAD_BYTES,
      autoPong: false,
      verifyClient: (_, decide) => {
        const refused = node.view.faults.refuseConnections ?? false;
        decide(!refused, 503);
      },
    });
    await once(server, "listening");
    return new RpcServer(node, server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  onBlock(block: Block): void {
    for (const connection of this.#connections) connection.subscriptions.onBlock(block);
  }

  cutAll(): void {
    for (const connection of this.#connections) connection.terminate();
  }

  cutAfter(cut: Cut): void {
    this.#cut = cut;
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #accept(socket: WebSocket): void {
    const connection = new Connection(this.#node, socket);
    this.#connections.add(connection);
    socket.on("close", () => {
      this.#connections.delete(connection);
    });
    socket.on("error", () => {
      connection.terminate();
    });
    socket.on("ping", (data) => {
      if (this.#node.view.faults.halfOpen !== true) socket.pong(data);
    });
    socket.on("message", (data) => {
      this.#receive(connection, (data as Buffer).toString("utf8"));
    });
  }

  #receive(connection: Connection, text: string): void {
    const requests = parseRequests(text);
    for (const { method, params } of requests ?? []) this.calls.push({ method, params });
    while (this.calls.length > MAX_SEEN_CALLS) this.calls.shift();
    if (this.#node.view.faults.halfOpen === true) return;
    if (requests === null) {
      connection.send({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "Parse error" } });
      return;
    }
    for (const request of requests) this.#handle(connection, request);
  }

  #handle(connection: Connection, request: Request): void {
    const names = namesOf(request);
    const { silentMethods = [], failingMethods = {} } = this.#node.view.faults;
    const execute = (): void => {
      connection.execute(request).afterAnswer();
    };
    if (this.#cutsAt(names, execute)) return;
    if (names.some((name) => silentMethods.includes(name))) return;
    const failing = names.find((name) => Object.hasOwn(failingMethods, name));
    if (failing === undefined) connection.answer(request);
    else connection.send({ jsonrpc: "2.0", id: request.id, error: failingMethods[failing] });
  }

  #cutsAt(names: readonly string[], execute: () => void): boolean {
    const cut = this.#cut;
    if (cut === null || (cut.method !== null && !names.includes(cut.method))) return false;
    cut.left -= 1;
    if (cut.left > 0) return false;
    this.#cut = null;
    // First the cut: what follows from the call reaches nobody.
    this.cutAll();
    if (cut.executed) execute();
    return true;
  }
}

/** A state_call is also known by the runtime's method. */
function namesOf({ method, params }: Request): readonly string[] {
  const runtimeMethod = params[0];
  return method === "state_call" && typeof runtimeMethod === "string" ? [method, runtimeMethod] : [method];
}

function parseRequests(text: string): readonly Request[] | null {
  try {
    const json: unknown = JSON.parse(text);
    const all: readonly unknown[] = Array.isArray(json) ? json : [json];
    return all.map((one) => {
      const { id, method, params = [] } = one as Partial<Request>;
      if (typeof method !== "string" || !Array.isArray(params)) throw new TypeError("no JSON-RPC request");
      return { id, method, params };
    });
  } catch {
    return null;
  }
}

type Answer = { readonly result: unknown } | { readonly error: RpcErrorBody };

class Connection {
  readonly #node: Node;
  readonly #socket: WebSocket;
  readonly #timers = new Set<NodeJS.Timeout>();
  #lastDueMs = 0;
  readonly subscriptions: Subscriptions;

  constructor(node: Node, socket: WebSocket) {
    this.#node = node;
    this.#socket = socket;
    this.subscriptions = new Subscriptions(node, (method, subscription, result) => {
      this.send({ jsonrpc: "2.0", method, params: { subscription, result } });
    });
  }

  answer(request: Request): void {
    const { answer, afterAnswer } = this.execute(request);
    this.send({ jsonrpc: "2.0", id: request.id, ...answer });
    afterAnswer();
  }

  /** What follows a call that was cut still happens; its notifications go nowhere. */
  execute({ method, params }: Request): { readonly answer: Answer; readonly afterAnswer: () => void } {
    const nothing = (): void => undefined;
    try {
      const { result, afterAnswer = nothing } = this.#call(method, new Params(params));
      return { answer: { result }, afterAnswer };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return { answer: { error: error.body }, afterAnswer: nothing };
    }
  }

  #call(method: string, params: Params): { readonly result: unknown; readonly afterAnswer?: () => void } {
    if (method === "rpc_methods") return { result: { methods: RPC_METHODS } };
    if (this.subscriptions.isOpening(method)) {
      const { id, afterAnswer } = this.subscriptions.open(method, params);
      return { result: id, afterAnswer };
    }
    if (this.subscriptions.isClosing(method)) return { result: this.subscriptions.close(params.text(0)) };
    const found = METHODS[method];
    if (found === undefined) throw new RpcError({ code: -32601, message: "Method not found" });
    return { result: found(this.#node, params) };
  }

  /** In order, and as late as the faults say. */
  send(message: object): void {
    const nowMs = performance.now();
    const dueMs = Math.max(nowMs + (this.#node.view.faults.delayMs ?? 0), this.#lastDueMs);
    this.#lastDueMs = dueMs;
    const text = JSON.stringify(message);
    if (dueMs <= nowMs) {
      this.#write(text);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#write(text);
    }, dueMs - nowMs);
    this.#timers.add(timer);
  }

  #write(text: string): void {
    if (this.#node.view.faults.halfOpen === true) return;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  terminate(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#socket.terminate();
  }
}

const RPC_METHODS: readonly string[] = [...Object.keys(METHODS), ...SUBSCRIPTION_METHODS, "rpc_methods"].sort();
