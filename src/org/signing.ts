/** Signs an organisation's outgoing requests. */
import type { SignRequest } from '#api/client.ts';
import { signRequest } from '#crypto/http-signature.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { OrgDeps } from './types.ts';

/** The `sign` of an API client, by one of the organisation's keys. */
export function signerOf(deps: Pick<OrgDeps, 'clock' | 'random'>, signer: LedgerSigner): SignRequest {
  return (request) => signRequest(request, { certificate: signer.certificate, sign: (message) => signer.sign(message), clock: deps.clock, random: deps.random });
}
