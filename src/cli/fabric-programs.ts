/** What the Fabric network on this machine runs beside Fabric's programs, and where it keeps what it installs. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ContractLaunch, StepOptions } from '#ledger/fabric/network-steps.ts';
import type { CommandContext } from './command.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(HERE, '..', '..');
/** Node configurations and the builder. */
export const TEMPLATES = join(ROOT, 'fabric');

/** Programs outlive a network: they are compiled once. */
export function cacheOf({ env }: Pick<CommandContext, 'env'>): string {
  return join(env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? ROOT, '.cache'), 'healthkeep', 'fabric');
}

/** The process that serves a contract to one organisation's peer. Fabric's Node shim asks for the MSP id in the environment. */
export function serveContract(env: CommandContext['env']): StepOptions['serve'] {
  const flag = '--disable-warning=ExperimentalWarning';
  return ({ contract, mspId, address, packageId }: ContractLaunch) => ({
    program: process.execPath,
    args: contract === 'probe' || contract === 'helper' ? [flag, join(ROOT, 'src', 'ledger', 'conformance', 'serve-probe.ts'), address, packageId] : [flag, join(HERE, 'main.ts'), 'chaincode', 'serve', '--channel-kind', contract, '--address', address, '--id', packageId],
    env: { ...env, CORE_PEER_LOCALMSPID: mspId },
  });
}
