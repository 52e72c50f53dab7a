/* Comfort on top of forms and links that work without it: focus, busy, errors, menus.
   Listens to the event names of htmx 2 and of htmx 4. */
(() => {
  'use strict';
  const words = document.body.dataset;
  const live = document.getElementById('live');
  const on = (names, react) => names.split(' ').forEach(name => document.addEventListener(name, react));
  const source = e => (e.detail.requestConfig || {}).elt || (e.detail.ctx || {}).sourceElement || e.detail.elt || e.target;
  const rowOf = element => element && element.closest ? element.closest('tbody.connection') : null;
  const focus = element => { if (element) element.focus(); return !!element && document.activeElement === element; };

  // Busy: after 200 ms the control says so; a second press does nothing until the answer is there.
  const busy = new Map();
  const begin = (element, button) => {
    const label = button && (button.querySelector('.label') || button);
    const wait = { button, label, text: label && label.textContent };
    wait.timer = setTimeout(() => {
      if (label) button.setAttribute('aria-busy', 'true');
      if (label) label.style.minWidth = `${label.getBoundingClientRect().width}px`;  // no jump: shorter words, same room
      if (label && label !== button) label.textContent = words.busy;
    }, 200);
    busy.set(element, wait);
  };
  const end = element => {
    const wait = busy.get(element);
    if (!wait) return;
    clearTimeout(wait.timer);
    busy.delete(element);
    if (wait.button) wait.button.removeAttribute('aria-busy');
    if (wait.label) wait.label.style.minWidth = '';
    if (wait.label && wait.label !== wait.button) wait.label.textContent = wait.text;
  };
  const refuse = e => { e.preventDefault(); e.stopImmediatePropagation(); };
  document.addEventListener('submit', e => {
    if (e.target.method !== 'post') return;
    if (busy.has(e.target)) return refuse(e);
    begin(e.target, e.submitter && !e.submitter.hidden ? e.submitter : e.target.querySelector('.primary'));
  }, true);
  document.addEventListener('click', e => {
    const link = e.target.closest('a[hx-get]');
    if (link && busy.has(link)) refuse(e);
  }, true);
  on('htmx:beforeRequest htmx:before:request', e => {
    const element = source(e);
    if (element.matches('a')) begin(element, element);
  });
  on('htmx:afterRequest htmx:finally:request', e => end(source(e)));
  addEventListener('pageshow', () => [...busy.keys()].forEach(end));

  // Refused in a sentence of the server's own (signed out, other role): what was typed stays.
  const refusal = e => {
    const answer = e.detail.xhr || (e.detail.ctx && e.detail.ctx.response) || {};
    if (![400, 401, 403].includes(answer.status)) return null;
    try { return JSON.parse(answer.responseText || e.detail.ctx.text); } catch { return null; }
  };
  const link = told => {
    const away = document.createElement('a');
    return Object.assign(away, { href: told.url, target: '_blank', rel: 'noopener', className: 'button quiet', textContent: told.label });
  };

  // Nothing came back, or a 5xx: say it where the hand was, with a way to try again.
  const fail = text => e => {
    const element = source(e), row = rowOf(element);
    const slot = row ? row.querySelector('.slot') : document.getElementById('page-slot');
    if (!slot || (e.detail.ctx && e.detail.ctx.response && text !== words.failed)) return;
    const note = document.createElement('div'), said = document.createElement('p'), again = document.createElement('button');
    const told = refusal(e);
    note.className = 'notice error';
    if (element.id !== 'poll') note.setAttribute('role', 'alert');
    said.textContent = told ? told.text : text;
    Object.assign(again, { type: 'button', className: 'button quiet', textContent: words.retry });
    again.addEventListener('click', () => {
      slot.replaceChildren();
      if (element.id === 'poll') location.reload();
      else if (element.matches('form')) element.requestSubmit();
      else element.click();
    });
    note.append(said, ...(told ? (told.url ? [link(told)] : []) : [again]));
    slot.replaceChildren(note);
  };
  on('htmx:sendError htmx:timeout htmx:error', fail(words.offline));
  on('htmx:responseError htmx:response:error', fail(words.failed));

  // Rows that arrive: focus stays with the hand, changes fade once, one sentence is read out.
  const known = new Map(), openers = new Map(), seen = new WeakSet();
  const mark = document.getElementById('icon');
  const note = row => { seen.add(row); known.set(row.id, row.dataset.digest); };
  document.querySelectorAll('tbody.connection').forEach(note);
  let asked = null, held = null, left = null;
  on('htmx:beforeSwap htmx:before:swap', e => {
    asked = source(e);
    const active = document.activeElement, row = rowOf(active);
    held = row && { row: row.id, id: active.id, action: active.dataset.action };
    const own = rowOf(asked), near = own && (own.nextElementSibling || own.previousElementSibling);
    left = own && (row === own || active === document.body) && { row: own.id, near: near && near.id };
    document.querySelectorAll('#page-slot').forEach(slot => slot.replaceChildren());
  });
  on('htmx:oobBeforeSwap', e => {
    if (e.target.matches('tbody') && e.target.querySelector('details.drop[open]')) e.detail.shouldSwap = false;
  });
  const arrive = row => {
    if (known.get(row.id) !== row.dataset.digest) row.classList.add('is-changed');
    note(row);
    const heading = row.querySelector('.heading'), asker = rowOf(asked), own = !!asker && asker.id === row.id;
    const active = document.activeElement;
    const kept = held && held.row === row.id && held.id && active.id === held.id && active.dataset.action === held.action;
    if (!own) return void (held && held.row === row.id && !kept && focus(heading));
    live.textContent = row.dataset.announce || '';
    const panel = row.querySelector('tr.panel');
    if (panel) {
      const opened = !openers.has(row.id);
      if (opened) openers.set(row.id, asked.id || (held && held.id));
      else if (kept && !panel.querySelector('[aria-invalid=true]')) return;
      focus(panel.querySelector('[aria-invalid=true]:not(:disabled)')) ||
        focus(panel.querySelector('form.fill :is(input:not([type=hidden]):not([type=radio]:not(:checked)), select):not(:disabled)')) ||
        focus(panel.querySelector('h2'));
      return;
    }
    const opener = document.getElementById(openers.get(row.id) || '');
    const closed = openers.delete(row.id) && asked.hasAttribute('data-close');
    if (closed && opener && (focus(opener) || focus((opener.closest('details') || row).querySelector('summary')))) return;
    if (!kept) focus(heading);
  };
  // A row that left the list: the hand goes to its neighbour, else to the head of the page.
  on('htmx:afterRequest htmx:finally:request', () => {
    if (!left || document.getElementById(left.row)) return;
    const title = document.querySelector('h1'), near = document.getElementById(left.near || '');
    left = null;
    if (near && focus(near.querySelector('.heading'))) return;
    title.tabIndex = -1;
    focus(title);
  });
  on('htmx:afterSettle htmx:after:settle', () => document.querySelectorAll('tbody.connection').forEach(row => seen.has(row) || arrive(row)));
  on('htmx:afterSettle htmx:after:settle', () => {
    const morning = document.getElementById('morning');
    if (morning && mark.getAttribute('href') !== morning.dataset.icon) mark.href = morning.dataset.icon;
  });

  // The tray: after a decision the hand is at the case that took its place, and hears what was done.
  let place = null;
  on('htmx:beforeSwap htmx:before:swap', e => {
    const at = source(e), button = at.closest && at.closest('#tray') && at.querySelector('button'), row = button && button.closest('.cases > li');
    const part = button && button.closest('section');
    place = part && { part: part.getAttribute('aria-labelledby'), action: button.dataset.action, n: row ? [...row.parentNode.children].indexOf(row) : 0 };
  });
  on('htmx:afterSettle htmx:after:settle', () => {
    if (!place) return;
    const part = document.querySelector(`#tray section[aria-labelledby="${place.part}"]`), rows = part ? [...part.querySelectorAll('.cases > li')] : [];
    const row = rows[Math.min(place.n, rows.length - 1)], told = document.querySelector('#said p'), title = document.querySelector('#tray h2, h1');
    if (told) live.textContent = told.textContent.trim();
    if (!row || !(focus(row.querySelector(`[data-action="${place.action}"]`)) || focus(row.querySelector('button, a')))) { title.tabIndex = -1; focus(title); }
    place = null;
  });

  // Copy what a field holds. Where the browser lends no clipboard, the text is left selected.
  const copies = () => document.querySelectorAll('button[data-copy][hidden]').forEach(button => { button.hidden = false; });
  copies();
  on('htmx:afterSettle htmx:after:settle', copies);
  document.addEventListener('click', async e => {
    const button = e.target.closest('button[data-copy]');
    if (!button) return;
    const field = document.getElementById(button.dataset.copy), label = button.querySelector('.label'), text = label.textContent;
    field.select();
    try { await navigator.clipboard.writeText(field.value); } catch { if (!document.execCommand('copy')) return; }
    live.textContent = label.textContent = button.dataset.copied;
    setTimeout(() => { label.textContent = text; live.textContent = ''; }, 2000);
  });

  // Where tabs slide, the one we are on is in sight; also after the list renewed its own.
  const inSight = () => document.querySelectorAll(':is(.tabs, .sections) [aria-current]').forEach(tab => {
    const box = tab.closest('.tabs, .sections ul');
    box.scrollLeft = tab.offsetLeft - box.offsetLeft - (box.clientWidth - tab.offsetWidth) / 2;
  });
  inSight();
  addEventListener('resize', inSight);
  on('htmx:afterSettle htmx:after:settle', inSight);

  // Menus and panels close with Escape, menus also with a press elsewhere.
  const drops = () => [...document.querySelectorAll('details.drop[open]')];
  document.addEventListener('click', e => drops().forEach(drop => { if (!drop.contains(e.target)) drop.open = false; }));
  document.addEventListener('keydown', e => {
    if (e.key !== 'Escape' || e.defaultPrevented) return;
    const open = drops();
    if (open.length) return open.forEach(drop => { if (drop.contains(e.target)) focus(drop.querySelector('summary')); drop.open = false; });
    const close = e.target.closest('tr.panel, .page-form');
    if (close && close.querySelector('[data-close]')) close.querySelector('[data-close]').click();
  });
})();
