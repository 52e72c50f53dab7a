/* The CDN did not answer, or with a file whose hash is not ours: take the local copy.
   Only after `load`: htmx inserted between DOMContentLoaded and load never starts. */
(() => {
  'use strict';
  const tag = document.getElementById('htmx-cdn');
  if (!tag || !tag.dataset.local || window.htmx) return;
  const go = () => {
    const script = document.createElement('script');
    script.src = tag.dataset.local;
    document.head.appendChild(script);
  };
  if (document.readyState === 'complete') go(); else addEventListener('load', go, { once: true });
})();
