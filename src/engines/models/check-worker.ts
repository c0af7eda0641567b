import { parentPort } from "node:worker_threads";
import { checkModel } from "./check.ts";
import type { ModelCheck } from "./golden.ts";
import { problemOf } from "./manifest.ts";

/** Entry of a thread that checks the models it is sent and says what is wrong with each; null: nothing. */
parentPort!.on("message", (model: ModelCheck) => {
  checkModel(model).then(
    () => {
      parentPort!.postMessage(null);
    },
    (error: unknown) => {
      parentPort!.postMessage(problemOf(error));
    },
  );
});
