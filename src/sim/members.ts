/** The demo's consortium: who takes part, and the templates the data users ask with. */
import type { Json } from '#base/canonical-json.ts';
import { OrgId } from '#model/ids.ts';
import { RequestTemplate, type Purpose } from '#model/template.ts';

export interface DemoMember {
  readonly org: OrgId;
  readonly name: string;
}

const member = (org: string, name: string): DemoMember => ({ org: OrgId.parse(org), name });

export const USER_ORG = member('UO-people', 'People\'s health union');
export const EAST = member('HO-east', 'East Hospital');
export const WEST = member('HO-west', 'West Hospital');
export const INSURER = member('DUO-sunrise', 'Sunrise Insurance');
export const INSTITUTE = member('DUO-helix', 'Helix Research Institute');
export const DEMO_MEMBERS: readonly DemoMember[] = [USER_ORG, EAST, WEST, INSURER, INSTITUTE];
export const KEEPERS: readonly DemoMember[] = [EAST, WEST];
export const DATA_USERS: readonly DemoMember[] = [INSURER, INSTITUTE];

/** The common name of the embedded ledger's ordering organisation. */
export const ORDERER_MSP = 'ORD-consortium';

const LOINC = 'http://loinc.org|';

interface TemplateWish {
  readonly id: string;
  readonly requester: OrgId;
  readonly title: string;
  readonly purpose: Purpose;
  readonly why: string;
  readonly select: Json;
  readonly retentionDays: number;
  readonly perItem: string;
  readonly perAnswer: string;
}

function template(wish: TemplateWish, approvalUntil: string): RequestTemplate {
  return RequestTemplate.parse({
    id: wish.id,
    version: 1,
    requester: wish.requester,
    title: wish.title,
    purpose: wish.purpose,
    why: wish.why,
    ifRefused: 'You can say no. Your medical care stays the same.',
    legalBasis: wish.purpose === 'research' ? 'GDPR Art. 9(2)(a), 9(2)(j)' : 'GDPR Art. 9(2)(a)',
    approval: { issuer: wish.purpose === 'research' ? 'Regional ethics board' : 'Compliance board', documentDigest: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', until: approvalUntil },
    select: wish.select,
    retentionDays: wish.retentionDays,
    price: { currency: 'EUR', perItem: wish.perItem, perAnswer: wish.perAnswer, split: { owner: 7_000, keepers: 2_500, operator: 500 } },
  });
}

/** One template for each data user. `approvalUntil` is an instant. */
export function demoTemplates(approvalUntil: string): readonly RequestTemplate[] {
  return [
    template(
      {
        id: 'applicant-fitness',
        requester: INSURER.org,
        title: 'Blood pressure, weight and sugar',
        purpose: 'underwriting',
        why: 'To set the price of the policy you asked for.',
        select: [
          { resourceType: 'Observation', codes: [`${LOINC}4548-4`, `${LOINC}2339-0`, `${LOINC}2345-7`], latest: 10 },
          { resourceType: 'Observation', codes: [`${LOINC}55284-4`, `${LOINC}85354-9`, `${LOINC}39156-5`, `${LOINC}29463-7`], latest: 10 },
        ],
        retentionDays: 90,
        perItem: '15',
        perAnswer: '250',
      },
      approvalUntil,
    ),
    template(
      {
        id: 'lipid-study',
        requester: INSTITUTE.org,
        title: 'Cholesterol and long-term conditions',
        purpose: 'research',
        why: 'To learn which treatments keep cholesterol low in daily life.',
        select: [
          { resourceType: 'Observation', codes: [`${LOINC}2093-3`, `${LOINC}2571-8`, `${LOINC}18262-6`, `${LOINC}2085-9`, `${LOINC}39156-5`], latest: 40 },
          { resourceType: 'Condition', codes: [] },
          { resourceType: 'MedicationRequest', codes: [], latest: 50 },
        ],
        retentionDays: 365,
        perItem: '7',
        perAnswer: '0',
      },
      approvalUntil,
    ),
  ];
}
