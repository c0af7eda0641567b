import type { Logger } from "./log.ts";

/** pm2 and systemd send SIGKILL after their own patience; ours ends before the ten seconds that were promised. */
const FORCED_EXIT_MS = 9500;

/** One Ctrl-C reaches us twice when npm or `timeout` passes it on; a person's second one comes later. */
const DUPLICATE_SIGNAL_MS = 1000;

/**
 * One AbortSignal for SIGTERM and SIGINT. A second signal, or a shutdown that hangs, ends the process at once. A terminal
 * that closes stops a command likewise, but no daemon: `nohup` asks for that, and Node does not keep what it set.
 */
export function onShutdownSignal(options: { logger: Logger; isDaemon: boolean }): { readonly signal: AbortSignal } {
  const { logger, isDaemon } = options;
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      if (performance.now() - firstMs < DUPLICATE_SIGNAL_MS) return;
      logger.warn({ signal: name }, "Second signal, stopping at once");
      process.exit(1);
    }
    logger.info({ signal: name }, "Stopping");
    firstMs = performance.now();
    controller.abort(new Error(`stopped by ${name}`));
    setTimeout(() => {
      logger.error({ forcedExitMs: FORCED_EXIT_MS }, "Shutdown took too long, stopping at once");
      process.exit(1);
    }, FORCED_EXIT_MS).unref();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  process.on("SIGHUP", (name) => {
    if (isDaemon) logger.info({ signal: name }, "Signal ignored: SIGTERM or SIGINT stops this process");
    else onSignal(name);
  });
  return { signal: controller.signal };
}
