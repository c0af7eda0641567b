import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { OperationalError } from "../errors.ts";

export interface Readiness {
  readonly ready: boolean;
  /** Why not; empty when ready. */
  readonly reasons: readonly string[];
}

export interface HealthServer {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

/** A local listener of its own: `/healthz` answers as long as the process lives, `/readyz` says whether it can serve. */
export async function startHealth(options: {
  ip: string;
  port: number;
  readiness: () => Readiness;
  /** Counters for /healthz; uptime and memory are added here. */
  counters: () => Readonly<Record<string, unknown>>;
}): Promise<HealthServer> {
  const { ip, port, readiness, counters } = options;
  const server = createServer(
    { requestTimeout: 5000, headersTimeout: 5000, keepAliveTimeout: 1000 },
    (request, response) => {
      const path = request.url?.split("?", 1)[0];
      const send = (status: number, content: unknown): void => {
        response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(content)}\n`);
      };
      if (request.method !== "GET" && request.method !== "HEAD") send(405, { message: "Use GET" });
      else if (path === "/healthz") {
        send(200, {
          status: "alive",
          uptimeSeconds: process.uptime(),
          rssBytes: process.memoryUsage.rss(),
          ...counters(),
        });
      } else if (path === "/readyz") {
        const { ready, reasons } = readiness();
        send(ready ? 200 : 503, { ready, reasons });
      } else send(404, { message: "Try /healthz or /readyz" });
    },
  );
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(new OperationalError("HEALTH_LISTEN", `Cannot listen on ${ip}:${port} for /healthz`, { cause: error }));
    });
    server.listen(port, ip, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    address: address.address,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
