/* The list by keyboard. Letters work outside fields only, and whoever dictates or types with one
   hand can switch them off (WCAG 2.1.4); Escape, Enter and the arrows belong to app.js and the row. */
(() => {
  'use strict';
  const dialog = document.getElementById('keys'), letters = document.getElementById('letters');
  const button = document.getElementById('show-keys');
  const stored = what => { try { return what(localStorage); } catch { return null; } };
  const rows = () => [...document.querySelectorAll('tbody.connection')];
  const here = () => document.activeElement.closest('tbody.connection');
  const inRow = selector => { const row = here(); return row && row.querySelector(selector); };
  const press = element => { if (element) element.click(); };
  const step = by => {
    const all = rows(), at = all.indexOf(here());
    const row = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
    if (!row) return;
    row.querySelector('.heading').focus();
    row.scrollIntoView({ block: 'nearest' });
  };
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    o: () => press(inRow('[data-close]') || inRow('.act [data-action=details]')),
    a: () => press(inRow('.act > .press > .button, .act > .button')),
    m: () => {
      const menu = inRow('details.menu');
      if (!menu) return;
      menu.open = true;
      menu.querySelector('.sheet .button').focus();
    },
    r: () => press(document.getElementById('refresh')),
    '/': () => document.getElementById('q').focus(),
    '?': () => dialog.showModal(),
  };
  const onHeading = { ArrowDown: acts.j, ArrowUp: acts.k, Enter: acts.o };

  letters.checked = stored(kept => kept.getItem('letters')) !== 'off';
  letters.addEventListener('change', () => stored(kept => kept.setItem('letters', letters.checked ? 'on' : 'off')));
  button.hidden = false;
  button.addEventListener('click', acts['?']);
  document.getElementById('keys-close').addEventListener('click', () => dialog.close());
  document.addEventListener('keydown', e => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || dialog.open) return;
    if (e.target.closest('input, select, textarea, [contenteditable]')) return;
    const act = e.target.matches('.heading') && onHeading[e.key] || (letters.checked && acts[e.key]);
    if (!act) return;
    e.preventDefault();
    act();
  });
})();
