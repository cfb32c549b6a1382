/** Templates (protocol B1): proposed to the consortium on CON, published on DRC once accepted; each step made up for after an interruption. */
import { z } from 'zod';
import { toBase64url } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { Instant, instant, type Digest, type OrgId } from '#model/ids.ts';
import { RequestTemplate, type TemplateRef } from '#model/template.ts';
import type { Ballot } from '../ballot.ts';
import type { DrcCalls } from './drc-calls.ts';
import type { Mailman } from './mailman.ts';
import { createTurnstile } from '../turnstile.ts';
import type { Vault } from './vault.ts';

const KeptTemplate = z.strictObject({ step: z.enum(['made', 'proposed', 'published']), template: RequestTemplate, deadline: Instant }).readonly();
type KeptTemplate = z.infer<typeof KeptTemplate>;

export interface Templates {
  /** Throws TEMPLATE_EXISTS when another text already has this id and version, TEMPLATE_NOT_OWN for another requester's. */
  propose(template: RequestTemplate): Promise<{ readonly ref: TemplateRef; readonly state: 'proposed' | 'published' }>;
  /** Publishes what was accepted meanwhile. */
  resume(): Promise<void>;
}

export interface TemplatesDeps {
  readonly org: OrgId;
  readonly vault: Vault;
  readonly drc: DrcCalls;
  readonly ballot: Ballot;
  readonly mailman: Mailman;
  readonly clock: Clock;
}

const VOTING_MS = 30 * 86_400_000;

/** SHA-256 of the canonical text: what is voted on, published and pinned by every reference. */
export function templateDigest(template: RequestTemplate): Digest {
  return toBase64url(sha256(canonicalBytes(template as unknown as Json))) as Digest;
}

export function createTemplates(deps: TemplatesDeps): Templates {
  const { vault, clock } = deps;
  const exclusive = createTurnstile().run;
  const nameOf = ({ id, version }: RequestTemplate): string => `template/${id}/${version}`;
  const keep = (kept: KeptTemplate): Promise<void> => vault.write(new Map([[nameOf(kept.template), kept as unknown as Json]]));

  const goOn = async (kept: KeptTemplate): Promise<KeptTemplate['step']> => {
    const { template } = kept;
    const digest = templateDigest(template);
    let { step } = kept;
    if (step === 'made') {
      const id = `template-${template.id}-${template.version}`;
      await deps.ballot.propose({ id, kind: 'template', digest, title: template.title, deadline: kept.deadline });
      // Whoever proposes is for it.
      await deps.ballot.vote({ id, choice: 'yes' });
      await keep({ ...kept, step: (step = 'proposed') });
    }
    if (step === 'proposed' && (await deps.ballot.isAccepted({ kind: 'template', digest }))) {
      await publish(template, digest, deps.drc);
      await keep({ ...kept, step: (step = 'published') });
    }
    return step;
  };

  return {
    propose: (template) =>
      exclusive(nameOf(template), async () => {
        if (template.requester !== deps.org) throw new CodedError('TEMPLATE_NOT_OWN', 'A template is proposed by the organisation that will use it.', { requester: template.requester });
        const before = await vault.get(nameOf(template), KeptTemplate);
        const digest = templateDigest(template);
        if (before !== undefined && templateDigest(before.template) !== digest) throw new CodedError('TEMPLATE_EXISTS', 'Another text already has this id and version.', { id: template.id, version: template.version });
        const kept = before ?? { step: 'made' as const, template, deadline: instant(clock.now() + VOTING_MS) };
        if (before === undefined) await keep(kept);
        const step = await goOn(kept);
        return { ref: { id: template.id, version: template.version, digest }, state: step === 'published' ? 'published' : 'proposed' };
      }),
    async resume() {
      for (const [name, kept] of await vault.list('template/', KeptTemplate)) {
        if (kept.step === 'published') continue;
        await exclusive(name, () => goOn(kept)).catch((error: unknown) => deps.mailman.note('template-not-published', error, { template: kept.template.id }));
      }
    },
  };
}

async function publish(template: RequestTemplate, digest: Digest, drc: DrcCalls): Promise<void> {
  try {
    await drc.submit('publishTemplate', { template });
  } catch (error) {
    // The reply to an earlier attempt may have been lost.
    const known = await drc.template(template).catch(() => undefined);
    if (known?.digest !== digest) throw error;
  }
}
