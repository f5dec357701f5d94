"""How the page of a task looks: one style sheet, on screens of any width, light and dark, and on paper.

Colours stand in custom properties, so that what has to differ enough to be read can be held against each other. No
meaning is in a colour alone: whatever one marks, a word beside it says.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#fbfaf7",
    "panel": "#f2efe8",
    "ink": "#1d1c1a",
    "soft": "#5a564e",
    "rule": "#d8d2c6",
    "good": "#1c6144",
    "bad": "#9b2319",
    "back": "#7a4b00",
    "link": "#1f4f8b",
}
DARK = {
    "paper": "#151513",
    "panel": "#1f1f1c",
    "ink": "#ebe8e1",
    "soft": "#aaa59a",
    "rule": "#3a3935",
    "good": "#7ecfa6",
    "bad": "#f19a8f",
    "back": "#e3b563",
    "link": "#9cc2f2",
}

_RULES = """
*,*::before,*::after{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
.page{max-width:58rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1,h2,h3{font-family:ui-serif,"Iowan Old Style",Palatino,Georgia,serif;font-weight:600;line-height:1.25;
text-wrap:balance}
h1{font-size:2rem;margin:.2rem 0 .6rem}
h2{font-size:1.35rem;margin:3rem 0 .9rem;padding-top:1.1rem;border-top:1px solid var(--rule)}
h3{font-size:1.08rem;margin:1.8rem 0 .4rem}
p{margin:.5rem 0;max-width:44rem}
a{color:var(--link)}
a:focus-visible{outline:2px solid var(--link);outline-offset:2px}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace;font-size:.86em}
pre{background:var(--panel);border:1px solid var(--rule);border-radius:.3rem;padding:.75rem .9rem;margin:.6rem 0;
white-space:pre-wrap}
.skip{position:absolute;left:-999rem}
.skip:focus{position:static}
.kicker{color:var(--soft);margin:0;letter-spacing:.02em}
.state{display:inline-block;border:1px solid currentColor;border-radius:1rem;padding:.05rem .7rem;font-size:.9rem;
font-weight:600}
.completed{color:var(--good)}
.abandoned{color:var(--bad)}
.soft{color:var(--soft)}
.note{background:var(--panel);border-left:3px solid var(--soft);padding:.8rem 1.1rem;margin:1.4rem 0}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.35rem 1.4rem;margin:.8rem 0}
dt{color:var(--soft)}
dd{margin:0;min-width:0}
.strip{list-style:none;display:flex;flex-wrap:wrap;gap:.35rem;margin:1.2rem 0;padding:0}
.strip li{border:1px solid var(--rule);border-radius:.3rem;padding:.3rem .6rem;font-size:.85rem;line-height:1.3}
.strip b{display:block;letter-spacing:.03em}
.strip .done{border-color:var(--good)}
.strip .now{border:2px solid var(--ink)}
table{border-collapse:collapse;width:100%;margin:.6rem 0 1rem;font-size:.94rem}
caption{text-align:left;color:var(--soft);padding-bottom:.25rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-bottom:1px solid var(--rule)}
thead th{color:var(--soft);font-weight:500}
tbody th{font-weight:600}
td.number{font-variant-numeric:tabular-nums}
.claimed{font-style:italic}
.observed{color:var(--good);font-weight:600}
.timeline{list-style:none;margin:0;padding:0}
.timeline>li{display:grid;grid-template-columns:8.5rem 1fr;gap:0 1.4rem;padding:.85rem 0;border-bottom:1px solid
var(--rule)}
.when{color:var(--soft);font-size:.88rem;font-variant-numeric:tabular-nums}
.when a{display:block;font-weight:600}
.what{min-width:0}
.what>p{margin:.1rem 0}
.kind{font-weight:700}
.refused .kind,.denied .kind{color:var(--bad)}
.back .kind{color:var(--back)}
.moved .kind{color:var(--good)}
.refused>.what,.denied>.what{border-left:3px solid var(--bad);padding-left:.9rem}
.back>.what{border-left:3px dashed var(--back);padding-left:.9rem}
.facts{margin:.3rem 0 0;padding-left:1.1rem}
.facts li{margin:.15rem 0}
.place{color:var(--soft);font-size:.88rem}
.hash{color:var(--soft);font-size:.8rem;line-height:1.4}
footer{margin-top:3.5rem;color:var(--soft);border-top:1px solid var(--rule);padding-top:1rem}
@media (max-width:40rem){
.page{padding:1.5rem 1rem 3rem}
h1{font-size:1.6rem}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.6rem}
.timeline>li{grid-template-columns:1fr}
.when a{display:inline;margin-right:.6rem}
thead{position:absolute;left:-999rem}
table,tbody,tr,th,td{display:block}
tr{border-bottom:1px solid var(--rule);padding:.4rem 0}
th,td{border:0;padding:.1rem 0}
td::before{content:attr(data-label) ": ";color:var(--soft)}
}
@media print{
@page{margin:18mm 16mm}
body{background:#fff;font-size:10pt}
.page{max-width:none;padding:0}
.skip{display:none}
h2{margin-top:1.6rem}
h2,h3{break-after:avoid}
.timeline>li,tr,pre{break-inside:avoid}
a{color:inherit;text-decoration:none}
}
"""


def _colours(named: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in named.items())


SHEET = (
    f":root{{{_colours(LIGHT)}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{_colours(DARK)}}}}}{_RULES}"
)
