/**
 * pm2: one updater, one or several axons, and by the clock what learns from our own past answers. Mainnet by default; what stands after `--` goes to every process:
 *   npx pm2 start ecosystem.config.js -- --netuid 247 --subtensor.network test
 * Several hotkeys: SYNTH_AXONS="hotkey1:8091,hotkey2:8092" npx pm2 start ecosystem.config.js
 * Training by the clock too: SYNTH_RETRAIN=1 npx pm2 start ecosystem.config.js
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
 * Ends by itself and is started again by the clock (this machine's time zone), and once with pm2. Safe beside the others: it writes files
 * that nobody else writes, as a whole, under a lock; what pm2 ends is no loss.
 */
function cron(name, schedule, [command, ...args], maxMemory = "700M") {
  const base = app(name, command, { args, listenTimeoutMs: 15_000, maxMemory });
  // pm2 would call it "waiting restart" all day.
  delete base.exp_backoff_restart_delay;
  return { ...base, wait_ready: false, autorestart: false, cron_restart: schedule };
}

/** A run that learns from recordings takes ten minutes at most, and they take turns. */
function learner(name, schedule, command) {
  return cron(name, schedule, [...command, "--wait-minutes", "11"]);
}

function retrain(models, everyDays) {
  return ["retrain", "--models", models, "--every-days", String(everyDays)];
}

/** SYNTH_RETRAIN=1, where there is a Python with scripts/train/requirements.txt: candles daily (a feed keeps its minutes for three days), training by kind. */
function training() {
  if (process.env.SYNTH_RETRAIN !== "1") return [];
  return [
    cron("synth-candles", "27 2 * * *", ["download-candles"]),
    // The hour's rows fade within weeks: a week of held-out days has to judge them.
    cron("synth-retrain-lgbm-hf", "17 4 * * *", [...retrain("lgbm-hf", 0.9), "--holdout-days", "7"], "4G"),
    cron("synth-retrain-lgbm-lf", "47 5 */3 * *", retrain("lgbm-lf", 2.5), "4G"),
    cron("synth-retrain-patchtst", "17 7 * * 0", retrain("patchtst", 6), "4G"),
  ];
}

export const apps = [
  // Ready after its first cycle, which may be a warm-up of several days of candles for every asset.
  app("synth-updater", "update", { args: [], listenTimeoutMs: 120_000, maxMemory: "500M" }),
  ...axons().map(({ name, args }) => app(name, "serve", { args, listenTimeoutMs: 15_000, maxMemory: "700M" })),
  learner("synth-scorer", "*/15 * * * *", ["score-recordings"]),
  learner("synth-calibrate-hf", "12 */3 * * *", ["calibrate", "--model", "HF"]),
  learner("synth-calibrate-lf-crypto", "42 0 * * *", ["calibrate", "--model", "LF-crypto"]),
  learner("synth-calibrate-lf-equity", "42 1 * * *", ["calibrate", "--model", "LF-equity"]),
  ...training(),
];
