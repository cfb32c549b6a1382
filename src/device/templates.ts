/** Templates on offer, for choosing what to permit. Read under a certificate that is used for nothing else. */
import type { TemplateRef } from '#model/template.ts';
import { drc } from './channels.ts';
import type { Context } from './context.ts';
import { cardWords, templateDigest, type CardWords } from './requests.ts';
import { readerSigner } from './stock.ts';
import type { OrgId } from '#model/ids.ts';

export interface OfferedTemplate {
  readonly requester: OrgId;
  readonly ref: TemplateRef;
  readonly words: CardWords;
}

/** Published templates whose text is what their digest says. */
export async function listTemplates(context: Context): Promise<readonly OfferedTemplate[]> {
  const { templates } = await drc(context, await readerSigner(context)).evaluate('listTemplates', {});
  return templates
    .filter(({ template, digest }) => templateDigest(template) === digest)
    .map(({ template, digest }) => {
      const ref: TemplateRef = { id: template.id, version: template.version, digest };
      return { requester: template.requester, ref, words: cardWords({ template, ref }) };
    });
}
