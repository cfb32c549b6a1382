/** `core.yaml` and `orderer.yaml` of one node, from the templates in `fabric/`. */
import { readFileSync } from 'node:fs';
import { CodedError } from '#base/errors.ts';

/** Fills `${NAME}` in a template; every name must be known and every value used. Throws FABRIC_TEMPLATE. */
export function fillTemplate(file: string, values: Readonly<Record<string, string | number>>): string {
  const template = readFileSync(file, 'utf8');
  const body = template.replaceAll(/^\s*#.*$/gm, '');
  const names = new Set([...body.matchAll(/\$\{([A-Z_]+)\}/g)].map((match) => match[1] as string));
  const wrong = [...names].find((name) => !Object.hasOwn(values, name)) ?? Object.keys(values).find((name) => !names.has(name));
  const unsafe = Object.entries(values).find(([, value]) => /[\n\r#"'{}]|: |\s$/.test(String(value)));
  if (wrong !== undefined || unsafe !== undefined) throw new CodedError('FABRIC_TEMPLATE', 'A configuration template and its values do not fit.', { why: wrong === undefined ? `The value of ${unsafe?.[0]} has a character that means something in YAML.` : `The name ${wrong} is in one of them only.`, next: 'Correct the template, or use a folder with a plainer name.', file });
  return body.replaceAll(/\n{2,}/g, '\n').replaceAll(/\$\{([A-Z_]+)\}/g, (_, name: string) => String(values[name])).trimStart();
}
