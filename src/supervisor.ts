/** For pm2 (wait_ready). A supervisor that is gone or just goes is no reason to end. */
export function tellSupervisorReady(): void {
  if (process.connected) process.send?.("ready", () => undefined);
}
