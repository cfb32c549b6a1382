/** The keeper's channel as its own processes use it. */
import type { ContractClient } from '#contracts/client.ts';

export type HdcChannel = ContractClient<'hdc'>;
