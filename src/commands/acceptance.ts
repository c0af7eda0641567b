import { resolve } from "node:path";
import { z } from "zod";
import { MODELS_FILE } from "../engines/load.ts";
import { EXIT } from "../errors.ts";
import { acceptModels, type AcceptanceRow } from "../evaluation/acceptance.ts";
import { settingsOf } from "../evaluation/backtest/options.ts";
import { defineCommand } from "./command.ts";
import { textTable } from "./text-table.ts";

const options = z.strictObject({
  models: z.string().min(1).optional().describe(`manifest of trained models; default: ${MODELS_FILE}`),
  budgetMs: z
    .number()
    .positive()
    .optional()
    .describe(
      "longest median time of inference, sampling and encoding of a prompt, without rank matching; default: 150 of patchtst, 120 of lgbm",
    ),
  seed: z.int().min(0).default(1).describe("seed of the generated market that the models are asked about"),
});

export const acceptanceCommand = defineCommand({
  name: "acceptance",
  summary: "check that every trained model loads and answers every asset it serves with paths like a market's",
  usage: "acceptance [--models FILE] [--budget-ms MS] [--seed N]",
  options,
  positionals: [],
  sections: ["engines", "updater"],
  async run({ options: asked, config, print, signal }) {
    const rows: AcceptanceRow[] = [];
    const accepting = acceptModels({
      config,
      settings: settingsOf(config, { paths: 1000, seed: asked.seed }),
      manifestFile: asked.models === undefined ? MODELS_FILE : resolve(asked.models),
      budgetMs: asked.budgetMs ?? null,
      signal,
    });
    for await (const row of accepting) rows.push(row);
    print(describe(rows));
    if (signal.aborted) return EXIT.INTERRUPTED;
    return rows.length > 0 && rows.every(({ failures }) => failures.length === 0) ? EXIT.OK : EXIT.FAILURE;
  },
});

function describe(rows: readonly AcceptanceRow[]): string {
  const head = [
    "model",
    "asset",
    "prices",
    "mean / se",
    "clustering",
    "kurtosis",
    "inference ms",
    "median ms",
    "verdict",
  ];
  const cells = rows.map(({ model, asset, facts, medianMs, inferenceMs, failures }) => [
    model,
    asset,
    facts === null ? "none" : facts.isSound ? "sound" : "broken",
    facts?.meanZ.toFixed(1) ?? "",
    facts === null ? "" : `${facts.clustering.toFixed(3)} (${facts.clusteringZ.toFixed(0)} se)`,
    facts === null ? "" : `${facts.kurtosis.toFixed(1)} (${facts.kurtosisZ.toFixed(0)} se)`,
    inferenceMs?.toFixed(1) ?? "",
    medianMs?.toFixed(0) ?? "",
    failures.length === 0 ? "accepted" : "REFUSED",
  ]);
  return [
    textTable(head, cells, ["mean / se", "clustering", "kurtosis", "inference ms", "median ms"]),
    ...rows.flatMap(({ model, asset, failures }) => failures.map((failure) => `${model} ${asset}: ${failure}`)),
    "clustering: autocorrelation of squared returns at lag one; kurtosis: 3 is Gaussian; se: standard errors above none",
    "median ms: of inference, sampling and encoding of a prompt of 1000 paths, without rank matching",
  ].join("\n");
}
