import { describe, expect, it } from 'vitest';
import { isNarrative } from './narrative.ts';

const div = (inner: string): string => `<div xmlns="http://www.w3.org/1999/xhtml">${inner}</div>`;

describe('narrative', () => {
  it.each([
    div('text'), div(''), '<div>no namespace</div>', '<div xmlns="http://www.w3.org/1999/xhtml"/>', `  ${div('x')}\n`,
    div('<p>a<br/>b</p><!-- a comment - with dashes -->'), div('a &lt; b &amp;&#160;&#xA0;&nbsp;c'),
    div('<table class="grid"><tbody><tr><td colspan="2">x</td></tr></tbody></table>'), div('<img src="data:image/png;base64,AA==" alt="x"/>'),
    div("<a href='#item' title='it is \"quoted\"'>x</a>"), div('<a name="x"> </a><div style="color: red"><b>x</b></div>'), div('5 > 3'),
  ])('%s is good', (text) => {
    expect(isNarrative(text)).toBe(true);
  });

  it.each([
    '', 'text', '<p>x</p>', `${div('x')}${div('y')}`, `${div('x')}tail`, `head${div('x')}`, '<div>', '</div>', '<div><p></div></p>', '<div><br></div>', div('a < b'), div('a & b'), div('&;'),
    div('<script>alert(1)</script>'), div('<SCRIPT>alert(1)</SCRIPT>'), div('<p onclick="alert(1)">x</p>'), div('<img src="x" onerror="alert(1)"/>'), div('<a href="javascript:alert(1)">x</a>'),
    div('<a href=" JaVaScRiPt:alert(1)">x</a>'), div('<a href="data:text/html,x">x</a>'), div('<iframe src="http://x"/>'), div('<object/>'), div('<form action="x"/>'), div('<input/>'), div('<style>p{}</style>'),
    div('<link rel="stylesheet" href="x"/>'), div('<svg><circle/></svg>'), div('<p x=y>z</p>'), div('<p <b>'), div('<![CDATA[x]]>'), div('<?php x ?>'), '<!DOCTYPE div><div>x</div>', '<div xmlns="http://www.w3.org/2000/svg">x</div>', div('<!-- -- -->'),
  ])('%s is refused', (text) => {
    expect(isNarrative(text)).toBe(false);
  });

  it('takes time in proportion to its length, whatever stands in it', () => {
    for (const unit of ['<', '<p ', '<p a="', '&', '<!--', '-', '<p>', 'a="b" ', ' ']) {
      const start = performance.now();
      isNarrative(div(unit.repeat(1_000_000 / unit.length)));
      expect(performance.now() - start, unit).toBeLessThan(1_000);
    }
  });
});
