/** A promotion that is killed after a number of writes. Usage: killed-promotion.ts DIR WRITES */
import { promote } from "../../src/evaluation/promote/promote.ts";
import { writeFileAtomic } from "../../src/store/atomic-file.ts";
import { promotionIn } from "./promotion.ts";

const [dir, writes] = process.argv.slice(2) as [string, string];
let left = Number(writes);
const options = await promotionIn(dir, {
  write: async (path, content) => {
    if (left-- === 0) process.kill(process.pid, "SIGKILL");
    await writeFileAtomic(path, content);
  },
});
for await (const decision of promote(options)) process.stdout.write(decision.reason);
