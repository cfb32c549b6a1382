/** A2: the owner's pseudonym at one keeper, and the code shown at its desk. */
import { toBase64url } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { signJson } from '#crypto/signed-json.ts';
import type { HpkeKeyPair } from '#crypto/hpke.ts';
import { readCertificate } from '#crypto/x509.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { Digest, instant, type OrgId } from '#model/ids.ts';
import { LinkRequest, Signed } from '#model/messages.ts';
import { orgClass, PAIRWISE_RENEW_DAYS } from '#model/orgs.ts';
import type { Context } from './context.ts';
import { askCertificates } from './enrolment.ts';
import { memberOf, userOrg } from './organisations.ts';
import { newIdentity, newMailbox, signerOf } from './signing.ts';
import { links, type Link, type Mailbox } from './state.ts';
import { takeSpares } from './stock.ts';
import { put } from './vault.ts';

const LINK_CODE_MINUTES = 15;
const DAY_MS = 86_400_000;

/** The payload of the QR code: signed with the pairwise key, valid for 15 minutes. Throws ORG_UNKNOWN, DEVICE_NOT_A_KEEPER. */
export async function linkCode(context: Context, keeper: OrgId): Promise<Signed> {
  if (orgClass(keeper) !== 'ho') throw new CodedError('DEVICE_NOT_A_KEEPER', `${keeper} keeps no records.`, { next: 'Choose a hospital or laboratory (HO-…).', org: keeper });
  await memberOf(context, keeper);
  const link = await finishLink(context, (await context.vault.get(links, keeper)) ?? (await beginLink(context, keeper)));
  const signer = await signerOf(link.identity);
  const request: LinkRequest = LinkRequest.parse({
    kind: 'link',
    keeper,
    pairwiseId: link.pairwiseId,
    certificate: signer.certificate,
    hpkePublicKey: toBase64url((await linkHpke(context, keeper)).publicKey),
    mailbox: link.mailbox.handle,
    nonce: Digest.parse(toBase64url(context.random.bytes(32))),
    expiresAt: instant(context.clock.now() + LINK_CODE_MINUTES * 60_000),
  });
  return Signed.parse(await signJson(request as Json, signer));
}

/** The HPKE key pair that a keeper seals to. */
export function linkHpke(context: Context, keeper: OrgId): Promise<HpkeKeyPair> {
  return context.keys.hpke(`link/${keeper}`);
}

/** The pairwise signer of a keeper. Throws DEVICE_NOT_LINKED. */
export async function pairwiseSigner(context: Context, keeper: OrgId): Promise<LedgerSigner> {
  const link = await context.vault.get(links, keeper);
  if (link?.identity.certificate === undefined) throw new CodedError('DEVICE_NOT_LINKED', `This device is not linked with ${keeper}.`, { next: 'Show the link code at its desk.', org: keeper });
  return signerOf(link.identity);
}

/** Completes links whose certificate or mailbox is missing. */
export async function finishLinks(context: Context): Promise<void> {
  for (const [, link] of await context.vault.all(links)) await finishLink(context, link);
}

async function beginLink(context: Context, keeper: OrgId): Promise<Link> {
  const pairwiseId = context.keys.pairwiseId(keeper);
  const taken = await takeSpares(context, 1, context.clock.now());
  const link: Link = { keeper, pairwiseId, identity: await newIdentity(pairwiseId), mailbox: await newMailbox(), mailboxIdentity: taken.identities[0] };
  await context.vault.write(put(links, keeper, link), ...taken.changes);
  return link;
}

async function finishLink(context: Context, begun: Link): Promise<Link> {
  let link = await renewLink(context, begun);
  if (link.identity.certificate === undefined) {
    const [identity] = await askCertificates(context, 'pairwise', [link.identity]);
    link = { ...link, identity: identity ?? link.identity };
    await context.vault.write(put(links, link.keeper, link));
  }
  if (!link.mailbox.opened) {
    // Opened with a one-time certificate: the pairwise one is for its keeper alone.
    const { mailboxIdentity, ...rest } = link;
    link = { ...rest, mailbox: await openMailbox(context, link.mailbox, await signerOf(mailboxIdentity)) };
    await context.vault.write(put(links, link.keeper, link));
  }
  return link;
}

/** A certificate near its end is replaced by one for the same name and key: keepers know an owner by both. */
async function renewLink(context: Context, link: Link): Promise<Link> {
  const { certificate } = link.identity;
  if (certificate === undefined || readCertificate(certificate).notAfter > context.clock.now() + PAIRWISE_RENEW_DAYS * DAY_MS) return link;
  const [identity] = await askCertificates(context, 'pairwise', [link.identity]);
  const renewed: Link = { ...link, identity: identity ?? link.identity };
  await context.vault.write(put(links, link.keeper, renewed));
  return renewed;
}

/** Has the user organisation keep messages for the key. */
export async function openMailbox(context: Context, mailbox: Mailbox, signer: LedgerSigner): Promise<Mailbox> {
  await userOrg(context, signer).openMailbox({ body: { publicKey: mailbox.publicKey } });
  return { ...mailbox, opened: true };
}
