import { drawExample, type ExampleTask } from "./example.ts";
import type { ReportExample } from "./report.ts";
import {
  scoreChunk,
  scoreConstant,
  scoreOracle,
  type ConstantTask,
  type ContestantScore,
  type OracleTask,
  type PromptResult,
  type ScoreTask,
} from "./score-chunk.ts";

/** Entry of a backtest thread: `run` is what the pool calls. */

export type BacktestTask = ScoreTask | ConstantTask | OracleTask | ExampleTask;

export interface BacktestAnswers {
  readonly score: PromptResult[];
  readonly constant: number[];
  readonly oracle: ContestantScore[];
  readonly example: ReportExample;
}

export function run(task: BacktestTask): Promise<BacktestAnswers[BacktestTask["kind"]]> {
  switch (task.kind) {
    case "score":
      return scoreChunk(task);
    case "constant":
      return scoreConstant(task);
    case "oracle":
      return scoreOracle(task);
    case "example":
      return drawExample(task);
  }
}
