import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { FakeUfw, type FakeUfwState } from "./fake-ufw.ts";

/**
 * FakeUfw as a program, its state in the JSON file that FAKE_UFW names. `failAt`: the changing command, counted from 0, that
 * fails without an effect. `calls`: what was asked of it.
 */
const stateSchema = z.looseObject({
  mode: z.enum(["root", "user"]).default("root"),
  failAt: z.int().default(-1),
  /** Says that all is well and does nothing, as ufw does of rules that it cannot find. */
  ignore: z.boolean().default(false),
  calls: z.array(z.string()).default([]),
});

const file = process.env["FAKE_UFW"] ?? "";
const stored = JSON.parse(readFileSync(file, "utf8")) as Partial<FakeUfwState>;
const { mode, failAt, ignore, calls } = stateSchema.parse(stored);
const args = process.argv.slice(2);
const ufw = new FakeUfw({ ...stored });

function answer(): { code: number; text: string } {
  if (mode === "user") return { code: 1, text: "ERROR: You need to be root to run this script\n" };
  if (args[0] === "status") return ufw.run(args);
  const count = calls.filter((call) => !call.startsWith("status")).length;
  if (count === failAt) return { code: 1, text: "ERROR: problem running iptables\n" };
  return ignore ? { code: 0, text: "Skipping inserting existing rule\n" } : ufw.run(args);
}

const { code, text } = answer();
writeFileSync(file, JSON.stringify({ ...stored, ...ufw.state, calls: [...calls, args.join(" ")] }));
(code === 0 ? process.stdout : process.stderr).write(text);
process.exitCode = code;
