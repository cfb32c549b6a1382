/**
 * Narrative text (https://hl7.org/fhir/R4/narrative.html): XHTML in which only basic formatting is allowed (constraint
 * txt-1: no head, body, script, form, base, link, xlink, frame, iframe, object or event attributes) and that says something
 * (txt-2). A record with active content is refused here, before any screen could show it.
 */

const TAGS = new Set(
  ('p br div h1 h2 h3 h4 h5 h6 a span b em i strong small big tt dfn q var abbr acronym cite blockquote hr ul ol li dl dt dd pre table caption ' +
    'colgroup col thead tr tfoot tbody th td code samp img map area sup sub ins del kbd address bdo center font u s strike nav section article figure figcaption').split(' '),
);
const ATTRIBUTES = new Set(
  ('title style class id lang xml:lang xml:space dir accesskey tabindex span width align valign char charoff abbr axis headers scope rowspan colspan type ' +
    'href name rel rev target charset hreflang coords shape src alt longdesc height ismap usemap cite datetime border cellpadding cellspacing summary frame rules start value compact nowrap size color bgcolor').split(' '),
);
/** One piece: a tag, a comment, a character reference, or text. */
const PIECE = /<!--(?:[^-]|-(?!-))*-->|<(\/?)([A-Za-z][\w:.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|&(?:#x?[0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9]*);|[^<&]+/y;
const ATTRIBUTE = /([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
const ACTIVE_URL = /^\s*(?:javascript|vbscript|data:(?!image\/))/i;
const XHTML = 'http://www.w3.org/1999/xhtml';

/** True when the text is one well-formed `<div>` with allowed elements and attributes only. */
export function isNarrative(text: string): boolean {
  const open: string[] = [];
  let at = 0;
  let roots = 0;
  while (at < text.length) {
    PIECE.lastIndex = at;
    const piece = PIECE.exec(text);
    if (piece === null) return false;
    at = PIECE.lastIndex;
    const [whole, closing, tag, attributes, empty] = piece;
    if (tag === undefined) {
      if (open.length === 0 && whole.trim() !== '' && !whole.startsWith('<!--')) return false;
    } else if (closing === '/') {
      if (open.pop() !== tag) return false;
    } else {
      if (open.length === 0 && (tag !== 'div' || ++roots > 1)) return false;
      if (!TAGS.has(tag) || !areAllowed(attributes as string)) return false;
      if (empty !== '/') open.push(tag);
    }
  }
  return roots === 1 && open.length === 0;
}

function areAllowed(attributes: string): boolean {
  for (const [, name, double, single] of attributes.matchAll(ATTRIBUTE)) {
    const value = double ?? single ?? '';
    if (name === 'xmlns' ? value !== XHTML : !ATTRIBUTES.has(name as string) && !(name as string).startsWith('xmlns:')) return false;
    if ((name === 'href' || name === 'src') && ACTIVE_URL.test(value)) return false;
  }
  return true;
}
