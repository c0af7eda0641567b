import { parentPort } from "node:worker_threads";

/** A chain's thread that answers nothing sensible: `open` of ws://crash ends it, of ws://hang blocks it for good. */
parentPort!.on("message", (message: { id: number; params: unknown }) => {
  if (message.params === "ws://crash") throw new Error("scripted crash");
  if (message.params === "ws://hang") for (;;);
  process.stderr.write("noise of a library\n");
  parentPort!.postMessage({ kind: "answer", id: message.id, outcome: { ok: true, value: message.params } });
});
