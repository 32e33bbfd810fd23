"""The style sheet of ``report.html``, light and dark. Colour-blind readers can tell the series' colours apart."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #5a6675; --rule: #e3e7ec; --base: #8a94a1;
  --c0: #0f8a6c; --c1: #1f6fc2; --c2: #c8520a; --c3: #8a4fb0; --c4: #6b6b1f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --ink: #e7ecf2; --soft: #9aa7b6; --rule: #2c3542; --base: #7d8998;
    --c0: #3fc9a3; --c1: #64a9f0; --c2: #ff9a52; --c3: #c79be6; --c4: #c9c96a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 36px 20px 60px; }
h1 { margin: 0; font-size: 30px; letter-spacing: -0.02em; }
header p, figcaption, .note { margin: 4px 0 0; color: var(--soft); }
h2 { margin: 0 0 14px; font-size: 18px; }
h3 { margin: 0 0 2px; font-size: 13px; font-weight: 600; }
section { margin-top: 22px; padding: 22px 26px; background: var(--card); border: 1px solid var(--rule);
  border-radius: 10px; }
figure { margin: 0; }
figcaption, .note { font-size: 13px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 16px; margin-top: 22px; }
.tile { padding: 14px 18px; background: var(--card); border: 1px solid var(--rule); border-top: 4px solid;
  border-radius: 10px; }
.tile span { display: block; color: var(--soft); font-size: 13px; }
.tile b { display: block; font-size: 34px; line-height: 1.25; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; }
.t0 { border-top-color: var(--c0); } .t1 { border-top-color: var(--c1); } .t2 { border-top-color: var(--c2); }
.t3 { border-top-color: var(--c3); } .t4 { border-top-color: var(--c4); }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 16px 20px; }
.legend { margin: 0 0 12px; }
.key { display: inline-flex; align-items: center; gap: 6px; margin-right: 18px; }
.key svg { width: 14px; }
.scroll { overflow-x: auto; }
figure + .scroll { margin-top: 18px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: 7px 8px; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top;
  white-space: nowrap; }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 500; font-size: 13px; white-space: normal; vertical-align: bottom; }
td small { display: block; color: var(--soft); font-size: 12px; }
.facts th { color: var(--soft); font-weight: 500; width: 1%; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
pre { margin: 0; overflow-x: auto; font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit; fill: var(--ink); }
.label { font-size: 13px; } .tick { font-size: 11.5px; }
svg .tick { fill: var(--soft); }
.middle { text-anchor: middle; } .end { text-anchor: end; }
.grid { stroke: var(--rule); stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .muted { stroke: var(--base); stroke-width: 1.5; }
.whisker { stroke-width: 4; stroke-linecap: round; opacity: 0.45; } .thin { stroke-width: 1.5; }
.base { stroke: var(--base); stroke-width: 3; }
.band { opacity: 0.16; }
.trained { fill: var(--rule); opacity: 0.55; }
.heat { fill: currentColor; stroke: var(--rule); }
.sign { font-weight: 600; white-space: nowrap; }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 16px; }
video { display: block; width: 100%; border-radius: 8px; background: #000; }
.mark { stroke: var(--card); stroke-width: 1; }
.s0 { color: var(--c0); } .s1 { color: var(--c1); } .s2 { color: var(--c2); } .s3 { color: var(--c3); }
.s4 { color: var(--c4); }
.curve:not(.muted), .whisker { stroke: currentColor; } .band, .mark { fill: currentColor; }
@media print { section, .tile { break-inside: avoid; } }
"""
