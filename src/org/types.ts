/** What every organisation is built from. An organisation is a `fetch` function plus a start and a close. */
import type { Clock, Fetch, KeyValueStore, Log, Random, Scheduler } from '#base/ports.ts';
import type { CertificateAuthority } from '#crypto/x509.ts';
import type { HpkeKeyPair } from '#crypto/hpke.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { OrgId } from '#model/ids.ts';
import type { Exchange } from './witness/exchange.ts';

/** The keys of one organisation; they stay in its own folder or HSM. */
export interface OrgIdentity {
  readonly org: OrgId;
  readonly ca: CertificateAuthority;
  /** Signs for the organisation's processes (role `system`). */
  readonly system: LedgerSigner;
  /** Signs checkpoints (OU=peer), where the organisation runs a peer. */
  readonly peer: LedgerSigner;
  /** Opens what is sealed to the organisation. */
  readonly hpke: HpkeKeyPair;
}

export interface OrgDeps {
  readonly identity: OrgIdentity;
  readonly url: string;
  readonly ledger: LedgerClient;
  readonly store: KeyValueStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Outgoing requests to other organisations. */
  readonly fetch: Fetch;
}

export interface Org {
  readonly org: OrgId;
  readonly fetch: Fetch;
  /** How it watches the others, and they it. */
  readonly exchange: Pick<Exchange, 'publish' | 'meet' | 'forks' | 'notes'>;
  /** Begins background work (following channels, outboxes, erasures); resolves when the organisation is ready. */
  start(): Promise<void>;
  close(): Promise<void>;
}
