#!/usr/bin/env node
/** Stands in for the Python of the training: stages the fixture as the model that is asked for, and notes its arguments. */
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installModels } from "./patchtst-models.ts";

const names = ["model", "data", "out", "work", "validation", "test", "to"] as const;
const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
const { values } = parseArgs({ args: process.argv.slice(3), options });
const asked = values as Record<(typeof names)[number], string>;
appendFileSync(process.env["FAKE_TRAIN_LOG"]!, `${JSON.stringify(asked)}\n`);
if (asked.model !== "LF-crypto") process.exit(1);
mkdirSync(asked.out, { recursive: true });
mkdirSync(join(asked.work, asked.model), { recursive: true });
await installModels(asked.out, process.env["FAKE_TRAIN_CALIBRATION"]!);
