/** One row per HTTP endpoint. Router, client, OpenAPI and the generic round-trip test are derived from the rows. */
import type { z } from 'zod';
import type { OrgClass, Role } from '#model/orgs.ts';

/** Who may call: `public` needs no signature; `mailbox-key` one by the mailbox's own key; else `class/role` pairs of a signed request (`own`: the answering organisation). */
export type Allowed = 'public' | `${OrgClass}/${Role}` | 'own/system' | 'own/staff' | 'own/operator' | 'member/system' | 'mailbox-key';

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Path with `{name}` parameters; every parameter is validated by `params`. */
  readonly path: string;
  readonly summary: string;
  readonly by: readonly Allowed[];
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  /** JSON body; `bytes` for a raw body (streamed, limited by `maxBytes`). */
  readonly body?: z.ZodType | 'bytes';
  readonly maxBytes?: number;
  /** JSON answer; `bytes` for a stream (Range honoured by the handler). */
  readonly output: z.ZodType | 'bytes' | 'text';
  /** May the same request be sent again without a second effect? Said in OpenAPI. */
  readonly idempotent: boolean;
  /** Codes a caller must expect beside the common ones. */
  readonly errors: readonly string[];
}

export type EndpointTable = Readonly<Record<string, Endpoint>>;
