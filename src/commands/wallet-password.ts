import { z } from "zod";
import { EXIT, OperationalError, UsageError } from "../errors.ts";
import { checkWalletNames, hotkeyFile, hotkeyPaths, readKeyfile } from "../wallet/hotkey-location.ts";
import { terminalPrompt } from "../wallet/password-prompt.ts";
import { isExportable, obscurePassword, passwordVariables } from "../wallet/password-variable.ts";
import { isSecretbox } from "../wallet/secretbox.ts";
import { unlockKeyfile } from "../wallet/unlock.ts";
import { defineCommand } from "./command.ts";

export const walletPasswordCommand = defineCommand({
  name: "wallet-password",
  summary: "print the environment variable that lets the encrypted hotkey start without a prompt",
  usage:
    "wallet-password [--wallet.name NAME] [--wallet.hotkey HOTKEY] [--wallet.path DIR]\n" +
    '  export "$(npm run -s miner -- wallet-password)" asks for the password, proves it on the file and sets the variable.\n' +
    "  The value hides the password from a glance only: keep it as you keep a password.",
  options: z.object({}),
  positionals: [],
  sections: ["wallet"],
  async run({ config, logger, signal, print }) {
    const prompt = terminalPrompt();
    if (prompt === null) throw new UsageError(["stdin: expected a terminal to ask for the password"]);
    checkWalletNames(config.wallet);
    const [file, paths] = [hotkeyFile(config.wallet), hotkeyPaths(config.wallet)];
    const content = await readKeyfile(file, logger);
    if (!isSecretbox(content)) {
      throw new OperationalError(
        "WALLET_PLAIN",
        `Hotkey file ${file} is not encrypted with NaCl: it needs no password`,
      );
    }
    const { password } = await unlockKeyfile({ file, paths, content }, { env: {}, prompt, logger, signal });
    const names = passwordVariables(paths);
    const name = names.find(isExportable) ?? names[0]!;
    print(`${name}=${obscurePassword(password, name)}`);
    return EXIT.OK;
  },
});
