/**
 * What operators ask of a ledger beside transactions: heights, whole-chain checks, changes of a channel's configuration.
 * Twins: the embedded engine in this process, and `fabric/outside-admin.ts` for one that is reached over the wire.
 */
import type { LedgerSigner } from './client.ts';

export interface ChainFacts {
  readonly blocks: number;
  readonly transactions: number;
  /** Hexadecimal hash of the last header. */
  readonly lastHash: string;
}

export interface CrlChange {
  readonly channel: string;
  readonly mspId: string;
  /** PEM, label `X509 CRL`. It replaces the issuer's earlier one. */
  readonly crl: string;
  readonly signer: LedgerSigner;
}

export interface MemberAddition {
  readonly channel: string;
  readonly mspId: string;
  /** PEM. */
  readonly rootCertificate: string;
  /** Does it run a peer that may endorse? */
  readonly peer: boolean;
  /** Operators of as many members as the channel's policy asks for. */
  readonly signers: readonly LedgerSigner[];
  /** What only a network of several machines needs to know: the root of its TLS certificates, and where its peer listens. */
  readonly network?: { readonly tlsRootCertificate: string; readonly peer?: { readonly host: string; readonly port: number } };
}

export interface LedgerAdmin {
  /** Names of the channels. */
  channels(): readonly string[];
  /** Number of blocks. Throws LEDGER_CHANNEL_UNKNOWN, LEDGER_ACCESS_DENIED. */
  height(channel: string): Promise<number>;
  /** Checks numbers, links, hashes, orderer signatures and configurations of the whole chain. Throws LEDGER_CHAIN_BROKEN naming the first bad block. */
  verifyChain(channel: string): Promise<ChainFacts>;
  /** Puts an organisation's revocation list into the channel's configuration, signed by its operator (unit `admin`). Throws LEDGER_CONFIG_REFUSED. */
  updateCrl(change: CrlChange): Promise<void>;
  /** Adds an organisation to a channel; a member of it already is left as it is. Throws LEDGER_CONFIG_REFUSED. */
  addOrganisation(change: MemberAddition): Promise<void>;
}
