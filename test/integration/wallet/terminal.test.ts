import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { PACKAGE_ROOT } from "../../../src/config/load.ts";
import { exportableVariable, passwordVariable, revealPassword } from "../../../src/wallet/password-variable.ts";
import { tempFolder } from "../../support/temp-folder.ts";

/** util-linux's script gives a program a terminal of its own and passes keys to it. */
const SCRIPT = "/usr/bin/script";
const needsScript = { skip: !existsSync(SCRIPT) && `needs ${SCRIPT} (util-linux)`, timeout: 120_000 };

const vectors = JSON.parse(readFileSync(path.join(PACKAGE_ROOT, "test/vectors/wallet_encryption.json"), "utf8")) as {
  files: { json: { password: string; base64: string } };
};
const { password, base64 } = vectors.files.json;

interface Session {
  readonly child: ChildProcessWithoutNullStreams;
  /** Resolves when the terminal shows `text` once more. */
  shows(text: string): Promise<void>;
  screen(): string;
  readonly code: Promise<number | null>;
}

async function walletFolder(test: TestContext): Promise<string> {
  const folder = await tempFolder(test);
  mkdirSync(path.join(folder, "w", "hotkeys"), { recursive: true });
  writeFileSync(path.join(folder, "w", "hotkeys", "h"), Buffer.from(base64, "base64"), { mode: 0o600 });
  return folder;
}

function command(folder: string, name: string): string[] {
  const main = path.join(PACKAGE_ROOT, "src/main.ts");
  return [process.execPath, main, name, "--wallet.path", folder, "--wallet.name", "w", "--wallet.hotkey", "h"];
}

/** The program in a terminal; afterwards the terminal says whether it echoes again. */
function inTerminal(test: TestContext, folder: string, name: string): Session {
  const line = [...command(folder, name), ...(name === "serve" ? ["--metagraph.mode", "open"] : [])].join(" ");
  const child = spawn(SCRIPT, ["-qec", `${line}; code=$?; stty -a | grep -o -- '-\\?echo '; exit $code`, "/dev/null"], {
    cwd: folder,
  });
  test.after(() => child.kill("SIGKILL"));
  let screen = "";
  let seen = 0;
  const waiting = new Set<() => void>();
  child.stdout.on("data", (chunk: Buffer) => {
    screen += chunk.toString();
    for (const look of waiting) look();
  });
  return {
    child,
    screen: () => screen,
    shows: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          const at = screen.indexOf(text, seen);
          if (at < 0) return;
          seen = at + text.length;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    code: new Promise((resolve) => child.on("close", resolve)),
  };
}

describe("the password at a real terminal", () => {
  it("wallet-password asks without echo, proves the password and prints the variable", needsScript, async (test) => {
    const folder = await walletFolder(test);
    const session = inTerminal(test, folder, "wallet-password");
    const file = path.join(folder, "w", "hotkeys", "h");
    await session.shows(`Password of hotkey file ${file}: `);
    session.child.stdin.write("sentinel-wrong\r");
    await session.shows("Wrong password, try again: ");
    session.child.stdin.write(`sentinel\u0015${password}x\u007f\r`);
    assert.equal(await session.code, 0, session.screen());
    const name = exportableVariable(file); // the temporary folder has a hyphen in its name
    const value = new RegExp(`^${name}=(\\S+)`, "m").exec(session.screen())?.[1];
    assert.equal(Buffer.from(revealPassword(value ?? "", name)!).toString(), password);
    assert.ok(!session.screen().includes("sentinel") && !session.screen().includes(password), session.screen());
    assert.match(session.screen(), /^echo\s*$/m, "the terminal echoes again");
  });

  it("Ctrl-C ends the program as everywhere, with the terminal restored", needsScript, async (test) => {
    const folder = await walletFolder(test);
    for (const [name, code] of [
      ["wallet-password", 130],
      ["serve", 0],
    ] as const) {
      const session = inTerminal(test, folder, name);
      await session.shows("Password of hotkey file ");
      session.child.stdin.write("sentinel\u0003");
      assert.equal(await session.code, code, session.screen());
      assert.match(session.screen(), /"signal":"SIGINT","msg":"Stopping"/);
      assert.match(session.screen(), /^echo\s*$/m, "the terminal echoes again");
      assert.ok(!session.screen().includes("sentinel"));
    }
  });

  it("where there is none, serve exits 2 and names the variable; wallet-password exits 2", async (test) => {
    const folder = await walletFolder(test);
    const [program = "", ...args] = command(folder, "serve");
    const served = spawnSync(program, [...args, "--metagraph.mode", "open"], {
      cwd: folder,
      encoding: "utf8",
      input: "",
    });
    assert.equal(served.status, 2, "pm2 must not try again");
    assert.ok(served.stderr.includes(passwordVariable(path.join(folder, "w", "hotkeys", "h"))), served.stderr);
    const [, ...others] = command(folder, "wallet-password");
    assert.equal(spawnSync(program, others, { cwd: folder, input: "" }).status, 2);
  });
});
