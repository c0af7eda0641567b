/**
 * pm2: one updater, one or several axons, and every quarter of an hour the scoring of our own past answers. Mainnet by default; what stands after `--` goes to every process:
 *   npx pm2 start ecosystem.config.js -- --netuid 247 --subtensor.network test
 * Several hotkeys: SYNTH_AXONS="hotkey1:8091,hotkey2:8092" npx pm2 start ecosystem.config.js
 * ES module: pm2 reads it with require(), which Node >= 20.19 allows.
 */
import { fileURLToPath } from "node:url";

const separator = process.argv.indexOf("--");
const sharedArgs = separator < 0 ? [] : process.argv.slice(separator + 1);

/** [{ name, args }]: without SYNTH_AXONS one axon with the configured hotkey and port. */
function axons() {
  const list = (process.env.SYNTH_AXONS ?? "").split(",").filter((entry) => entry.trim() !== "");
  if (list.length === 0) return [{ name: "synth-axon", args: [] }];
  return list.map((entry) => {
    const [hotkey, port, ...rest] = entry.trim().split(":");
    if (!hotkey || !/^\d+$/.test(port ?? "") || rest.length > 0) {
      throw new Error(`SYNTH_AXONS: expected hotkey:port[,hotkey:port…], found "${entry}"`);
    }
    return { name: `synth-axon-${hotkey}`, args: ["--wallet.hotkey", hotkey, "--axon.port", port] };
  });
}

function app(name, command, options) {
  return {
    name,
    script: "src/main.ts",
    args: [command, ...options.args, ...sharedArgs],
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    // The pinned Node 24, whatever Node runs pm2 itself.
    interpreter: fileURLToPath(new URL("node_modules/node/bin/node", import.meta.url)),
    // Short-lived megabytes (answers, states) would otherwise grow every thread's young generation: 60 MB less.
    node_args: ["--max-semi-space-size=4"],
    exec_mode: "fork",
    wait_ready: true,
    listen_timeout: options.listenTimeoutMs,
    // SIGTERM's own limit is 10 s.
    treekill: false,
    kill_timeout: 11_000,
    max_memory_restart: options.maxMemory,
    exp_backoff_restart_delay: 500,
    // Exit codes 2 (configuration) and 3 (not registered) need a person: restarting would loop. (With a back-off pm2
    // shows such a process as "waiting restart" and still never restarts it.)
    stop_exit_codes: [2, 3],
    merge_logs: true,
  };
}

/**
 * Reads what the others write and is the only writer of its own file: safe beside them. A run ends within ten minutes by
 * itself and goes on in the next; one that pm2 ends is no loss.
 */
function scorer() {
  const base = app("synth-scorer", "score-recordings", { args: [], listenTimeoutMs: 15_000, maxMemory: "700M" });
  return { ...base, wait_ready: false, autorestart: false, cron_restart: "*/15 * * * *" };
}

export const apps = [
  // Ready after its first cycle, which may be a warm-up of several days of candles for every asset.
  app("synth-updater", "update", { args: [], listenTimeoutMs: 120_000, maxMemory: "500M" }),
  ...axons().map(({ name, args }) => app(name, "serve", { args, listenTimeoutMs: 15_000, maxMemory: "700M" })),
  scorer(),
];
