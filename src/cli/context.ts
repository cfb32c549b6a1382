/** Small things every command needs: paths as the caller meant them, requests signed by a key. */
import { resolve } from 'node:path';
import type { SignRequest } from '#api/client.ts';
import { signRequest } from '#crypto/http-signature.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { systemClock, systemRandom } from '#sim/seams.ts';
import type { CommandContext } from './command.ts';

/** A path relative to where the caller stood (npm moves to the package's folder). */
export function pathOf({ env }: Pick<CommandContext, 'env'>, path: string | boolean | undefined): string {
  return resolve(env['INIT_CWD'] ?? '.', String(path));
}

/** Signs requests as this identity (RFC 9421). */
export function signerFor(signer: LedgerSigner): SignRequest {
  return (request) => signRequest(request, { certificate: signer.certificate, sign: (message) => signer.sign(message), clock: systemClock, random: systemRandom });
}
