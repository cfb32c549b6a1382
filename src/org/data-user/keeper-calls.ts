/** What the data user asks of a keeper over HTTP: manifest, proofs, items. Every request is signed and carries the part's ticket. */
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Fetch, Scheduler } from '#base/ports.ts';
import { createApiClient, type ApiClient, type SignRequest } from '#api/client.ts';
import { hospitalEndpoints, type LeafProof } from '#api/endpoints.ts';
import type { OrgId, RecordId } from '#model/ids.ts';
import type { Signed } from '#model/messages.ts';
import { within } from '../patience.ts';
import type { PackagePart } from './package.ts';

export interface ItemCall {
  readonly part: PackagePart;
  readonly record: RecordId;
  /** Bytes already here; the transfer goes on after them. */
  readonly from: number;
  /** Bytes the whole item has, as its manifest says. */
  readonly total: number;
  readonly signal?: AbortSignal | undefined;
}

export interface KeeperCalls {
  manifest(part: PackagePart, signal?: AbortSignal): Promise<Signed>;
  proofs(part: PackagePart, signal?: AbortSignal): Promise<readonly LeafProof[]>;
  /** The item's bytes from `from` on. Throws ITEM_LENGTH when the keeper sends more than `total`, ORG_UNREACHABLE when the line breaks first. */
  item(call: ItemCall): AsyncGenerator<Bytes, void, undefined>;
}

export interface KeeperCallsDeps {
  readonly fetch: Fetch;
  readonly sign: SignRequest;
  readonly scheduler: Scheduler;
  /** Base URL of a member's HTTP interface. */
  readonly urlOf: (keeper: OrgId) => Promise<string>;
  /** A line that says nothing for so long is dead. */
  readonly stallMs?: number;
}

const STALL_MS = 30_000;

type Client = ApiClient<typeof hospitalEndpoints>;

export function createKeeperCalls(deps: KeeperCallsDeps): KeeperCalls {
  const clients = new Map<string, Client>();
  const clientOf = async (keeper: OrgId): Promise<Client> => {
    const baseUrl = await deps.urlOf(keeper);
    const client = clients.get(baseUrl) ?? createApiClient({ table: hospitalEndpoints, baseUrl, fetch: deps.fetch, sign: deps.sign });
    clients.set(baseUrl, client);
    return client;
  };
  const input = (part: PackagePart, signal: AbortSignal | undefined, range?: string) => ({
    params: { grant: part.grant },
    headers: { 'healthkeep-ticket': part.ticket, ...(range !== undefined && { range }) },
    ...(signal && { signal }),
  });
  const timely = <T>(work: () => Promise<T>): Promise<T> => within(deps.scheduler, deps.stallMs ?? STALL_MS, work);
  return {
    manifest: async (part, signal) => timely(async () => (await clientOf(part.keeper)).manifest(input(part, signal))),
    proofs: async (part, signal) => (await timely(async () => (await clientOf(part.keeper)).releaseProofs(input(part, signal)))).proofs,
    async *item({ part, record, from, total, signal }) {
      if (from >= total) return;
      const asked = input(part, signal, from > 0 ? `bytes=${from}-` : undefined);
      const client = await clientOf(part.keeper);
      const response = await timely(() => client.item({ ...asked, params: { grant: part.grant, record } }));
      yield* readItem(response, { part, record, from, total }, deps);
    },
  };
}

async function* readItem(response: Response, { part, record, from, total }: ItemCall, deps: KeeperCallsDeps): AsyncGenerator<Bytes, void, undefined> {
  let at = startOf(response);
  if (at > from) throw new CodedError('ITEM_LENGTH', `${part.keeper} left out bytes of an item.`, { keeper: part.keeper, record });
  for await (const chunk of bodyOf(response, deps)) {
    // A keeper that does not honour Range sends from the start: what is here already is passed over.
    const fresh = at >= from ? chunk : (chunk.subarray(Math.min(chunk.length, from - at)) as Bytes);
    at += chunk.length;
    if (at > total) throw new CodedError('ITEM_LENGTH', `${part.keeper} sent more bytes than its manifest lists.`, { keeper: part.keeper, record });
    if (fresh.length > 0) yield fresh;
  }
  if (at < total) throw unreachable(`The transfer from ${part.keeper} stopped before its end.`);
}

/** First byte of the answer within the item: 0, or what Content-Range says (RFC 9110 section 14.4). */
function startOf(response: Response): number {
  if (response.status !== 206) return 0;
  const match = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  if (match === null) throw new CodedError('ORG_ANSWER_INVALID', 'The keeper answered with a part of an item but not which part.');
  return Number(match[1]);
}

/** The chunks of a body; a line that breaks or says nothing for too long becomes ORG_UNREACHABLE. */
async function* bodyOf(response: Response, deps: KeeperCallsDeps): AsyncGenerator<Bytes, void, undefined> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  let ended = false;
  try {
    while (!ended) {
      const step = await within(deps.scheduler, deps.stallMs ?? STALL_MS, () => reader.read()).catch((cause: unknown) => {
        throw unreachable('The connection to the keeper broke.', cause);
      });
      ended = step.done;
      if (!step.done) yield step.value as Bytes;
    }
  } finally {
    if (!ended) reader.cancel().catch(() => undefined);
  }
}

function unreachable(what: string, cause?: unknown): CodedError {
  return new CodedError('ORG_UNREACHABLE', what, { next: 'Receive again later; what has arrived is kept.' }, { cause });
}
