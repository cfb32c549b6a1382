/** The primitive types of FHIR R4 (https://hl7.org/fhir/R4/datatypes.html#primitive): what each accepts in JSON. */
import { isNarrative } from './narrative.ts';

/** Undefined when the value is good, else what was expected. */
export type PrimitiveCheck = (value: unknown) => string | undefined;

const DATE = /^(?!0000)\d{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?$/;
const DATE_TIME = /^(?!0000)\d{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01])(?:T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)))?)?)?$/;
const INSTANT = /^(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))$/;
const TIME = /^(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?$/;
const ID = /^[A-Za-z0-9.-]{1,64}$/;
const OID = /^urn:oid:[0-2](?:\.(?:0|[1-9]\d*))+$/;
const UUID = /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const CODE = /^\S+(?: \S+)*$/;
const NO_SPACE = /^\S+$/;
// eslint-disable-next-line no-control-regex -- the control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/;
/** "Strings SHALL NOT exceed 1MB (1024*1024 characters) in size." */
const STRING_CHARS_MAX = 1_048_576;
const INT32_MAX = 2_147_483_647;

function text(expected: string, isGood: (value: string) => boolean): PrimitiveCheck {
  return (value) => (typeof value === 'string' && isGood(value) ? undefined : `expected ${expected}`);
}

/** The check sees values after JSON.parse, so 1.0 passes where 1 is meant; no digit is lost by that, the received bytes are kept. */
function whole(expected: string, least: number): PrimitiveCheck {
  return (value) => (Number.isInteger(value) && (value as number) >= least && (value as number) <= INT32_MAX ? undefined : `expected ${expected}`);
}

const isText = (value: string): boolean => value.length > 0 && value.length <= STRING_CHARS_MAX && !CONTROL.test(value);

export const primitives: Readonly<Record<string, PrimitiveCheck>> = {
  boolean: (value) => (typeof value === 'boolean' ? undefined : 'expected true or false'),
  integer: whole('a whole number of 32 bits', -INT32_MAX - 1),
  unsignedInt: whole('a whole number from 0', 0),
  positiveInt: whole('a whole number from 1', 1),
  decimal: (value) => (typeof value === 'number' && Number.isFinite(value) ? undefined : 'expected a decimal number'),
  string: text('text without control characters', isText),
  markdown: text('text without control characters', isText),
  code: text('a code without spaces around it', (value) => CODE.test(value)),
  id: text('an id of 1 to 64 letters, digits, "-" and "."', (value) => ID.test(value)),
  uri: text('a URI without spaces', (value) => NO_SPACE.test(value)),
  url: text('a URL without spaces', (value) => NO_SPACE.test(value)),
  canonical: text('a canonical URL without spaces', (value) => NO_SPACE.test(value)),
  oid: text('an OID such as urn:oid:1.2.3', (value) => OID.test(value)),
  uuid: text('a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520', (value) => UUID.test(value)),
  date: text('a date YYYY, YYYY-MM or YYYY-MM-DD', (value) => DATE.test(value) && isDay(value)),
  dateTime: text('a date, or a date and time with seconds and time zone', (value) => DATE_TIME.test(value) && isDay(value)),
  instant: text('a date and time with seconds and time zone', (value) => INSTANT.test(value) && isDay(value)),
  time: text('a time hh:mm:ss', (value) => TIME.test(value)),
  base64Binary: text('base64', isBase64),
  xhtml: text('a <div> with the basic formatting that FHIR allows (txt-1)', isNarrative),
};

/** "Dates SHALL be valid dates": the day exists in its month. */
function isDay(value: string): boolean {
  const day = Number(value.slice(8, 10));
  if (day <= 28) return true;
  const year = Number(value.slice(0, 4));
  const month = Number(value.slice(5, 7));
  if (month !== 2) return day <= (month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31);
  return day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Base64 (RFC 4648 section 4) with its padding; white space may stand between. One pass, for attachments of many megabytes. */
function isBase64(value: string): boolean {
  let letters = 0;
  let padding = 0;
  for (let at = 0; at < value.length; at++) {
    const unit = value.charCodeAt(at);
    if (unit === 0x3d) padding++;
    else if (isBase64Letter(unit) && padding === 0) letters++;
    else if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return false;
  }
  return letters > 0 && padding <= 2 && (letters + padding) % 4 === 0;
}

function isBase64Letter(unit: number): boolean {
  return (unit >= 0x30 && unit <= 0x39) || (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x61 && unit <= 0x7a) || unit === 0x2b || unit === 0x2f;
}
