/** Writes the table of settings into README.md, between its markers. Usage: node scripts/readme-settings.ts */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { settingsMarkdown } from "../src/config/help.ts";
import { loadConfig, PACKAGE_ROOT } from "../src/config/load.ts";

const file = path.join(PACKAGE_ROOT, "README.md");
const none = { args: [], env: {}, cwd: "/", options: z.object({}), positionals: [], configFiles: [] };
const table = settingsMarkdown(loadConfig(none).config);
const text = readFileSync(file, "utf8");
writeFileSync(file, text.replace(/(<!-- settings -->\n)[\s\S]*?(\n<!-- \/settings -->)/, `$1\n${table}\n$2`));
