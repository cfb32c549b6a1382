/** Contracts of the embedded ledger that run in processes of their own: `--contracts FILE` says where they listen. */
import { z } from 'zod';
import { fromUtf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Log, Scheduler } from '#base/ports.ts';
import type { Chaincode } from '#ledger/stub.ts';
import { externalChaincode } from '#ledger/embedded/external-chaincode.ts';
import type { ChannelKind } from '#model/orgs.ts';
import { readInput } from './files.ts';

const Program = z.strictObject({ address: z.string().regex(/^(\[[^\]]+\]|[^:\s]+):\d{1,5}$/), packageId: z.string().optional(), tlsRoot: z.string().optional(), serverName: z.string().optional(), tlsCertificate: z.string().optional(), tlsKey: z.string().optional() });
const Programs = z.strictObject({ uic: Program.optional(), hdc: Program.optional(), drc: Program.optional(), con: Program.optional() }).readonly();

export interface ContractPrograms {
  readonly contracts: Readonly<Partial<Record<ChannelKind, Chaincode>>>;
  close(): void;
}

export interface ContractProgramsParts {
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** A path in the file, as its writer meant it. */
  pathOf(path: string): string;
}

/** Contracts that the file does not name run in the ledger's process. Throws CONFIG_INVALID, INPUT_UNREADABLE. */
export function readContractPrograms(file: string, { scheduler, log, pathOf }: ContractProgramsParts): ContractPrograms {
  const programs = parse(fromUtf8(readInput(file)));
  const read = (path: string): string => fromUtf8(readInput(pathOf(path)));
  const opened = Object.entries(programs).flatMap(([kind, program]) => {
    if (program === undefined) return [];
    const { address, packageId, tlsRoot, serverName, tlsCertificate, tlsKey } = program;
    const own = tlsCertificate === undefined || tlsKey === undefined ? {} : { certificate: read(tlsCertificate), privateKey: read(tlsKey) };
    const tls = tlsRoot === undefined ? {} : { tls: { rootCertificate: read(tlsRoot), ...own, ...(serverName === undefined ? {} : { serverName }) } };
    return [[kind, externalChaincode({ address, scheduler, log, ...tls, ...(packageId === undefined ? {} : { packageId }) })] as const];
  });
  return {
    contracts: Object.fromEntries(opened),
    close: () => {
      for (const [, contract] of opened) contract.close();
    },
  };
}

function parse(text: string): z.infer<typeof Programs> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('It is no JSON.', cause);
  }
  const parsed = Programs.safeParse(value);
  if (!parsed.success) throw invalid(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
  return parsed.data;
}

const invalid = (why: string, cause?: unknown): CodedError => new CodedError('CONFIG_INVALID', 'The file of --contracts is not valid.', { why, next: 'Write it as docs/chaincode.md shows.' }, { cause });
